// Months and hours, where a run has time slots.
import { byId, make } from "./dom.js";
import { change, onChange, state } from "./store.js";

const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );
/** @type {ReturnType<typeof setInterval> | undefined} */
let playing;

export function initSlots() {
  onChange((changed) => {
    if (changed.has("view")) build();
    if (changed.has("slot")) mark();
  });
}

function build() {
  const { slots } = state.view;
  byId("slots-section").hidden = slots.length < 2;
  // The button that would end it is made anew.
  clearInterval(playing);
  playing = undefined;
  if (slots.length < 2) return;
  const months = distinct(slots.map((slot) => slot.month));
  const hours = distinct(slots.map((slot) => slot.hour));
  const regular = slots.every(
    (slot) => slot.month !== undefined && slot.hour !== undefined,
  );
  const rows = [];
  if (regular && months.length > 1)
    rows.push(slider("month", months, (m) => MONTHS[m - 1] ?? String(m)));
  if (regular && hours.length > 1)
    rows.push(slider("hour", hours, (h) => `${h}:00`));
  if (!rows.length) {
    const select = make("select", {
      id: "slot",
      onchange: () => change({ slot: select.selectedIndex }),
    });
    select.setAttribute("aria-label", "Time slot");
    select.append(...slots.map((slot) => make("option", {}, slot.label)));
    rows.push(select);
  }
  const play = make(
    "button",
    { type: "button", className: "small", id: "play", "aria-pressed": "false" },
    "▶ Play",
  );
  play.addEventListener("click", () => toggle(play));
  byId("slots").replaceChildren(
    ...rows,
    make(
      "div",
      { className: "row" },
      play,
      make("span", { id: "slot-name", className: "quiet" }),
    ),
  );
  mark();
}

/**
 * @param {"month" | "hour"} of
 * @param {number[]} values
 * @param {(value: number) => string} named
 */
function slider(of, values, named) {
  const input = make("input", {
    type: "range",
    id: `slot-${of}`,
    min: "0",
    max: String(values.length - 1),
  });
  const output = make("output", { for: `slot-${of}` });
  input.addEventListener("input", () => {
    const wanted = {
      ...state.view.slots[state.slot],
      [of]: values[Number(input.value)],
    };
    const { slots } = state.view;
    const exact = slots.findIndex(
      (slot) => slot.month === wanted.month && slot.hour === wanted.hour,
    );
    const near = slots.findIndex((slot) => slot[of] === wanted[of]);
    change({ slot: exact >= 0 ? exact : near });
  });
  input.dataset.values = JSON.stringify(values);
  output.dataset.names = JSON.stringify(values.map(named));
  const label = make(
    "label",
    { for: `slot-${of}` },
    of === "month" ? "Month" : "Hour",
  );
  return make("div", { className: "field" }, label, input, output);
}

function mark() {
  const slot = state.view.slots[state.slot];
  for (const of of /** @type {const} */ (["month", "hour"])) {
    const input = /** @type {HTMLInputElement | null} */ (
      document.getElementById(`slot-${of}`)
    );
    if (!input) continue;
    const at = JSON.parse(input.dataset.values ?? "[]").indexOf(slot[of]);
    input.value = String(at);
    const output = /** @type {HTMLElement} */ (input.nextElementSibling);
    const text = JSON.parse(output.dataset.names ?? "[]")[at] ?? "";
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  }
  const select = /** @type {HTMLSelectElement | null} */ (
    document.getElementById("slot")
  );
  if (select) select.selectedIndex = state.slot;
  const name = document.getElementById("slot-name");
  if (name) name.textContent = slot.label;
}

/** @param {HTMLButtonElement} button */
function toggle(button) {
  const on = playing === undefined;
  clearInterval(playing);
  playing = on
    ? setInterval(
        () => change({ slot: (state.slot + 1) % state.view.slots.length }),
        1200,
      )
    : undefined;
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "❚❚ Pause" : "▶ Play";
}

/** @param {(number | undefined)[]} values */
function distinct(values) {
  return [...new Set(values.filter((value) => value !== undefined))].sort(
    (a, b) => a - b,
  );
}
