// What charts of parameters are chosen by, kept in the address, and drawing them only while they are seen.

import { el, fill } from "../../dom.js";
import { keep } from "../../router.js";

/**
 * A choice that stands in the address if it is not the usual one.
 * @param {object} options
 * @param {string} options.label
 * @param {string} options.id in the address
 * @param {URLSearchParams} options.query
 * @param {() => {id: string, name: string}[]} options.options
 * @param {() => string} options.usual
 * @param {(id: string) => void} options.changed
 */
export function choice({ label, id, query, options, usual, changed }) {
  const select = el("select", { class: "tool", "aria-label": label });
  let shape = "";
  // What it is may be known only after the trials were read.
  let wanted = query.get(id) ?? "";
  const value = () => (options().some((one) => one.id === wanted) ? wanted : usual());
  const draw = () => {
    const all = options();
    const now = JSON.stringify([all, value()]);
    if (now === shape) return;
    shape = now;
    fill(select, all.map((one) => el("option", { value: one.id, selected: one.id === value(), text: one.name })));
  };
  draw();
  select.addEventListener("change", () => {
    wanted = select.value;
    keep({ [id]: wanted === usual() ? "" : wanted });
    changed(wanted);
  });
  return {
    node: select,
    draw,
    get value() {
      return value();
    },
  };
}

/**
 * A choice with a short word before it.
 * @param {string} text
 * @param {HTMLElement} node that has a longer label of its own
 */
export function labelled(text, node) {
  return el("span", { class: "labelled" }, el("span", { "aria-hidden": "true", text }), node);
}

/**
 * Calls `draw` when it is asked to and the node is near to being seen; otherwise when it comes to be.
 * @param {Element} node
 * @param {() => void} draw
 * @param {AbortSignal} signal
 */
export function whenSeen(node, draw, signal) {
  let [seen, wanted] = [false, false];
  const observer = new IntersectionObserver(
    ([entry]) => {
      seen = entry.isIntersecting;
      if (seen && wanted) (wanted = false), draw();
    },
    { rootMargin: "200px" },
  );
  observer.observe(node);
  signal.addEventListener("abort", () => observer.disconnect());
  return () => {
    if (seen) draw();
    else wanted = true;
  };
}
