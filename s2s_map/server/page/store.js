// What the page shows now, and who is to be told when that changes.

/** @typedef {import("./types.d.ts").State} State */
/** @typedef {import("./types.d.ts").Shown} Shown */
/** @typedef {import("./types.d.ts").Layer} Layer */
/** @typedef {import("./types.d.ts").Question} Question */

/** @type {State} */
export const state = {
  view: /** @type {any} */ (null),
  questions: [],
  shown: { kind: "layer", key: "" },
  other: null,
  swipe: 50,
  opacity: 90,
  above: null,
  slot: 0,
  imagery: true,
  outlines: true,
  place: null,
  theme: "light",
};

/** @type {((changed: Set<string>) => void)[]} */
const listeners = [];

/** @param {(changed: Set<string>) => void} listener told the names of what has changed */
export function onChange(listener) {
  listeners.push(listener);
}

/** @param {Partial<State>} changes */
export function change(changes) {
  Object.assign(state, changes);
  const names = new Set(Object.keys(changes));
  for (const listener of listeners) listener(names);
}

/**
 * Return what is known of a layer or question; undefined if it is gone.
 * @param {Shown | null} shown
 * @returns {Layer | Question | undefined}
 */
export function described(shown) {
  if (!shown) return undefined;
  return shown.kind === "layer"
    ? state.view.layers.find((layer) => layer.name === shown.key)
    : state.questions.find((question) => question.id === shown.key);
}

/**
 * Return how a request names what is shown.
 * @param {Shown} shown
 * @returns {Record<string, string>}
 */
export function asQuery(shown) {
  return { [shown.kind]: shown.key };
}

/**
 * @param {Shown | null} one
 * @param {Shown | null} two
 */
export function same(one, two) {
  return one?.kind === two?.kind && one?.key === two?.key;
}
