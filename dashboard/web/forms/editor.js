// A text with numbered lines and marks where something is wrong. A plain text field, so that it does what the browser does for every other.

import { el, fill } from "../dom.js";

/** Height of a line in pixels: see styles/forms.css. */
const LINE = 18;

/**
 * @param {object} options
 * @param {string} options.label
 * @param {(text: string) => void} options.write told what somebody writes
 */
export function editor({ label, write }) {
  const numbers = el("div", { class: "line-numbers", "aria-hidden": "true" });
  const area = el("textarea", { class: "code", "aria-label": label, wrap: "off", spellcheck: "false", autocomplete: "off" });
  const node = el("div", { class: "editor" }, numbers, area);
  let shape = "";
  const draw = (/** @type {Map<number, string>} */ wrong) => {
    const count = area.value.split("\n").length;
    const now = JSON.stringify([count, [...wrong]]);
    if (now === shape) return;
    shape = now;
    fill(
      numbers,
      Array.from({ length: count }, (_, index) => el("span", { class: wrong.has(index + 1) ? "wrong" : null, title: wrong.get(index + 1) ?? null, text: String(index + 1) })),
    );
    follow();
  };
  const follow = () => {
    numbers.scrollTop = area.scrollTop;
  };
  let marks = new Map();
  area.addEventListener("input", () => {
    draw(marks);
    write(area.value);
  });
  area.addEventListener("scroll", follow);
  return {
    node,
    area,
    /**
     * Shows a text, keeping the place of the caret as well as it can.
     * @param {string} text
     * @param {Map<number, string>} wrong what is wrong, by line
     */
    show(text, wrong) {
      if (area.value !== text) {
        const [start, top] = [area.selectionStart, area.scrollTop];
        area.value = text;
        if (document.activeElement === area) area.setSelectionRange(start, start);
        area.scrollTop = top;
      }
      marks = wrong;
      draw(wrong);
    },
    /** @param {number} line */
    goTo(line) {
      const lines = area.value.split("\n");
      const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
      area.focus();
      area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
      area.scrollTop = Math.max(0, (line - 4) * LINE);
      follow();
    },
  };
}
