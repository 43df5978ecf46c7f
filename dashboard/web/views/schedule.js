// The parameters that a training went through, from its first ancestor on, as a study file has them that repeats it.

import { api } from "../api.js";
import { ask, attempt, frame, say } from "../dialog.js";
import { el } from "../dom.js";
import { button } from "../parts.js";
import { address } from "../router.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Trial} Trial */

/** Ancestors that are followed at most; there are never as many. */
const MOST = 100_000;

/**
 * The parts of a training, the first one first, each as it stands in a study file.
 * @param {string} study
 * @param {Study} of the same
 * @param {string} trial
 * @param {AbortSignal} [signal]
 * @returns {Promise<string[]>}
 */
export async function segments(study, of, trial, signal) {
  const order = (of.spec.space ?? []).map(({ name }) => name);
  const rank = (/** @type {string} */ name) => (order.includes(name) ? order.indexOf(name) : order.length);
  let newest = await api.trial(study, trial, { signal });
  let until = newest.lastStep;
  const parts = [];
  while (parts.length < MOST) {
    const names = Object.keys(newest.parameters ?? {}).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
    const values = names.map((name) => `${JSON.stringify(name)}: ${JSON.stringify(newest.parameters?.[name])}`);
    parts.unshift(`{${until === undefined ? "" : `until: ${until}, `}seed: ${newest.seed ?? 0}, parameters: {${values.join(", ")}}}`);
    const { parent } = newest;
    if (!parent) break;
    until = parent.step ?? 0;
    newest = await api.trial(study, String(parent.trial), { signal });
  }
  return parts;
}

/**
 * @param {string} study
 * @param {Study} of
 * @param {string} trial
 */
export async function showSchedule(study, of, trial) {
  const parts = await attempt(() => segments(study, of, trial), "");
  if (!parts) return;
  const text = `# How trial ${study}/${trial} was trained. Put it into a study file to do so again.\nstrategy:\n  name: replay\n  segments:\n${parts.map((part) => `    - ${part}\n`).join("")}`;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch {
      // Pages by plain HTTP from another machine may not; by hand it works everywhere.
      getSelection()?.selectAllChildren(shown);
      say("It is selected: copy it with Ctrl C.");
    }
  };
  const shown = el("pre", { class: "schedule", tabindex: 0, role: "region", "aria-label": "Schedule", text });
  const close = () => dialog.close("");
  const dialog = frame(
    `Schedule of trial ${trial}`,
    [el("p", { text: parts.length === 1 ? "It was trained with the same parameters from its first step to its last." : `It was trained in ${parts.length} parts, each with the parameters of one of its ancestors.` }), shown],
    [button("Copy", copy), el("a", { class: "button", href: `${address("new")}?${new URLSearchParams({ from: study, schedule: trial })}`, text: "New study that repeats it", on: { click: close } }), el("button", { type: "submit", value: "", class: "button primary", autofocus: true, text: "Close" })],
  );
  dialog.classList.add("wide");
  await ask(dialog);
}
