// Which axes parallel coordinates have, and in which order: a menu, kept in the address.

import { el, fill } from "../../dom.js";
import { keep } from "../../router.js";

/** @typedef {import("../dimensions.js").Dimension} Dimension */

/**
 * @param {object} options
 * @param {() => Dimension[]} options.all
 * @param {() => Dimension[]} options.usual
 * @param {URLSearchParams} options.query
 * @param {() => void} options.changed
 */
export function axesMenu({ all, usual, query, changed }) {
  /** @type {string[] | null} */
  let chosen = query.has("axes") ? (query.get("axes") ?? "").split(",").map(decoded) : null;
  let shape = "";
  const list = el("div", { class: "menu axes-menu" });
  const node = el("details", { class: "columns" }, el("summary", { class: "tool", text: "Axes" }), list);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    node.open = false;
    node.querySelector("summary")?.focus();
  });
  node.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !node.contains(event.relatedTarget)) node.open = false;
  });

  const shown = () => {
    if (!chosen) return usual();
    const known = new Map(all().map((one) => [one.id, one]));
    const found = chosen.map((id) => known.get(id)).filter((one) => one !== undefined);
    return found.length ? found : usual();
  };
  /** @param {string[]} ids @param {string} focused label of what had the keyboard */
  const choose = (ids, focused) => {
    if (!ids.length) return;
    chosen = ids;
    keep({ axes: ids.map(encodeURIComponent).join(",") });
    draw();
    /** @type {HTMLElement | null} */ ([...list.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused) ?? null)?.focus();
    changed();
  };
  const draw = () => {
    const now = shown();
    const hidden = all().filter(({ id }) => !now.some((one) => one.id === id));
    const next = JSON.stringify([now.map(({ id }) => id), hidden.map(({ id }) => id)]);
    if (next === shape) return;
    shape = next;
    const ids = now.map(({ id }) => id);
    const row = (/** @type {Dimension} */ { id, name }, /** @type {number} */ index) => {
      const label = `Show ${name}`;
      const box = el("input", { type: "checkbox", checked: index >= 0, "aria-label": label, disabled: ids.length === 1 && index === 0 });
      box.addEventListener("change", () => choose(box.checked ? [...ids, id] : ids.filter((one) => one !== id), label));
      const mover = (/** @type {string} */ word, /** @type {string} */ sign, /** @type {number} */ to) => {
        const words = `Move ${name} to the ${word}`;
        const press = () => {
          const moved = ids.filter((one) => one !== id);
          moved.splice(to, 0, id);
          choose(moved, words);
        };
        return el("button", { type: "button", class: "tool", "aria-label": words, "aria-disabled": to < 0 || to >= ids.length ? "true" : null, text: sign, on: { click: () => to >= 0 && to < ids.length && press() } });
      };
      return el("div", { class: "axis-row" }, el("label", { class: "check" }, box, name), index >= 0 && mover("left", "\u2190", index - 1), index >= 0 && mover("right", "\u2192", index + 1));
    };
    fill(list, [...now.map(row), ...hidden.map((one) => row(one, -1))]);
  };
  draw();
  return { node, shown, draw };
}

/** @param {string} text of an address */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
