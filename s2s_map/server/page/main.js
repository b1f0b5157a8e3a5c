// How the page begins: facts, map, what the address asks for.
import { Failed, keepToken, read } from "./api.js";
import { ask, askAgain, initAsk } from "./ask.js";
import { byId, foldPanel, paused, say } from "./dom.js";
import { initFind } from "./find.js";
import { initLayers } from "./layers.js";
import { initLegend } from "./legend.js";
import { fragment, parse } from "./link.js";
import { firstTheme, initLook } from "./look.js";
import { cannotDraw, layGround, layImagery, makeMap, ready } from "./map.js";
import { maplibre } from "./maplibre.js";
import { initPlace } from "./place.js";
import { initSlots } from "./slots.js";
import { change, onChange, state } from "./store.js";
import { initSwipe, keepOutlines } from "./swipe.js";
import { initTakeAway, where } from "./takeaway.js";
import { initWatch, loadView } from "./watch.js";

const linked = parse(location.hash);
if (linked.token) {
  keepToken(linked.token);
  // So that an address that is copied gives nobody leave to write.
  history.replaceState(null, "", location.pathname);
}
change({ theme: firstTheme() });
document.documentElement.dataset.theme = state.theme;

async function begin() {
  let version = "";
  await loadView();
  const { view } = state;
  describeRuns();
  const map = firstMap();
  const phone = matchMedia("(max-width: 640px)").matches;
  if (phone) foldPanel(true);
  initLayers();
  initLegend(map);
  initLook(map);
  initSlots();
  initSwipe(map);
  initPlace(map);
  initFind(map);
  initTakeAway(map);
  initAsk();
  // Cards stand on the attribution and the legend, which are always seen; on a phone the sheets stand on the attribution, which is always seen.
  for (const [id, name] of [
    ["attribution", "--foot"],
    ["legend", "--legend"],
  ]) {
    const card = byId(id);
    const measure = () =>
      document.documentElement.style.setProperty(
        name,
        `${card.offsetHeight}px`,
      );
    new ResizeObserver(measure).observe(card);
  }
  byId("fold").addEventListener("click", () =>
    foldPanel(!byId("panel").classList.contains("folded")),
  );
  await ready(map);
  layGround(map);
  version = view.version;
  onChange((changed) => {
    if (changed.has("view")) describeRuns();
    if (changed.has("view") && state.view.version !== version) {
      version = state.view.version;
      layImagery(map);
    }
  });
  const remember = paused(
    () => history.replaceState(null, "", fragment(where(map))),
    250,
  );
  onChange(remember);
  map.on("moveend", remember);
  const stage = byId("stage");
  map.on("dataloading", () => stage.setAttribute("aria-busy", "true"));
  map.on("idle", () => stage.setAttribute("aria-busy", "false"));
  restore(view.layers.map((layer) => layer.name));
  document.documentElement.dataset.ready = "true";
  initWatch(askAgain);
  for (const of of ["countries", "units"]) void outlines(map, of);
  if (linked.question) await ask(linked.question.texts, linked.question.minus);
  if (linked.question && linked.above !== null) change({ above: linked.above });
}

function firstMap() {
  const { bounds } = state.view;
  const wide = matchMedia("(min-width: 900px)").matches;
  const narrow = matchMedia("(max-width: 640px)").matches;
  const padding = narrow
    ? { top: 190, bottom: 120, left: 12, right: 12 }
    : { top: 40, bottom: 60, left: wide ? 360 : 310, right: 40 };
  const fit = { padding };
  const at = linked.at && {
    center: [linked.at.lon, linked.at.lat],
    zoom: linked.at.zoom,
  };
  try {
    const map = makeMap("map", at ?? { bounds, fitBoundsOptions: fit });
    map.addControl(
      new maplibre.NavigationControl({ showCompass: false }),
      "top-right",
    );
    map.addControl(new maplibre.ScaleControl({ maxWidth: 120 }), "bottom-left");
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    const canvas = map.getCanvas();
    canvas.setAttribute(
      "aria-label",
      "Map. Arrows move it, plus and minus zoom, Enter asks what is in its middle.",
    );
    /** @type {any} */ (window).s2sMap = map;
    return map;
  } catch (error) {
    cannotDraw();
    throw error;
  }
}

/** @param {string[]} layers */
function restore(layers) {
  const slot = state.view.slots.findIndex((one) => one.label === linked.slot);
  const known = (/** @type {string | null} */ name) =>
    name && layers.includes(name) ? name : null;
  const other = known(linked.other);
  if (linked.layer && !known(linked.layer))
    say(`There is no layer ${linked.layer} any more.`);
  change({
    view: state.view,
    shown: { kind: "layer", key: known(linked.layer) ?? layers[0] },
    other: other ? { kind: "layer", key: other } : null,
    slot: Math.max(slot, 0),
    opacity: Math.min(100, Math.max(0, linked.opacity ?? state.opacity)),
    above: linked.question ? null : linked.above,
    place: linked.place,
  });
}

function describeRuns() {
  const { view } = state;
  document.title = `${view.title} · s2s_map`;
  byId("title").textContent = view.title;
  const [first] = view.runs;
  const cells = `cells of ${[...new Set(view.runs.map((run) => run.cell_m))].join(", ")} m`;
  const written = view.writing ? "; a run is at work here" : "";
  byId("about").textContent = [
    view.runs.length === 1 ? first.imagery : "",
    cells + written,
    ...view.missing,
  ]
    .filter(Boolean)
    .join("; ");
  const below = view.basemap ? ` Basemap: ${view.basemap.attribution}.` : "";
  byId("attribution").textContent =
    `${view.attribution}${below} Borders: Natural Earth. Map: MapLibre.`;
}

/**
 * @param {any} map
 * @param {string} of
 */
async function outlines(map, of) {
  try {
    const data = await read("/api/outlines", { of });
    map.getSource(of).setData(data);
    keepOutlines(of, data);
  } catch (error) {
    say(`no borders: ${error instanceof Failed ? error.message : error}`);
  }
}

begin().catch((error) => {
  const banner = byId("gone");
  banner.hidden = false;
  banner.textContent =
    error instanceof Failed ? error.message : `The page failed: ${error}`;
});
