// Making elements. Texts are always set as text: what a user wrote is never HTML.

/**
 * Return the element of an id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return /** @type {T} */ (found);
}

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties] "on..." are listeners, "data" becomes data attributes,
 *   names with a hyphen and "role" attributes, others properties.
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for")
      element.setAttribute(name, String(value));
    else /** @type {any} */ (element)[name] = value;
  }
  for (const child of children)
    if (child !== null && child !== undefined) element.append(child);
  return element;
}

/**
 * Write a number as a legend does: two significant digits, no powers of ten.
 * @param {number} value
 */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 0.00001 && size < 1000)
    return String(
      Number(value.toPrecision(size < 1 ? 2 : 3)).toFixed(decimals(value)),
    );
  return value.toExponential(1);
}

/** @param {number} value */
function decimals(value) {
  const digits = Math.abs(value) < 1 ? 2 : 3;
  const power = Math.floor(
    Math.log10(Math.abs(Number(value.toPrecision(digits)))),
  );
  return Math.max(0, digits - 1 - power);
}

/**
 * Call something only once its calls have paused.
 * @template {any[]} A
 * @param {(...given: A) => void} work
 * @param {number} wait milliseconds
 * @returns {(...given: A) => void}
 */
export function paused(work, wait) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), wait);
  };
}

/**
 * Say something for a while, aloud for who listens.
 * @param {string} text
 * @param {number} [seconds]
 */
export function say(text, seconds = 6) {
  const line = make("p", {}, text);
  byId("say").replaceChildren(line);
  setTimeout(() => line.remove(), seconds * 1000);
}

/** @param {boolean} folded whether only the panel's heading is shown */
export function foldPanel(folded) {
  const fold = byId("fold");
  byId("panel").classList.toggle("folded", folded);
  fold.setAttribute("aria-expanded", String(!folded));
  fold.setAttribute(
    "aria-label",
    folded ? "Unfold the panel" : "Fold the panel",
  );
}
