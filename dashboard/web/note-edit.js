// A longer text that is written in Markdown, with what becomes of it beside it.

import { ask, frame } from "./dialog.js";
import { el, fill } from "./dom.js";
import { gently } from "./live.js";
import { prose } from "./prose.js";

/** Between two looks at what is written, in milliseconds. */
const PAUSE = 120;
/** Of the headings in it: one below the title of the dialog. */
const LEVEL = 3;

/**
 * A text as somebody has changed it; null if they have not.
 * @param {{title: string, label: string, value: string}} question
 */
export async function write({ title, label, value }) {
  const area = el("textarea", { rows: 14, "aria-label": label, autofocus: true, spellcheck: "true" });
  area.value = value;
  const preview = el("div", { class: "preview", tabindex: 0, role: "region", "aria-label": "Preview" });
  const ending = new AbortController();
  const draw = () => fill(preview, area.value.trim() ? prose(area.value, { level: LEVEL }) : el("p", { class: "quiet", text: "Nothing is written yet." }));
  const soon = gently(draw, PAUSE, ending.signal);
  area.addEventListener("input", soon);
  draw();
  const body = [el("div", { class: "writing" }, area, preview), el("p", { class: "quiet help" }, "Markdown: ", ...["**strong**", "*emphasis*", "`code`", "[text](address)", "- list", "- [ ] to do", "# heading"].flatMap((sign) => [el("code", { text: sign }), " "]))];
  const dialog = frame(title, body, [el("button", { type: "submit", value: "", class: "button", text: "Cancel" }), el("button", { type: "submit", value: "yes", class: "button primary", text: "Save", "aria-keyshortcuts": "Control+Enter" })]);
  dialog.classList.add("wide");
  // What was written is not lost by a click beside it, nor by a selection that ends there.
  dialog.addEventListener("click", (event) => event.target === dialog && event.stopImmediatePropagation(), { capture: true });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) dialog.close("yes");
  });
  const answer = await ask(dialog);
  ending.abort();
  return answer === "yes" && area.value !== value ? area.value : null;
}
