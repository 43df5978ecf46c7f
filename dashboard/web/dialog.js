// Questions before something dangerous, short texts to be edited, and short messages about what was done.

import { el } from "./dom.js";

/**
 * Shows a dialog until it is closed. The browser itself keeps the keyboard within it, closes it by Escape and gives the focus back.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>} the value of the button that closed it
 */
export function ask(dialog) {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/**
 * @param {string} title
 * @param {(Node | string)[]} body
 * @param {HTMLElement[]} buttons
 */
export function frame(title, body, buttons) {
  const close = () => dialog.close("");
  const form = el("form", { method: "dialog" }, el("h2", { id: "dialog-title", text: title }), el("div", { class: "dialog-body" }, body), el("div", { class: "buttons" }, buttons));
  const dialog = el("dialog", { "aria-labelledby": "dialog-title", on: { click: (/** @type {Event} */ event) => event.target === dialog && close() } }, form);
  // The page's policy forbids forms to be sent, which browsers apply to this method, too.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const by = event.submitter;
    dialog.close(by instanceof HTMLButtonElement ? by.value : "");
  });
  return dialog;
}

/**
 * Whether something is to be done.
 * @param {{title: string, text: string, action: string, danger?: boolean}} question
 */
export async function confirm({ title, text, action, danger }) {
  const dialog = frame(
    title,
    [el("p", { text })],
    [el("button", { type: "submit", value: "", class: "button", autofocus: danger, text: "Cancel" }), el("button", { type: "submit", value: "yes", class: danger ? "button danger" : "button primary", autofocus: !danger, text: action })],
  );
  return (await ask(dialog)) === "yes";
}

/**
 * A text as somebody has changed it; null if they have not.
 * @param {{title: string, label: string, value: string, action: string}} question
 */
export async function edit({ title, label, value, action }) {
  const area = el("textarea", { rows: 4, "aria-label": label, autofocus: true });
  area.value = value;
  const dialog = frame(title, [area], [el("button", { type: "submit", value: "", class: "button", text: "Cancel" }), el("button", { type: "submit", value: "yes", class: "button primary", text: action })]);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) dialog.close("yes");
  });
  const answer = await ask(dialog);
  return answer === "yes" && area.value !== value ? area.value : null;
}

/**
 * What comes of something that is filled in and then carried out. While it is refused the dialog stays, and says why; null if it was left.
 * @template T
 * @param {{title: string, body: (Node | string)[], action: string, work: () => Promise<T>}} question
 * @returns {Promise<T | null>}
 */
export async function carryOut({ title, body, action, work }) {
  const problem = el("p", { class: "problem", role: "alert" });
  const run = el("button", { type: "submit", value: "yes", class: "button primary", text: action });
  const dialog = frame(title, [...body, problem], [el("button", { type: "button", class: "button", text: "Cancel", on: { click: () => dialog.close("") } }), run]);
  dialog.classList.add("wide");
  /** @type {T | null} */
  let result = null;
  dialog.addEventListener(
    "submit",
    (event) => {
      event.preventDefault();
      event.stopPropagation();
      run.disabled = true;
      problem.textContent = "";
      Promise.resolve()
        .then(work)
        .then(
          (done) => {
            result = done;
            dialog.close("yes");
          },
          (error) => {
            problem.textContent = error instanceof Error ? error.message : String(error);
            run.disabled = false;
          },
        );
    },
    { capture: true },
  );
  await ask(dialog);
  return result;
}

/** What the keyboard does. */
export function help() {
  if (document.querySelector("dialog[open]")) return;
  const keys = [
    ["/", "search"],
    ["t", "to the table"],
    ["\u2191 \u2193", "from row to row; also Page Up, Page Down, Home, End"],
    ["Enter", "open the row"],
    ["Space", "tick the row, to compare it with others"],
    ["n, l", "edit the note or the tags of the trial in the row"],
    ["n", "a new study, in the list of studies"],
    ["g s", "studies"],
    ["g w", "workers"],
    ["u", "up: from a trial to its study, from there to all"],
    ["d", "light or dark"],
    ["?", "this help"],
  ];
  const list = el(
    "dl",
    { class: "keys" },
    keys.flatMap(([key, what]) => [el("dt", {}, el("kbd", { text: key })), el("dd", { text: what })]),
  );
  const charts = el("p", { class: "quiet", text: "In charts: drag to zoom into a part, double-click to see all again, click a point to open its trial. Along an axis of parallel coordinates a drag chooses trials; Filter does the same by keyboard." });
  void ask(frame("Keyboard", [list, charts], [el("button", { type: "submit", value: "", class: "button", autofocus: true, text: "Close" })]));
}

/**
 * A short message.
 * @param {string} text
 * @param {"done" | "failed"} kind
 */
export function say(text, kind = "done") {
  const place = document.getElementById("messages");
  const message = el("p", { class: `message ${kind}`, text });
  place?.append(message);
  setTimeout(() => message.remove(), kind === "done" ? 4_000 : 10_000);
}

/**
 * Does something and tells how it went.
 * @template T
 * @param {() => Promise<T>} work
 * @param {string} done
 * @returns {Promise<T | undefined>}
 */
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) say(done);
    return result;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), "failed");
    return undefined;
  }
}
