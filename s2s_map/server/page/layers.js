// The lists to choose from: layers that are written, questions that were asked.
import { Failed, send } from "./api.js";
import { askAgain } from "./ask.js";
import { byId, make, say } from "./dom.js";
import { change, described, onChange, same, state } from "./store.js";
import { loadView } from "./watch.js";

/** @typedef {import("./types.d.ts").Shown} Shown */

export function initLayers() {
  onChange((changed) => {
    if (changed.has("view")) listLayers();
    if (changed.has("questions")) listAsked();
    if (changed.has("view") || changed.has("questions") || changed.has("other"))
      listOthers();
    if (changed.has("shown")) mark();
  });
  byId("compare").addEventListener("change", (event) => {
    const value = /** @type {HTMLSelectElement} */ (event.target).value;
    const split = value.indexOf(":");
    change({
      other: value
        ? {
            kind: /** @type {any} */ (value.slice(0, split)),
            key: value.slice(split + 1),
          }
        : null,
    });
  });
}

function listLayers() {
  byId("layers").replaceChildren(
    ...state.view.layers.map((layer) => {
      const named =
        layer.title === layer.name ? null : make("small", {}, layer.name);
      const doubts = layer.doubts.length
        ? make("small", { className: "doubt" }, layer.doubts.join("; "))
        : null;
      return choice({ kind: "layer", key: layer.name }, layer.title, [
        named,
        doubts,
      ]);
    }),
  );
  mark();
}

function listAsked() {
  byId("asked-section").hidden = state.questions.length === 0;
  byId("asked").replaceChildren(
    ...state.questions.map((question) => {
      const notes = question.notes.map((note) => make("small", {}, note));
      const keep = make(
        "button",
        {
          type: "button",
          className: "small",
          onclick: () => keepAsLayer(question.id, keep),
        },
        "Keep",
      );
      keep.setAttribute("aria-label", `Keep ${question.title} as a layer`);
      const forget = make(
        "button",
        {
          type: "button",
          className: "icon",
          onclick: () => forgetQuestion(question.id),
        },
        "✕",
      );
      forget.setAttribute("aria-label", `Forget ${question.title}`);
      return choice(
        { kind: "question", key: question.id },
        question.title,
        notes,
        keep,
        forget,
      );
    }),
  );
  mark();
}

/**
 * @param {Shown} shown
 * @param {string} title
 * @param {(HTMLElement | null)[]} under
 * @param {...HTMLElement} more
 */
function choice(shown, title, under, ...more) {
  const input = make("input", {
    type: "radio",
    name: "shown",
    value: `${shown.kind}:${shown.key}`,
    onchange: () => change({ shown, above: null }),
  });
  const text = make("span", {}, title, ...under);
  return make("li", {}, make("label", {}, input, text), ...more);
}

function mark() {
  for (const input of document.querySelectorAll('input[name="shown"]')) {
    const radio = /** @type {HTMLInputElement} */ (input);
    radio.checked = radio.value === `${state.shown.kind}:${state.shown.key}`;
  }
}

function listOthers() {
  const select = /** @type {HTMLSelectElement} */ (byId("compare"));
  const options = [
    make("option", { value: "" }, "nothing"),
    ...state.view.layers.map((layer) =>
      make("option", { value: `layer:${layer.name}` }, layer.title),
    ),
    ...state.questions.map((question) =>
      make("option", { value: `question:${question.id}` }, question.title),
    ),
  ];
  select.replaceChildren(...options);
  select.value = state.other ? `${state.other.kind}:${state.other.key}` : "";
}

/** @param {string} id */
function forgetQuestion(id) {
  const gone = { kind: /** @type {const} */ ("question"), key: id };
  const first = {
    kind: /** @type {const} */ ("layer"),
    key: state.view.layers[0].name,
  };
  change({
    questions: state.questions.filter((question) => question.id !== id),
    ...(same(state.shown, gone) ? { shown: first } : {}),
    ...(same(state.other, gone) ? { other: null } : {}),
  });
}

/**
 * @param {string} id
 * @param {HTMLButtonElement} button
 */
async function keepAsLayer(id, button) {
  const about = described({ kind: "question", key: id });
  button.disabled = true;
  button.textContent = "Keeping…";
  try {
    const kept = await send("/api/keep", { question: id });
    const others = state.questions.filter((question) => question.id !== id);
    await loadView();
    change({ questions: [], shown: { kind: "layer", key: kept.layer } });
    // Their answers are to what lay there before.
    await askAgain(others, state.shown);
    say(`${kept.replaced ? "replaced" : "kept as"} the layer ${kept.layer}`);
  } catch (error) {
    say(
      `${about?.title ?? "it"} was not kept: ${error instanceof Failed ? error.message : error}`,
      12,
    );
    button.disabled = false;
    button.textContent = "Keep";
  }
}
