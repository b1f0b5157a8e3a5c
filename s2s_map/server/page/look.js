// Opacity, the threshold with the ground it leaves, what lies below, light or dark.
import { Failed, read } from "./api.js";
import { byId, paused, short } from "./dom.js";
import { draw, paintTheme, redraw, showBelow, shownLayers } from "./map.js";
import { asQuery, change, described, onChange, state } from "./store.js";

const THEME = "s2s-map-theme";

/** @param {any} map */
export function initLook(map) {
  const opacity = /** @type {HTMLInputElement} */ (byId("opacity"));
  const on = /** @type {HTMLInputElement} */ (byId("above-on"));
  const above = /** @type {HTMLInputElement} */ (byId("above"));
  opacity.addEventListener("input", () =>
    change({ opacity: Number(opacity.value) }),
  );
  const set = () =>
    change({ above: on.checked ? valueOf(Number(above.value)) : null });
  const setLater = paused(set, 60);
  on.addEventListener("change", set);
  above.addEventListener("input", () => {
    byId("above-value").textContent = short(valueOf(Number(above.value)));
    setLater();
  });
  for (const name of /** @type {const} */ (["imagery", "outlines"])) {
    const box = /** @type {HTMLInputElement} */ (byId(`${name}-on`));
    box.addEventListener("change", () => change({ [name]: box.checked }));
  }
  byId("theme").addEventListener("click", () => {
    const theme = state.theme === "light" ? "dark" : "light";
    localStorage.setItem(THEME, theme);
    change({ theme });
  });
  const area = paused(() => void sayArea(), 120);
  onChange((changed) => {
    if (changed.has("theme")) {
      document.documentElement.dataset.theme = state.theme;
      if (map.getLayer("ground")) paintTheme(map);
    }
    if (["shown", "view", "above", "slot"].some((name) => changed.has(name))) {
      on.checked = state.above !== null;
      above.disabled = state.above === null;
      byId("above-value").textContent =
        state.above === null ? "" : short(state.above);
      if (state.above !== null && document.activeElement !== above)
        above.value = String(Math.round(1000 * shareOf(state.above)));
      area();
    }
    if (!map.getLayer("ground")) return;
    if (changed.has("shown") || changed.has("view") || changed.has("slot"))
      draw(map, state.shown);
    else if (changed.has("above")) redraw(map, state.shown);
    if (changed.has("opacity")) {
      opacity.value = String(state.opacity);
      for (const layer of shownLayers(map))
        map.setPaintProperty(layer.id, "raster-opacity", state.opacity / 100);
    }
    if (changed.has("imagery") || changed.has("outlines")) showBelow(map);
  });
}

/** Return the theme that was chosen last, else that of the system. */
export function firstTheme() {
  const chosen = localStorage.getItem(THEME);
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

// Most cells have small values: the slider is finer there.
/** @param {number} step 0 to 1000 */
function valueOf(step) {
  const [low, high] = described(state.shown)?.range ?? [0, 1];
  return low + (high - low) * (step / 1000) ** 2;
}

/** @param {number} value */
function shareOf(value) {
  const [low, high] = described(state.shown)?.range ?? [0, 1];
  return Math.sqrt(Math.min(1, Math.max(0, (value - low) / (high - low))));
}

async function sayArea() {
  const line = byId("area");
  if (state.above === null) {
    line.textContent = "";
    return;
  }
  const asked = state.above;
  try {
    const found = await read("/api/area", {
      ...asQuery(state.shown),
      slot: state.slot,
      above: asked,
    });
    if (asked !== state.above) return;
    const share = found.of_km2 ? (100 * found.km2) / found.of_km2 : 0;
    line.textContent = `${rounded(found.km2)} km², ${share.toFixed(1)} % of the map`;
  } catch (error) {
    line.textContent = error instanceof Failed ? error.message : String(error);
  }
}

/** @param {number} km2 */
function rounded(km2) {
  return km2 < 10 ? km2.toFixed(2) : Math.round(km2).toLocaleString("en");
}
