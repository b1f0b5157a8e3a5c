// Asking: a line, further parts to add or take off, a recording.
import { Failed, send, sendFile } from "./api.js";
import { byId, foldPanel, make, say } from "./dom.js";
import { record } from "./microphone.js";
import { change, state } from "./store.js";

/** @typedef {import("./types.d.ts").Question} Question */
/** @typedef {import("./types.d.ts").Shown} Shown */
/** @typedef {{id: string, name: string, seconds: number}} Recording */

/** @type {Recording | null} */
let recording = null;
const MOST_KEPT = 12;

export function initAsk() {
  const form = byId("ask");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void askForm();
  });
  // The model is loaded while the question is typed.
  byId("question").addEventListener(
    "focus",
    () => void send("/api/prepare", {}).catch(() => undefined),
    { once: true },
  );
  byId("add-part").addEventListener("click", () => addPart(false));
  byId("minus-part").addEventListener("click", () => addPart(true));
  const file = /** @type {HTMLInputElement} */ (byId("recording-file"));
  byId("choose-recording").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files?.[0]) void take(file.files[0], file.files[0].name);
    file.value = "";
  });
  const panel = byId("panel");
  panel.addEventListener("dragover", (event) => {
    event.preventDefault();
    panel.classList.add("dropping");
  });
  panel.addEventListener("dragleave", () => panel.classList.remove("dropping"));
  panel.addEventListener("drop", (event) => {
    event.preventDefault();
    panel.classList.remove("dropping");
    const dropped = event.dataTransfer?.files[0];
    if (dropped) void take(dropped, dropped.name);
  });
  record(
    /** @type {HTMLButtonElement} */ (byId("microphone")),
    (wav) => void take(wav, "microphone.wav"),
  );
}

/** @param {boolean} minus */
function addPart(minus) {
  const what = minus ? "Without what" : "And what";
  const input = make("input", {
    type: "text",
    maxLength: 300,
    placeholder: minus ? "traffic" : "birds",
  });
  input.setAttribute("aria-label", what);
  const remove = make("button", { type: "button", className: "icon" }, "✕");
  remove.setAttribute("aria-label", "Remove this part");
  const part = make(
    "li",
    { data: { minus: String(minus) } },
    make("span", { className: "sign" }, minus ? "without" : "and"),
    input,
    remove,
  );
  remove.addEventListener("click", () => part.remove());
  byId("parts").append(part);
  input.focus();
}

async function askForm() {
  const main = /** @type {HTMLInputElement} */ (byId("question")).value.trim();
  const texts = main ? [main] : [];
  /** @type {string[]} */
  const minus = [];
  for (const part of byId("parts").children) {
    const text = /** @type {HTMLInputElement} */ (
      part.querySelector("input")
    ).value.trim();
    const taken = /** @type {HTMLElement} */ (part).dataset.minus === "true";
    if (text) (taken ? minus : texts).push(text);
  }
  if (!texts.length && !recording) {
    say("Type what to listen for, or choose a recording.");
    byId("question").focus();
    return;
  }
  await ask(texts, minus, recording ?? undefined);
}

/**
 * Ask, show the answer, and list the question.
 * @param {string[]} texts
 * @param {string[]} minus
 * @param {{id: string, name: string}} [heard]
 * @returns {Promise<string | null>} its id; null if it could not be asked
 */
export async function ask(texts, minus, heard) {
  const button = /** @type {HTMLButtonElement} */ (byId("ask-button"));
  button.disabled = true;
  const slow = setTimeout(
    () => say("The model is being loaded, once…", 20),
    1500,
  );
  try {
    const found = await send("/api/questions", {
      texts,
      minus,
      recording: heard?.id,
    });
    /** @type {Question} */
    const question = { ...found, asked: { texts, minus, recording: heard } };
    const others = state.questions.filter((one) => one.id !== question.id);
    change({
      questions: [question, ...others].slice(0, MOST_KEPT),
      shown: { kind: "question", key: question.id },
      above: null,
    });
    // On a phone the answer lies below the panel.
    if (matchMedia("(max-width: 640px)").matches) foldPanel(true);
    const doubt = question.doubts.join("; ");
    say(
      doubt ? `${question.title}: ${doubt}` : `drawn: ${question.title}`,
      doubt ? 10 : 3,
    );
    return question.id;
  } catch (error) {
    say(error instanceof Failed ? error.message : String(error), 12);
    return null;
  } finally {
    clearTimeout(slow);
    button.disabled = false;
  }
}

/**
 * Ask questions anew, as after the run was written again, and show again what was shown.
 * @param {Question[]} before
 * @param {Shown} shown
 */
export async function askAgain(before, shown) {
  let show = state.shown;
  const { above } = state;
  for (const question of [...before].reverse()) {
    const { texts, minus, recording: heard } = question.asked;
    const id = await ask(texts, minus, heard);
    if (id && shown.kind === "question" && shown.key === question.id)
      show = { kind: "question", key: id };
  }
  if (before.length) change({ shown: show, above });
}

/**
 * @param {Blob} file
 * @param {string} name
 */
async function take(file, name) {
  const line = byId("recording");
  line.hidden = false;
  line.textContent = "sending…";
  try {
    if (file.size > 50e6) throw new Failed("a recording is 50 MB at most", 413);
    const taken = await sendFile("/api/recordings", file, name);
    recording = taken;
    const drop = make(
      "button",
      { type: "button", className: "icon", onclick: forget },
      "✕",
    );
    drop.setAttribute("aria-label", "Take the recording off");
    line.replaceChildren(`recording ${taken.name}, ${taken.seconds} s `, drop);
    const texts = /** @type {HTMLInputElement} */ (
      byId("question")
    ).value.trim();
    if (!texts && !byId("parts").children.length) await ask([], [], taken);
  } catch (error) {
    forget();
    say(error instanceof Failed ? error.message : String(error), 12);
  }
}

function forget() {
  recording = null;
  byId("recording").hidden = true;
}
