// What the colours mean, in numbers and words.
import { byId, short } from "./dom.js";
import { described, onChange, state } from "./store.js";

// What lies below the colours in the legend: about as bright as ground from above.
const GROUND = "#77806f";

/** @param {any} map */
export function initLegend(map) {
  onChange((changed) => {
    if (
      ["view", "shown", "questions", "above", "other"].some((name) =>
        changed.has(name),
      )
    )
      update(map);
  });
  map.on("zoomend", () => update(map));
}

/** @param {any} map */
function update(map) {
  const about = described(state.shown);
  byId("legend").hidden = !about;
  if (!about) return;
  const [low, high] = about.range;
  byId("legend-title").textContent = about.title;
  byId("legend-low").textContent = `≤ ${short(low)}`;
  byId("legend-middle").textContent = short((low + high) / 2);
  byId("legend-high").textContent = `≥ ${short(high)}`;
  drawRamp(/** @type {HTMLCanvasElement} */ (byId("legend-ramp")), low, high);
  const even = about.even_share
    ? `; any sound alike would have ${short(about.even_share)}`
    : "";
  byId("legend-method").textContent =
    `${about.label}${even}${coarse(map, about)}`;
  const other = described(state.other);
  byId("legend-other").hidden = !other;
  if (other) {
    const [from, to] = other.range.map(short);
    byId("legend-other").textContent =
      `beside it ${other.title}: the same colours, ${from} to ${to}`;
  }
  const doubts = byId("legend-doubts");
  doubts.hidden = about.doubts.length === 0;
  doubts.textContent = about.doubts.join("; ");
}

/**
 * Say so where the answer is that to means of several cells.
 * @param {any} map
 * @param {any} about
 */
function coarse(map, about) {
  if (!about.levels || about.levels.length < 2) return "";
  const [, south, , north] = state.view.bounds;
  const lat = ((south + north) / 2) * (Math.PI / 180);
  const pixel = (78271.5 * Math.cos(lat)) / 2 ** Math.round(map.getZoom());
  const fits = about.levels.find(
    (/** @type {number} */ side) => side >= about.least_px * pixel,
  );
  const side = fits ?? about.levels[about.levels.length - 1];
  if (side === about.levels[0]) return "";
  return `. Zoomed out: of the mean of what lies within ${side.toLocaleString("en")} m`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} low
 * @param {number} high
 */
export function drawRamp(canvas, low, high) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  const { ramp } = state.view;
  context.fillStyle = GROUND;
  context.fillRect(0, 0, width, height);
  for (let x = 0; x < width; x += 1) {
    const share = x / (width - 1);
    const value = low + share * (high - low);
    if (state.above !== null && value < state.above) continue;
    const [r, g, b, a] = ramp[Math.round(share * (ramp.length - 1))];
    const least = state.above === null ? 0 : 0.7;
    context.fillStyle = `rgb(${r} ${g} ${b} / ${Math.max(a / 255, least)})`;
    context.fillRect(x, 0, 1, height);
  }
}
