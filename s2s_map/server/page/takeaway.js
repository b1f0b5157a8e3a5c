// What is taken away: GeoTIFFs, the view as a picture with legend and attribution, a link.
import { Failed, address } from "./api.js";
import { byId, make, say, short } from "./dom.js";
import { fragment } from "./link.js";
import { drawRamp } from "./legend.js";
import { asQuery, described, state } from "./store.js";
import { otherMap } from "./swipe.js";

const SCALE = 2;

/** @param {any} map */
export function initTakeAway(map) {
  byId("take-seen").addEventListener("click", () => {
    const box = map.getBounds();
    const seen = [
      box.getWest(),
      Math.max(box.getSouth(), -90),
      box.getEast(),
      Math.min(box.getNorth(), 90),
    ];
    void download({ seen: seen.map((edge) => edge.toFixed(6)).join(",") });
  });
  byId("take-layer").addEventListener("click", () => void download({}));
  byId("take-picture").addEventListener("click", () => picture(map));
  byId("take-link").addEventListener("click", async () => {
    const link = `${location.origin}/${fragment(where(map))}`;
    try {
      await navigator.clipboard.writeText(link);
      say(
        "The link is copied: it opens this view while s2s-map view runs on this machine.",
      );
    } catch {
      say(link, 20);
    }
  });
}

/** @param {any} map */
export function where(map) {
  const { lng, lat } = map.getCenter();
  return { lon: lng, lat, zoom: map.getZoom() };
}

/** @param {Record<string, string>} more */
async function download(more) {
  const path = address("/api/layer.tif", {
    ...asQuery(state.shown),
    slot: state.slot,
    ...more,
  });
  try {
    const response = await fetch(path);
    if (!response.ok)
      throw new Failed((await response.json()).error, response.status);
    save(
      await response.blob(),
      `${described(state.shown)?.name ?? "layer"}.tif`,
    );
  } catch (error) {
    say(error instanceof Failed ? error.message : String(error), 10);
  }
}

/** @param {any} map */
function picture(map) {
  const canvas = make("canvas");
  const shown = map.getCanvas();
  const about = described(state.shown);
  const [width, height] = [shown.width, shown.height];
  const ratio = width / shown.clientWidth;
  canvas.width = width;
  canvas.height = height + Math.round(64 * ratio);
  const context = canvas.getContext("2d");
  if (!context || !about) return;
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(shown, 0, 0);
  const beside = otherMap()?.getCanvas();
  if (beside) {
    const at = Math.round((width * state.swipe) / 100);
    context.drawImage(
      beside,
      at,
      0,
      width - at,
      height,
      at,
      0,
      width - at,
      height,
    );
    context.fillRect(at - ratio, 0, 2 * ratio, height);
  }
  context.setTransform(ratio, 0, 0, ratio, 0, height);
  const wide = width / ratio;
  const ramp = make("canvas", { width: 200 * SCALE, height: 12 * SCALE });
  drawRamp(ramp, ...about.range);
  context.drawImage(ramp, 12, 10, 200, 12);
  context.fillStyle = "#18211f";
  context.font = "11px system-ui, sans-serif";
  context.fillText(`≤ ${short(about.range[0])}`, 12, 34);
  const most = `≥ ${short(about.range[1])}`;
  context.fillText(most, 212 - context.measureText(most).width, 34);
  context.font = "600 12px system-ui, sans-serif";
  context.fillText(about.title, 226, 20, wide - 238);
  context.font = "11px system-ui, sans-serif";
  const slot =
    state.view.slots.length > 1
      ? `, ${state.view.slots[state.slot].label}`
      : "";
  context.fillText(
    [about.label + slot, ...about.doubts].join("; "),
    226,
    35,
    wide - 238,
  );
  context.fillStyle = "#51605c";
  context.font = "9.5px system-ui, sans-serif";
  context.fillText(state.view.attribution, 12, 54, wide - 24);
  canvas.toBlob((blob) => {
    if (blob) save(blob, `${about.name}.png`);
  }, "image/png");
}

/**
 * @param {Blob} content
 * @param {string} name
 */
function save(content, name) {
  const link = make("a", {
    href: URL.createObjectURL(content),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
