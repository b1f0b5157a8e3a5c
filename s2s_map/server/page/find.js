// Going to a place by its name or its coordinates.
import { Failed, read } from "./api.js";
import { byId, say } from "./dom.js";
import { change, state } from "./store.js";

/** @param {any} map */
export function initFind(map) {
  const input = /** @type {HTMLInputElement} */ (byId("find-text"));
  byId("find").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!input.value.trim()) return;
    try {
      const found = await read("/api/find", { text: input.value });
      const [west, south, east, north] = found.bounds;
      if (found.point) {
        map.flyTo({ center: [west, south], zoom: Math.max(map.getZoom(), 10) });
        change({ place: { lon: west, lat: south } });
      } else map.fitBounds(found.bounds, { padding: 40, maxZoom: 12 });
      const [w, s, e, n] = state.view.bounds;
      // A map across 180 degrees goes on in the next turn.
      const beside = [0, 360].every(
        (turn) => west + turn > e || east + turn < w,
      );
      const off = beside || south > n || north < s;
      say(
        [found.label, found.note, off ? "this map does not reach there" : ""]
          .filter(Boolean)
          .join("; "),
      );
    } catch (error) {
      say(error instanceof Failed ? error.message : String(error), 10);
    }
  });
}
