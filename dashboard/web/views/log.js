// What a trial's program printed, followed while it runs.

import { api, refusal } from "../api.js";
import { el, fill } from "../dom.js";
import { wait } from "../live.js";

/** Bytes before the end from which a log is shown, and characters that are kept. */
const TAIL = 256 * 1024;
const KEPT = 1_000_000;

/**
 * @param {object} options
 * @param {string} options.study
 * @param {string} options.trial
 * @param {AbortSignal} options.signal
 */
export function logPanel({ study, trial, signal }) {
  let [attempt, stderr] = [0, false];
  let current = new AbortController();
  signal.addEventListener("abort", () => current.abort());

  const text = el("pre", { class: "log", tabindex: 0, role: "log", "aria-label": "Log", "aria-live": "off" });
  const status = el("span", { class: "quiet" });
  const out = el("select", { class: "tool", "aria-label": "Stream" }, el("option", { value: "", text: "stdout" }), el("option", { value: "1", text: "stderr" }));
  const which = el("select", { class: "tool", "aria-label": "Attempt", hidden: true });
  const whole = el("a", { class: "tool", href: "/", target: "_blank", rel: "noopener", text: "Raw" });
  const save = el("a", { class: "tool", href: "/", download: "", text: "Save" });
  const node = el("section", { class: "log-panel" }, el("header", { class: "section" }, el("h2", { text: "Log" }), status, el("div", { class: "filters" }, which, out, whole, save)), text);

  const atEnd = () => text.scrollHeight - text.scrollTop - text.clientHeight < 24;
  /** @param {string} more */
  const add = (more) => {
    const follow = atEnd();
    text.append(more);
    let length = text.textContent?.length ?? 0;
    while (length > KEPT && text.firstChild && text.childNodes.length > 1) {
      length -= text.firstChild.textContent?.length ?? 0;
      text.firstChild.remove();
    }
    if (follow) text.scrollTop = text.scrollHeight;
  };

  const read = async () => {
    current.abort();
    current = new AbortController();
    const stop = current.signal;
    const fields = { attempt: attempt || undefined, stderr };
    whole.setAttribute("href", api.log(study, trial, fields));
    save.setAttribute("href", api.log(study, trial, fields));
    save.setAttribute("download", `${study}-${trial}${attempt ? `-attempt-${attempt}` : ""}.${stderr ? "stderr" : "stdout"}.txt`);
    for (let tries = 0; !stop.aborted; tries += 1) {
      let heard = false;
      try {
        const answer = await fetch(api.log(study, trial, { ...fields, tail: TAIL, follow: true }), { signal: stop });
        if (!answer.ok) {
          const refused = refusal(answer.status, await answer.text());
          if (!refused.away) {
            fill(text);
            status.textContent = refused.message;
            return;
          }
          throw refused;
        }
        fill(text);
        status.textContent = "following";
        heard = true;
        const decoder = new TextDecoder();
        const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          add(decoder.decode(value, { stream: true }));
        }
        status.textContent = text.textContent ? "" : "nothing was printed";
        return;
      } catch {
        if (stop.aborted) return;
        status.textContent = "not connected, trying again";
        await new Promise((resolve) => setTimeout(resolve, wait(heard ? 0 : tries)));
      }
    }
  };
  out.addEventListener("change", () => ((stderr = out.value === "1"), void read()));
  which.addEventListener("change", () => ((attempt = Number(which.value)), void read()));
  return {
    node,
    /**
     * A trial has had so many attempts; the newest is followed unless another one was chosen.
     * @param {number} attempts
     */
    setAttempts(attempts) {
      if (which.options.length === attempts + 1 || attempts === 0) return;
      which.hidden = attempts < 2;
      fill(which, el("option", { value: "0", text: "newest attempt" }), Array.from({ length: attempts }, (_, index) => el("option", { value: index + 1, text: `attempt ${index + 1}` })));
      which.value = String(attempt);
      if (attempt === 0) void read();
    },
  };
}
