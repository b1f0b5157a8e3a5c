// What is said of a place that was clicked; each part by itself, so that one that fails is alone.
import { Failed, read } from "./api.js";
import { byId, make, say, short } from "./dom.js";
import { maplibre } from "./maplibre.js";
import { change, described, onChange, state } from "./store.js";
import { whySection } from "./why.js";

/** @type {AbortController} */
let asking = new AbortController();

/** @param {any} map */
export function initPlace(map) {
  const dot = make("div", { className: "you-are-here" });
  dot.setAttribute("aria-label", "The place that was clicked");
  dot.setAttribute("role", "img");
  const marker = new maplibre.Marker({ element: dot });
  map.on("click", (/** @type {any} */ event) => {
    const { lng, lat } = event.lngLat.wrap();
    change({ place: { lon: lng, lat } });
  });
  map
    .getCanvas()
    .addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter") return;
      const { lng, lat } = map.getCenter().wrap();
      change({ place: { lon: lng, lat } });
    });
  byId("close-place").addEventListener("click", () => {
    change({ place: null });
    map.getCanvas().focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.place) change({ place: null });
  });
  onChange((changed) => {
    if (
      !["place", "view", "questions", "slot", "shown"].some((name) =>
        changed.has(name),
      )
    )
      return;
    if (state.place)
      marker.setLngLat([state.place.lon, state.place.lat]).addTo(map);
    else marker.remove();
    byId("place").hidden = !state.place;
    if (state.place) void show(changed);
    if (state.place && changed.has("place")) uncover(map, state.place);
  });
}

/**
 * Move a place out from below its own sheet, on a phone.
 * @param {any} map
 * @param {{lon: number, lat: number}} place
 */
function uncover(map, place) {
  if (!matchMedia("(max-width: 640px)").matches) return;
  const { y } = map.project([place.lon, place.lat]);
  // Once it is filled the sheet covers the lower half.
  if (y > window.innerHeight * 0.4)
    map.easeTo({
      center: [place.lon, place.lat],
      offset: [0, -window.innerHeight / 5],
    });
}

/** @param {Set<string>} changed */
async function show(changed) {
  const place = state.place;
  if (!place) return;
  const body = byId("place-body");
  if (
    changed.size === 1 &&
    changed.has("shown") &&
    body.querySelector(".bars")
  ) {
    body.querySelector(".why")?.replaceWith(whySection(place));
    return;
  }
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const parts = make("div", { className: "bars" });
  const heard = make("section", {}, make("h3", {}, "Most heard here"));
  if (changed.has("place")) {
    byId("place-title").textContent = "…";
    body.replaceChildren(coordinates(place), parts);
  }
  try {
    const question = state.questions.slice(0, 8).map((one) => one.id);
    const found = await read("/api/place", { ...place, question }, signal);
    byId("place-title").textContent =
      found.place ?? "At sea, or no place that ships";
    const several =
      state.view.runs.length > 1
        ? make("p", { className: "quiet" }, found.run)
        : null;
    body.replaceChildren(
      coordinates(place),
      several ?? "",
      bars(found),
      profile(found) ?? "",
      heard,
      whySection(place),
    );
    await fill(heard, place, signal);
  } catch (error) {
    if (signal.aborted) return;
    byId("place-title").textContent = "Nothing here";
    body.replaceChildren(
      coordinates(place),
      make("p", { className: "doubt" }, reason(error)),
    );
  }
}

/** @param {{lon: number, lat: number}} place */
function coordinates(place) {
  const text = `${place.lat.toFixed(5)}, ${place.lon.toFixed(5)}`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(`copied ${text}`, 3);
    } catch {
      say(`This browser does not let a page copy: ${text}`);
    }
  };
  return make(
    "p",
    { className: "coordinates" },
    make("span", {}, text),
    make(
      "button",
      {
        type: "button",
        className: "small",
        onclick: copy,
        "aria-label": "Copy the coordinates",
      },
      "Copy",
    ),
  );
}

/** @param {any} found */
function bars(found) {
  const slot = found.slots.indexOf(state.view.slots[state.slot].label);
  const list = make("div", { className: "bars" });
  for (const one of found.layers) {
    const about = described(
      one.question
        ? { kind: "question", key: one.question }
        : { kind: "layer", key: one.name },
    );
    const value = one.values[slot] ?? null;
    const number = make(
      "span",
      { className: "number" },
      value === null ? "no data" : short(value),
    );
    const fill = make("i");
    const [low, high] = one.range;
    if (value !== null)
      fill.style.width = `${100 * Math.min(1, Math.max(0, (value - low) / (high - low)))}%`;
    list.append(
      make(
        "div",
        { data: { layer: one.name ?? one.question } },
        make(
          "div",
          { className: "name" },
          make("span", {}, about?.title ?? one.name ?? ""),
          number,
        ),
        make("div", { className: "bar", "aria-hidden": "true" }, fill),
      ),
    );
  }
  const note = `of a cell of ${found.cell.side_m} m; bars from the lowest to the highest colour`;
  return make("section", {}, list, make("p", { className: "quiet" }, note));
}

/** @param {any} found */
function profile(found) {
  if (found.slots.length < 2) return null;
  const key = state.shown.key;
  const one = found.layers.find(
    (/** @type {any} */ layer) => (layer.question ?? layer.name) === key,
  );
  if (!one) return null;
  const canvas = make("canvas", {
    className: "profile",
    width: 580,
    height: 120,
  });
  const context = canvas.getContext("2d");
  const highest = Math.max(
    ...one.values.map((/** @type {number | null} */ v) => v ?? 0),
    one.range[1],
  );
  if (context) {
    const wide = canvas.width / one.values.length;
    const style = getComputedStyle(document.documentElement);
    one.values.forEach(
      (/** @type {number | null} */ value, /** @type {number} */ i) => {
        const high = ((value ?? 0) / highest) * (canvas.height - 4);
        const now = found.slots[i] === state.view.slots[state.slot].label;
        context.fillStyle = style.getPropertyValue(
          now ? "--accent" : "--control",
        );
        context.fillRect(
          i * wide + 1,
          canvas.height - high,
          Math.max(wide - 2, 1),
          high,
        );
      },
    );
  }
  const best = one.values.indexOf(
    Math.max(...one.values.map((/** @type {number | null} */ v) => v ?? -1)),
  );
  const text = `most at ${found.slots[best]}; ${found.slots[0]} to ${found.slots[found.slots.length - 1]}`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Over time: ${text}`);
  return make(
    "section",
    {},
    make("h3", {}, "Over time"),
    canvas,
    make("p", { className: "quiet" }, text),
  );
}

/**
 * @param {HTMLElement} section
 * @param {{lon: number, lat: number}} place
 * @param {AbortSignal} signal
 */
async function fill(section, place, signal) {
  const waiting = make("p", { className: "waiting" }, "listening…");
  section.append(waiting);
  try {
    const found = await read(
      "/api/place",
      { ...place, part: "heard", slot: state.slot },
      signal,
    );
    const most = found.texts[0].share;
    const list = make("ol", { className: "bars heard" });
    for (const { text, share } of found.texts) {
      const fill = make("i");
      fill.style.width = `${(100 * share) / most}%`;
      const number = make(
        "span",
        { className: "number" },
        `${(100 * share).toFixed(1)} %`,
      );
      list.append(
        make(
          "li",
          {},
          make("div", { className: "name" }, make("span", {}, text), number),
          make("div", { className: "bar", "aria-hidden": "true" }, fill),
        ),
      );
    }
    const note = `of the ${found.of} sounds of the background vocabulary; softmax, uncalibrated`;
    waiting.replaceWith(list, make("p", { className: "quiet" }, note));
  } catch (error) {
    if (!signal.aborted)
      waiting.replaceWith(make("p", { className: "doubt" }, reason(error)));
  }
}

/** @param {unknown} error */
function reason(error) {
  return error instanceof Failed ? error.message : String(error);
}
