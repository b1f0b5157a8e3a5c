// What stands behind the # of the address: enough to find everything again. Never the token.
import { state } from "./store.js";

/**
 * @typedef {object} Linked
 * @property {{lon: number, lat: number, zoom: number} | null} at
 * @property {string | null} layer
 * @property {string | null} other
 * @property {{texts: string[], minus: string[]} | null} question
 * @property {string | null} slot
 * @property {number | null} opacity
 * @property {number | null} above
 * @property {{lon: number, lat: number} | null} place
 * @property {string | null} token
 */

/**
 * @param {string} fragment
 * @returns {Linked}
 */
export function parse(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const at = numbers(given.get("at"), 3);
  const place = numbers(given.get("place"), 2);
  const texts = given.getAll("and");
  return {
    at: at && { zoom: at[0], lat: at[1], lon: at[2] },
    layer: given.get("layer"),
    other: given.get("other"),
    question: texts.length ? { texts, minus: given.getAll("without") } : null,
    slot: given.get("slot"),
    opacity: numbers(given.get("opacity"), 1)?.[0] ?? null,
    above: numbers(given.get("above"), 1)?.[0] ?? null,
    place: place && { lat: place[0], lon: place[1] },
    token: given.get("ask"),
  };
}

/**
 * Return the fragment of what is shown.
 * @param {{lon: number, lat: number, zoom: number}} at
 */
export function fragment(at) {
  const found = new URLSearchParams();
  found.set(
    "at",
    `${at.zoom.toFixed(2)}/${at.lat.toFixed(5)}/${at.lon.toFixed(5)}`,
  );
  const { shown, other, questions, view } = state;
  if (shown.kind === "layer") found.set("layer", shown.key);
  const question = questions.find(
    (one) => shown.kind === "question" && one.id === shown.key,
  );
  // A recording is on this machine alone.
  if (question && !question.asked.recording) {
    question.asked.texts.forEach((text) => found.append("and", text));
    question.asked.minus.forEach((text) => found.append("without", text));
  }
  if (other?.kind === "layer") found.set("other", other.key);
  if (view.slots.length > 1) found.set("slot", view.slots[state.slot].label);
  if (state.opacity !== 90) found.set("opacity", String(state.opacity));
  if (state.above !== null)
    found.set("above", String(Number(state.above.toPrecision(6))));
  if (state.place)
    found.set(
      "place",
      `${state.place.lat.toFixed(5)}/${state.place.lon.toFixed(5)}`,
    );
  return `#${found.toString().replaceAll("%2F", "/")}`;
}

/**
 * @param {string | null} text
 * @param {number} count
 */
function numbers(text, count) {
  const found = (text ?? "").split("/").map(Number);
  return text && found.length === count && found.every(Number.isFinite)
    ? found
    : null;
}
