// Something that takes its time, in a dialog: how far it is, a way to stop it, and a way to go on where it was stopped or failed.

import { ask, frame } from "./dialog.js";
import { el, fill, setText } from "./dom.js";
import { count } from "./format.js";
import { gently, wait } from "./live.js";
import { progress } from "./parts.js";

/** Tries of a call while the coordinator is away. */
const TRIES = 6;
/** Between two looks at how far it is, in milliseconds. */
const PAUSE = 80;

/**
 * Tells how far something is.
 * @typedef {(done: number, all: number, what: string) => void} Tell `what`: what is counted, such as "trials read"
 */

/**
 * What comes of something; null if it was left.
 * @template T
 * @param {object} options
 * @param {string} options.title
 * @param {(Node | string)[]} options.body
 * @param {string} options.action
 * @param {(tell: Tell, signal: AbortSignal) => Promise<T>} options.work called again to go on where it was; nothing that it had done is lost by a stop
 * @param {() => (Node | string)[]} [options.explain] what stopping or a failure leaves, and what to do about it
 * @returns {Promise<T | null>}
 */
export async function task({ title, body, action, work, explain = () => [] }) {
  const bar = el("div", { hidden: true });
  const how = el("p", { class: "quiet number", hidden: true });
  const problem = el("p", { class: "problem", role: "alert" });
  const remains = el("div", { class: "remains" });
  const run = el("button", { type: "submit", value: "yes", class: "button primary", text: action });
  const leave = el("button", { type: "button", class: "button", text: "Cancel", on: { click: () => (running ? running.abort() : dialog.close("")) } });
  const dialog = frame(title, [...body, bar, how, problem, remains], [leave, run]);
  dialog.classList.add("wide");
  /** @type {AbortController | null} */
  let running = null;
  /** @type {T | null} */
  let result = null;
  let finished = false;
  const ending = new AbortController();
  /** @type {Parameters<Tell>} */
  let last = [0, 0, ""];
  const draw = () => {
    const [done, all, what] = last;
    bar.hidden = how.hidden = false;
    fill(bar, progress(done, all, what));
    setText(how, `${count(done)} of ${count(all)} ${what}`);
  };
  const drawSoon = gently(draw, PAUSE, ending.signal);
  /** @type {Tell} */
  const tell = (...now) => {
    last = now;
    drawSoon();
  };
  const stays = (/** @type {BeforeUnloadEvent} */ event) => event.preventDefault();
  const begin = async () => {
    const mine = new AbortController();
    running = mine;
    run.disabled = true;
    // It is where the keyboard is when the first button cannot be pressed any more.
    if (document.activeElement === run || document.activeElement === document.body) leave.focus();
    setText(leave, "Stop");
    setText(problem, "");
    fill(remains);
    addEventListener("beforeunload", stays);
    try {
      result = await work(tell, mine.signal);
      finished = true;
      dialog.close("yes");
    } catch (error) {
      if (!dialog.open) return;
      const stopped = mine.signal.aborted;
      const text = error instanceof Error ? error.message : String(error);
      setText(problem, stopped ? "Stopped." : text);
      fill(remains, explain());
      setText(run, last[1] ? "Go on" : action);
      setText(leave, "Close");
      run.disabled = false;
      run.focus();
    } finally {
      removeEventListener("beforeunload", stays);
      running = null;
    }
  };
  dialog.addEventListener("submit", (event) => (event.preventDefault(), event.stopPropagation(), void (running ?? begin())), { capture: true });
  dialog.addEventListener("click", (event) => event.target === dialog && event.stopImmediatePropagation(), { capture: true });
  dialog.addEventListener("cancel", (event) => {
    if (!running) return;
    event.preventDefault();
    running.abort();
  });
  await ask(dialog);
  ending.abort();
  /** @type {AbortController | null} */ (running)?.abort();
  return finished ? result : null;
}

/**
 * Does something, and again while the coordinator is away for a moment.
 * @template T
 * @param {() => Promise<T>} work
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
export async function steadily(work, signal) {
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const away = error instanceof Error && "away" in error && error.away;
      if (!away || tries >= TRIES) throw error;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, wait(tries));
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve(null)), { once: true });
      });
    }
  }
}
