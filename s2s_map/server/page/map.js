// The map, and a second one beside it for comparing.
import { byId, say } from "./dom.js";
import { maplibre } from "./maplibre.js";
import { state } from "./store.js";

/** @typedef {import("./types.d.ts").Shown} Shown */
/** @typedef {any} MapLike  a map of the library */

const TOP = "outline";
let made = 0;

/**
 * Make a map.
 * @param {string} container
 * @param {Record<string, any>} more
 * @returns {MapLike}
 */
export function makeMap(container, more) {
  return new maplibre.Map({
    container,
    style: { version: 8, sources: {}, layers: [] },
    attributionControl: false,
    canvasContextAttributes: { preserveDrawingBuffer: true, antialias: true },
    maxZoom: 18,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: 0,
    locale: { "Map.Title": "Map" },
    ...more,
  });
}

/**
 * Lay the ground: colour, basemap, imagery, borders and names.
 * @param {MapLike} map
 */
export function layGround(map) {
  const { basemap } = state.view;
  map.addLayer({
    id: "ground",
    type: "background",
    paint: { "background-color": "#e6ebe8" },
  });
  if (basemap) {
    map.addSource("basemap", {
      type: "raster",
      tiles: [basemap.url],
      tileSize: 256,
    });
    map.addLayer({ id: "basemap", type: "raster", source: "basemap" });
  }
  for (const of of ["countries", "units"]) {
    map.addSource(of, { type: "geojson", data: nothing() });
    map.addLayer({
      id: `${TOP}-${of}`,
      type: "line",
      source: of,
      filter: ["==", ["get", "kind"], "outline"],
      // Drawn from two sources of different detail, which would lie beside each other.
      ...(of === "units" ? { minzoom: 5 } : { maxzoom: 5 }),
      paint: {
        "line-width": 1,
        "line-opacity": ["interpolate", ["linear"], ["zoom"], 5, 0.8, 10, 0.45],
      },
    });
  }
  for (const of of ["units", "countries"]) {
    map.addLayer({
      id: `name-${of}`,
      type: "symbol",
      source: of,
      filter: ["==", ["get", "kind"], "name"],
      minzoom: of === "units" ? 5.5 : 2,
      maxzoom: of === "units" ? 24 : 7,
      layout: {
        "text-field": ["get", "name"],
        "text-font": ["sans-serif"],
        "text-size": of === "units" ? 12 : 15,
        "symbol-sort-key": ["-", ["get", "size"]],
        "text-max-width": 8,
      },
      paint: { "text-halo-width": 1.6 },
    });
  }
  layImagery(map);
  paintTheme(map);
}

/** @param {MapLike} map */
export function layImagery(map) {
  const { view } = state;
  if (map.getLayer("imagery")) {
    map.removeLayer("imagery");
    map.removeSource("imagery");
  }
  map.addSource("imagery", {
    type: "raster",
    tiles: [`${location.origin}/tiles/${view.version}/imagery/{z}/{x}/{y}`],
    tileSize: 512,
    bounds: tileBounds(),
    maxzoom: deepest(2),
  });
  const first = map
    .getStyle()
    .layers.find((/** @type {any} */ layer) => isAbove(layer.id));
  map.addLayer(
    {
      id: "imagery",
      type: "raster",
      source: "imagery",
      layout: { visibility: state.imagery ? "visible" : "none" },
      paint: { "raster-fade-duration": 0 },
    },
    first?.id,
  );
}

/** Return where there are tiles: the library cuts at 180 degrees what lies across them. */
function tileBounds() {
  const [, south, east, north] = state.view.bounds;
  return east > 180 ? [-180, south, 180, north] : state.view.bounds;
}

/** @param {string} id */
function isAbove(id) {
  return (
    id.startsWith(TOP) || id.startsWith("shown-") || id.startsWith("name-")
  );
}

/**
 * Draw a layer or an answer; what was drawn goes once this is there.
 * @param {MapLike} map
 * @param {Shown} shown
 */
export function draw(map, shown) {
  const id = `shown-${(made += 1)}`;
  const before = map
    .getStyle()
    .layers.filter((/** @type {any} */ layer) => layer.id.startsWith("shown-"));
  map.addSource(id, {
    type: "raster",
    tiles: [tiles(shown)],
    tileSize: 512,
    bounds: tileBounds(),
    maxzoom: deepest(4),
  });
  map.addLayer(
    {
      id,
      type: "raster",
      source: id,
      paint: {
        "raster-opacity": state.opacity / 100,
        "raster-fade-duration": 0,
        "raster-resampling": "nearest",
      },
    },
    `${TOP}-countries`,
  );
  const tidy = () => {
    if (!map.getSource(id)) return map.off("sourcedata", loaded);
    for (const layer of before) {
      if (!map.getLayer(layer.id)) continue;
      map.removeLayer(layer.id);
      map.removeSource(layer.id);
    }
    map.off("sourcedata", loaded);
    return undefined;
  };
  /** @param {any} event */
  const loaded = (event) => {
    // Another may have been drawn meanwhile, and have taken this one away.
    if (!map.getSource(id)) tidy();
    else if (
      event.sourceId === id &&
      event.sourceDataType !== "metadata" &&
      map.isSourceLoaded(id)
    )
      tidy();
  };
  map.on("sourcedata", loaded);
  map.once("idle", tidy);
}

/**
 * Draw anew at once, such as for another threshold.
 * @param {MapLike} map
 * @param {Shown} shown
 */
export function redraw(map, shown) {
  const drawn = shownLayers(map);
  const last = drawn[drawn.length - 1];
  if (last) map.getSource(last.id).setTiles([tiles(shown)]);
}

/** @param {MapLike} map */
export function shownLayers(map) {
  return map
    .getStyle()
    .layers.filter((/** @type {any} */ layer) => layer.id.startsWith("shown-"));
}

/** @param {Shown} shown */
function tiles(shown) {
  const at = `${state.slot}/{z}/{x}/{y}`;
  const above = state.above === null ? "" : `?above=${state.above}`;
  const key = encodeURIComponent(shown.key);
  return `${location.origin}/tiles/${state.view.version}/${shown.kind}/${key}/${at}${above}`;
}

/**
 * Return the zoom at which a cell is so many doublings wider than a pixel; the library enlarges
 * beyond.
 * @param {number} doublings
 */
function deepest(doublings) {
  const cell = Math.min(...state.view.runs.map((run) => run.cell_m));
  const [, south, , north] = state.view.bounds;
  const widest =
    (78271.5 * Math.cos(((south + north) / 2) * (Math.PI / 180))) / cell;
  return Math.max(1, Math.min(20, Math.ceil(Math.log2(widest)) + doublings));
}

/** @param {MapLike} map */
export function paintTheme(map) {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const colour = (name) => style.getPropertyValue(name).trim();
  map.setPaintProperty("ground", "background-color", colour("--ground"));
  for (const of of ["countries", "units"]) {
    map.setPaintProperty(`${TOP}-${of}`, "line-color", colour("--border-line"));
    map.setPaintProperty(`name-${of}`, "text-color", colour("--name"));
    map.setPaintProperty(`name-${of}`, "text-halo-color", colour("--halo"));
  }
}

/** @param {MapLike} map */
export function showBelow(map) {
  const on = (/** @type {boolean} */ shown) => (shown ? "visible" : "none");
  map.setLayoutProperty("imagery", "visibility", on(state.imagery));
  for (const of of ["countries", "units"]) {
    map.setLayoutProperty(`${TOP}-${of}`, "visibility", on(state.outlines));
    map.setLayoutProperty(`name-${of}`, "visibility", on(state.outlines));
  }
}

/**
 * Wait until a map can be drawn on; say why where the browser cannot.
 * @param {MapLike} map
 * @returns {Promise<void>}
 */
export function ready(map) {
  return new Promise((resolve) => {
    if (map.isStyleLoaded()) resolve();
    else map.once("load", () => resolve());
  });
}

/** Say that the browser cannot draw maps. */
export function cannotDraw() {
  byId("map").textContent = "This browser cannot draw maps: it has no WebGL 2.";
  say("This browser has no WebGL 2: numbers work, pictures do not.", 30);
}

function nothing() {
  return { type: "FeatureCollection", features: [] };
}
