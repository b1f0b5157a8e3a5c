// Why a place answers as it does: the patch that the model saw, and where in it the sound is.
import { Failed, send } from "./api.js";
import { make, short } from "./dom.js";
import { asQuery, described, state } from "./store.js";

/** @param {{lon: number, lat: number}} place */
export function whySection(place) {
  const section = make("section", { className: "why" });
  const title = described(state.shown)?.title ?? "";
  const button = make(
    "button",
    { type: "button", className: "small" },
    `Why “${title}” here?`,
  );
  button.addEventListener("click", async () => {
    const waiting = make(
      "p",
      { className: "waiting", role: "status" },
      "looking at the imagery again…",
    );
    button.replaceWith(waiting);
    try {
      const found = await send("/api/why", {
        ...place,
        ...asQuery(state.shown),
        slot: state.slot,
      });
      waiting.replaceWith(...drawn(found));
    } catch (error) {
      const reason = error instanceof Failed ? error.message : String(error);
      waiting.replaceWith(make("p", { className: "doubt" }, reason));
    }
  });
  section.append(button);
  return section;
}

/** @param {any} found */
function drawn(found) {
  const picture = make("canvas", { width: 224, height: 224 });
  const heat = make("canvas", { width: 224, height: 224 });
  const image = new Image();
  image.addEventListener("load", () => {
    for (const canvas of [picture, heat])
      canvas
        .getContext("2d")
        ?.drawImage(image, 0, 0, canvas.width, canvas.height);
    drawHeat(heat, found.heat);
    for (const canvas of [picture, heat]) cross(canvas, found.mark);
  });
  image.src = found.patch;
  for (const [canvas, what] of /** @type {const} */ ([
    [picture, `The patch of ${found.patch_m} m that the model saw`],
    [heat, "Where in it the sound is found: bright is more"],
  ])) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", what);
  }
  const codes = make("ol", { className: "codes" });
  for (const code of found.codes) {
    const about = `${Math.round(100 * code.share)} % ${code.texts.join("; ")}`;
    codes.append(make("li", {}, about));
  }
  return [
    make("h3", {}, `Why “${found.title}”`),
    make(
      "div",
      { className: "patch" },
      make(
        "figure",
        {},
        picture,
        make("figcaption", {}, `patch, ${found.patch_m} m`),
      ),
      make("figure", {}, heat, make("figcaption", {}, "where in it")),
    ),
    make(
      "p",
      { className: "quiet" },
      `cosine similarity ${short(found.similarity)} of the patch, ${short(found.cell_similarity)} of the cell. What the patch is a mix of, in the model's words:`,
    ),
    codes,
  ];
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {(number | null)[][]} heat
 */
function drawHeat(canvas, heat) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const seen = /** @type {number[]} */ (
    heat.flat().filter((value) => value !== null)
  );
  const [low, high] = [Math.min(...seen), Math.max(...seen)];
  const side = canvas.width / heat.length;
  const { ramp } = state.view;
  context.save();
  context.globalCompositeOperation = "saturation";
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.restore();
  heat.forEach((row, y) =>
    row.forEach((value, x) => {
      if (value === null) return;
      const share = high > low ? (value - low) / (high - low) : 0;
      const [r, g, b] = ramp[Math.round(share * (ramp.length - 1))];
      context.fillStyle = `rgb(${r} ${g} ${b} / 70%)`;
      context.fillRect(x * side, y * side, side, side);
    }),
  );
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {[number, number]} mark
 */
function cross(canvas, [across, down]) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const [x, y] = [across * canvas.width, down * canvas.height];
  for (const [colour, width] of /** @type {const} */ ([
    ["white", 4],
    ["black", 1.6],
  ])) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x - 9, y);
    context.lineTo(x + 9, y);
    context.moveTo(x, y - 9);
    context.lineTo(x, y + 9);
    context.stroke();
  }
}
