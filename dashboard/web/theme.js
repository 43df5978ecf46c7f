// Light or dark: what the system says, or what was chosen here. Colours themselves are in styles/base.css.

const KEY = "tunesmith.theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** @typedef {"system" | "light" | "dark"} Choice */

const listeners = new Set(/** @type {(() => void)[]} */ ([]));

/** @returns {Choice} */
export function chosen() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

/** Applies what is chosen. */
export function apply() {
  const choice = chosen();
  const dark = choice === "system" ? DARK.matches : choice === "dark";
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Light, if it is dark, and the other way round. What the system says itself is not kept. */
export function toggle() {
  const wanted = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    if ((wanted === "dark") === DARK.matches) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, wanted);
  } catch {
    // Not kept: it is as it was at the next visit.
    document.documentElement.dataset.theme = wanted;
    for (const listener of listeners) listener();
    return;
  }
  apply();
}

/**
 * Tells of changes until `signal` says stop.
 * @param {() => void} listener
 * @param {AbortSignal} signal
 */
export function onChange(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
}

/**
 * A colour or length by its name in styles/base.css.
 * @param {string} name
 */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

DARK.addEventListener("change", apply);
