// Small pieces that several views show.

import { el, svg } from "./dom.js";
import { count } from "./format.js";
import { byState } from "./states.js";

/**
 * A button.
 * @param {string} text
 * @param {() => void} press
 * @param {string} [kind]
 */
export function button(text, press, kind = "") {
  return el("button", { type: "button", class: `button ${kind}`, text, on: { click: press } });
}

/**
 * A menu of buttons and links. It closes when one of them was chosen, when the keyboard leaves it, and by Escape.
 * @param {string} title
 * @param {(HTMLElement | false | null | undefined)[]} entries
 */
export function menu(title, entries) {
  const summary = el("summary", { class: "button", text: title });
  const node = el(
    "details",
    { class: "menu-of" },
    summary,
    el("div", { class: "menu" }, entries.filter((entry) => entry instanceof HTMLElement)),
  );
  node.addEventListener("keydown", (event) => {
    const all = [summary, .../** @type {NodeListOf<HTMLElement>} */ (node.querySelectorAll(".menu > *"))];
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      node.open = false;
      summary.focus();
    } else if (step && at >= 0) {
      event.preventDefault();
      node.open = true;
      all[Math.min(all.length - 1, Math.max(0, at + step))].focus();
    }
  });
  node.addEventListener("focusout", (event) => {
    const inside = event.relatedTarget instanceof Node && node.contains(event.relatedTarget);
    if (!inside && !node.matches(":hover")) node.open = false;
  });
  node.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest(".menu > *")) node.open = false;
  });
  return node;
}

/**
 * What a view shows while there is nothing else to show.
 * @param {"empty" | "loading" | "error"} kind
 * @param {string} title
 * @param {...(Node | string)} more
 */
export function notice(kind, title, ...more) {
  return el("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" }, el("p", { class: "title", text: title }), more);
}

/**
 * What a view shows when it cannot be shown.
 * @param {unknown} error
 * @param {() => void} again
 */
export function failure(error, again) {
  const text = error instanceof Error ? error.message : String(error);
  return notice("error", "This cannot be shown", el("p", { text }), el("div", { class: "buttons" }, button("Try again", again)));
}

/**
 * How far something is.
 * @param {number} done
 * @param {number} all
 * @param {string} label
 */
export function progress(done, all, label) {
  const share = all > 0 ? Math.min(1, done / all) : 0;
  const bar = el("div", { class: "bar", role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100) }, el("span"));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${share * 100}%`;
  return bar;
}

/**
 * Trials by state in words.
 * @param {import("../types/api.js").Counts | undefined} counts
 */
export function stateWords(counts) {
  return byState(counts)
    .map(({ look, count: number }) => `${count(number)} ${look.word.toLowerCase()}`)
    .join(", ");
}

/**
 * Trials by state as one bar; in words for those who cannot see it.
 * @param {import("../types/api.js").Counts | undefined} counts
 * @param {number} [all] how many there are to be; the bar is as long as these
 */
export function stateBar(counts, all = 0) {
  const parts = byState(counts);
  const words = stateWords(counts);
  const bar = el(
    "div",
    { class: "states", role: "img", "aria-label": words || "no trials", title: words || "no trials" },
    parts.map(({ look, count: number }) => {
      const part = el("span", { class: `tone-${look.tone}` });
      part.style.flexGrow = String(number);
      return part;
    }),
  );
  const missing = all - parts.reduce((sum, { count: number }) => sum + number, 0);
  if (missing > 0) {
    const rest = el("span", { class: "missing" });
    rest.style.flexGrow = String(missing);
    bar.append(rest);
  }
  return bar;
}

/**
 * Best values as a small picture.
 * @param {{ended: number, value: number}[]} steps where the best value changed
 * @param {number} ended trials in all
 */
export function spark(steps, ended) {
  const [width, height, edge] = [120, 28, 3];
  const picture = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (steps.length === 0) return picture;
  const values = steps.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (/** @type {number} */ at) => edge + ((width - 2 * edge) * (at - 1)) / Math.max(1, ended - 1);
  const y = (/** @type {number} */ value) => (high === low ? height / 2 : height - edge - ((height - 2 * edge) * (value - low)) / (high - low));
  let path = `M${x(steps[0].ended)} ${y(steps[0].value)}`;
  for (const { ended: at, value } of steps.slice(1)) path += `H${x(at).toFixed(1)}V${y(value).toFixed(1)}`;
  path += `H${x(Math.max(ended, 1)).toFixed(1)}`;
  const last = steps[steps.length - 1];
  picture.append(svg("path", { d: path }), svg("circle", { cx: x(Math.max(ended, 1)), cy: y(last.value), r: 2.5 }));
  return picture;
}

/**
 * A name and what belongs to it.
 * @param {[string, Node | string | null | undefined | false][]} pairs
 * @param {string} kind
 */
export function facts(pairs, kind = "facts") {
  return el(
    "dl",
    { class: kind },
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "").map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, value))),
  );
}

/** A UUID, also where `crypto.randomUUID` is missing: on pages by plain HTTP from another machine. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
