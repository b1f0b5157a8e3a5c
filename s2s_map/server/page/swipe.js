// Two layers beside each other: a second map over the first, cut at a border that is dragged.
import { byId } from "./dom.js";
import {
  draw,
  layGround,
  makeMap,
  paintTheme,
  ready,
  redraw,
  showBelow,
  shownLayers,
} from "./map.js";
import { change, described, onChange, state } from "./store.js";

/** @type {any} */
let other = null;
/** @type {Record<string, any>} */
const outlines = {};

/** @returns {any} the second map; null while nothing is compared */
export function otherMap() {
  return other;
}

/** @param {any} map the first */
export function initSwipe(map) {
  const handle = byId("swipe");
  const stage = byId("stage");
  /** @param {number} at share from the left, percent */
  const moveTo = (at) =>
    change({ swipe: Math.round(Math.min(98, Math.max(leftmost(stage), at))) });
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    const drag = (/** @type {PointerEvent} */ moved) =>
      moveTo(
        (100 * (moved.clientX - stage.getBoundingClientRect().left)) /
          stage.clientWidth,
      );
    handle.addEventListener("pointermove", drag);
    handle.addEventListener(
      "pointerup",
      () => handle.removeEventListener("pointermove", drag),
      {
        once: true,
      },
    );
  });
  handle.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10 };
    const by = /** @type {Record<string, number>} */ (steps)[event.key];
    if (event.key === "Home") moveTo(0);
    else if (event.key === "End") moveTo(100);
    else if (by) moveTo(state.swipe + by);
    else return;
    event.preventDefault();
  });
  const follow = () =>
    other?.jumpTo({
      center: map.getCenter(),
      zoom: map.getZoom(),
      bearing: 0,
      pitch: 0,
    });
  map.on("move", follow);
  map.on("resize", () => other?.resize());

  onChange((changed) => {
    if (changed.has("swipe") || changed.has("other")) place();
    if (changed.has("other") || changed.has("view") || changed.has("slot"))
      void update(map);
    if (!other?.getLayer?.("imagery")) return;
    if (changed.has("above") && state.other) redraw(other, state.other);
    if (changed.has("opacity"))
      for (const layer of shownLayers(other))
        other.setPaintProperty(layer.id, "raster-opacity", state.opacity / 100);
    if (changed.has("imagery") || changed.has("outlines")) showBelow(other);
    if (changed.has("theme")) paintTheme(other);
    if (changed.has("shown")) place();
  });
}

/**
 * Give the second map its borders, too.
 * @param {string} of
 * @param {any} data
 */
export function keepOutlines(of, data) {
  outlines[of] = data;
  other?.getSource?.(of)?.setData(data);
}

/**
 * Return how far left the border may go, percent: not below the panel, where nobody would find it.
 * @param {HTMLElement} stage
 */
function leftmost(stage) {
  const panel = byId("panel");
  const beside =
    matchMedia("(min-width: 641px)").matches &&
    !panel.classList.contains("folded");
  const edge = beside ? panel.getBoundingClientRect().right + 24 : 0;
  return Math.max(2, Math.ceil((100 * edge) / stage.clientWidth));
}

/** @param {any} map */
async function update(map) {
  if (!state.other) {
    other?.remove();
    other = null;
    return;
  }
  if (!other) {
    other = makeMap("other-map", {
      interactive: false,
      center: map.getCenter(),
      zoom: map.getZoom(),
    });
    const mine = other;
    await ready(mine);
    if (mine !== other) return;
    layGround(other);
    for (const [of, data] of Object.entries(outlines))
      other.getSource(of).setData(data);
    showBelow(other);
    other.getCanvas().setAttribute("aria-hidden", "true");
    other.getCanvas().setAttribute("tabindex", "-1");
  }
  if (other.getLayer("ground") && state.other) draw(other, state.other);
}

function place() {
  const on = state.other !== null;
  for (const id of ["other-map", "swipe", "left-name", "right-name"])
    byId(id).hidden = !on;
  byId("stage").style.setProperty("--at", `${state.swipe}%`);
  const handle = byId("swipe");
  handle.setAttribute("aria-valuenow", String(state.swipe));
  const [left, right] = [
    described(state.shown)?.title ?? "",
    described(state.other)?.title ?? "",
  ];
  handle.setAttribute(
    "aria-valuetext",
    `${state.swipe} % ${left}, the rest ${right}`,
  );
  byId("left-name").textContent = left;
  byId("right-name").textContent = right;
}
