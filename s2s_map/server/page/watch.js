// Whether what is looked at is still what lies there: a run may go on writing, or be replaced.
import { Failed, read } from "./api.js";
import { byId, say } from "./dom.js";
import { change, described, state } from "./store.js";

const EVERY_MS = 4000;
let again = EVERY_MS;

/** Load the page's facts; what is shown stays shown if it is still there. */
export async function loadView() {
  const view = await read("/api/view");
  const layers = view.layers.map((/** @type {any} */ layer) => layer.name);
  const first = { kind: /** @type {const} */ ("layer"), key: layers[0] };
  const gone =
    state.shown.kind === "layer" && !layers.includes(state.shown.key);
  // Answers to other embeddings are not answers to these.
  const asked =
    state.view && state.view.version !== view.version ? [] : state.questions;
  const lost = state.shown.kind === "question" && !asked.length;
  const other = state.other;
  const keepOther =
    other?.kind === "layer" && layers.includes(other.key) ? other : null;
  change({
    view,
    questions: asked,
    shown: gone || lost ? first : state.shown,
    slot: state.slot < view.slots.length ? state.slot : 0,
    ...(state.view && other && !keepOther ? { other: null } : {}),
  });
}

/** @typedef {import("./types.d.ts").Question} Question */
/** @typedef {import("./types.d.ts").Shown} Shown */

/**
 * @param {(before: Question[], shown: Shown) => Promise<void>} askAgain ask questions anew, and
 *   show what was shown
 */
export function initWatch(askAgain) {
  const look = async () => {
    try {
      const now = await read("/api/version");
      again = EVERY_MS;
      byId("gone").hidden = true;
      document.documentElement.dataset.writing = String(now.writing);
      if (now.version !== state.view.version) {
        say("The run was written anew; its layers are loaded again.");
        const { questions, shown } = state;
        const before = described(shown)?.title;
        await loadView();
        await askAgain(questions, shown);
        if (before && described(state.shown)?.title !== before)
          say(`${before} is gone.`);
      }
    } catch (error) {
      again = Math.min(again * 1.5, 30_000);
      const banner = byId("gone");
      banner.hidden = false;
      banner.textContent =
        error instanceof Failed && error.status
          ? error.message
          : "The server has ended. Start s2s-map view again to go on.";
    }
    setTimeout(look, again);
  };
  setTimeout(look, again);
}
