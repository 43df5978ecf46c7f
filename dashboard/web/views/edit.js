// What of a study may change while it lives, in a dialog: what is wrong is said at once, by the coordinator.

import { api } from "../api.js";
import { ask, attempt, frame } from "../dialog.js";
import { el, setText } from "../dom.js";
import { Draft } from "../forms/draft.js";
import { Fields } from "../forms/fields.js";
import { budget, runtime, stopping } from "../forms/limits.js";
import { address } from "../router.js";

/** @typedef {import("../../types/api.js").Study} Study */

/**
 * Lets somebody change a study. Gives it as it is afterwards, or nothing if it was not changed.
 * @param {string} name
 * @param {Study} study
 * @returns {Promise<Study | undefined>}
 */
export async function editStudy(name, study) {
  const ending = new AbortController();
  /** Shows what was found out; nothing until there is a dialog. */
  let draw = () => {};
  const draft = new Draft({ changed: () => draw(), study: `studies/${name}`, signal: ending.signal });
  const ready = await attempt(async () => {
    await draft.begin({ spec: study.spec });
    return true;
  }, "");
  if (!ready) return undefined;
  const fields = new Fields(draft);
  const sections = [budget, stopping].map((make) => make(fields));
  const hasTrial = draft.at(["trial"]) !== undefined;
  const byBudget = study.state === "STUDY_STATE_DONE" && study.doneReason === "DONE_REASON_BUDGET";
  const resume = el("input", { type: "checkbox", checked: byBudget });
  const problem = el("p", { class: "field-problem", role: "status" });
  const save = el("button", { type: "submit", value: "yes", class: "button primary", text: "Save" });
  const body = [
    el("div", { class: "row" }, fields.text({ label: "Project", path: ["project"], hint: "none" }), fields.plain({ label: "Priority", path: ["priority"], hint: "1" }), hasTrial && runtime(fields)),
    ...sections.map(({ node }) => node),
    byBudget ? el("label", { class: "check" }, resume, "Go on with it") : "",
    problem,
    el("p", { class: "quiet help" }, "Objective, space, strategy and what trials run stay as they are. For others ", el("a", { href: `${address("new")}?from=${encodeURIComponent(name)}`, text: "clone the study", on: { click: () => dialog.close("") } }), "."),
  ];
  const dialog = frame(`Edit ${name}`, body, [el("button", { type: "submit", value: "", class: "button", text: "Cancel" }), save]);
  dialog.classList.add("wide");
  draw = () => {
    if (!draft.stale) {
      for (const section of sections) section.draw();
      fields.sweep();
      const rest = fields.draw();
      setText(problem, draft.failure?.message ?? rest.map(({ path, text }) => [path, text].filter(Boolean).join(" ")).join("\n"));
    }
    save.disabled = !draft.fine || !draft.checked?.changed?.length;
  };
  const answered = ask(dialog);
  for (const section of sections) section.draw();
  draw();
  // Enter in a field is no answer while what it changes is not known.
  dialog.addEventListener("keydown", (event) => event.key === "Enter" && event.target instanceof HTMLInputElement && save.disabled && event.preventDefault());
  const answer = await answered;
  const { spec, changed = [] } = draft.checked ?? {};
  const fine = draft.fine;
  ending.abort();
  if (answer !== "yes" || !fine || !spec || changed.length === 0) return undefined;
  const { message, project, priority, budget: limits, earlyStopping, trial } = /** @type {any} */ (spec);
  const values = { message, project, priority, budget: limits, earlyStopping, trial: trial && { maxRuntime: trial.maxRuntime } };
  return attempt(async () => {
    const after = await api.updateStudy(name, changed, values);
    return byBudget && resume.checked ? api.steer(name, "resume") : after;
  }, "Saved.");
}
