// What the server says, and what the page remembers.

export interface Layer {
  name: string;
  title: string;
  range: [number, number];
  label: string;
  even_share: number | null;
  floored?: boolean;
  doubts: string[];
  notes: string[];
}

export interface Question extends Layer {
  id: string;
  levels: number[];
  least_px: number;
  asked: {
    texts: string[];
    minus: string[];
    recording?: { id: string; name: string };
  };
}

export interface Slot {
  label: string;
  month?: number;
  hour?: number;
}

export interface View {
  version: string;
  title: string;
  bounds: [number, number, number, number];
  runs: {
    title: string;
    bounds: [number, number, number, number];
    cell_m: number;
    model: string;
    imagery: string;
    time: [string, string] | null;
  }[];
  layers: Layer[];
  slots: Slot[];
  attribution: string;
  missing: string[];
  writing: boolean;
  ramp: [number, number, number, number][];
  basemap: { url: string; attribution: string } | null;
}

/** A layer by its name, or a question by its id. */
export interface Shown {
  kind: "layer" | "question";
  key: string;
}

export interface State {
  view: View;
  questions: Question[];
  shown: Shown;
  other: Shown | null;
  swipe: number;
  opacity: number;
  above: number | null;
  slot: number;
  imagery: boolean;
  outlines: boolean;
  place: { lon: number; lat: number } | null;
  theme: "light" | "dark";
}
