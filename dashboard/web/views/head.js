// What stands above all parts of a study's page: how it stands, what can be done to it, and its figures.

import { api } from "../api.js";
import { attempt, confirm } from "../dialog.js";
import { el, fill } from "../dom.js";
import { count, duration, gpuHours, measure, num, seconds } from "../format.js";
import { use } from "../later.js";
import { button, facts, menu, progress, stateBar, stateWords } from "../parts.js";
import { prose } from "../prose.js";
import { address, go } from "../router.js";
import { allOf, badge, endedOf, hasEnded, studyLook } from "../states.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("./model.js").StudyModel} StudyModel */

/** What a head shows, to leave it alone where nothing has changed: somebody may be about to press its buttons. */
const heads = new WeakMap();

/**
 * @param {HTMLElement} head
 * @param {Study} study
 * @param {StudyModel} model
 */
export function drawHead(head, study, model) {
  const { name } = model;
  const shape = JSON.stringify([study.state, study.stateReason, study.pendingReason, study.doneReason, study.spec.message, study.spec.project, study.warnings]);
  if (heads.get(head) === shape) return;
  heads.set(head, shape);
  const set = async (/** @type {Promise<Study | undefined>} */ work) => {
    const after = await work;
    if (after) model.setStudy(after);
  };
  const steer = (/** @type {"pause" | "resume" | "stop" | "archive"} */ what, /** @type {string} */ done) => set(attempt(() => api.steer(name, what), done));
  const stop = async () => {
    const running = num(study.counts?.running ?? 0);
    const text = `${running ? `${count(running)} running trial${running === 1 ? " is" : "s are"} cancelled` : "Nothing runs at the moment"}, and no new ones start. A study that was stopped cannot go on.`;
    if (await confirm({ title: `Stop ${name}?`, text, action: "Stop the study", danger: true })) await steer("stop", "The study stops.");
  };
  const remove = async () => {
    const text = `All ${count(allOf(study.counts))} trials with their curves are deleted for good.`;
    if (!(await confirm({ title: `Delete ${name}?`, text, action: "Delete for good", danger: true }))) return;
    if (await attempt(() => api.deleteStudy(name), "The study was deleted.")) go("/");
  };
  const describe = async () => {
    const message = await (await use("note-edit.js", model.signal))?.write({ title: `Message of ${name}`, label: "Message", value: study.spec.message ?? "" });
    if (typeof message === "string") await set(attempt(() => api.setMessage(name, message), "Saved."));
  };
  const add = async () => {
    const trial = await (await use("views/add-trial.js", model.signal))?.addTrial(name, model.study ?? study);
    if (trial) go(address("studies", name, "trials", String(trial.number)));
  };
  const raised = study.state === "STUDY_STATE_DONE" && study.doneReason === "DONE_REASON_BUDGET";
  const buttons = [
    study.state === "STUDY_STATE_ACTIVE" && button("Pause", () => steer("pause", "Paused: running trials go on, no new ones start.")),
    (study.state === "STUDY_STATE_PAUSED" || raised) && button("Resume", () => steer("resume", "The study goes on.")),
    button("Edit\u2026", async () => {
      const after = await (await use("views/edit.js", model.signal))?.editStudy(name, model.study ?? study);
      if (after) model.setStudy(after);
    }),
    !hasEnded(study) && button("Stop\u2026", stop, "danger-quiet"),
    menu("More", [
      // Results from elsewhere are taken after its end, too.
      study.state !== "STUDY_STATE_ARCHIVED" && button(hasEnded(study) ? "Add result\u2026" : "Add trial\u2026", add),
      el("a", { class: "button", href: `${address("new")}?from=${encodeURIComponent(name)}`, text: "Clone\u2026" }),
      button("Zoom in\u2026", async () => (await use("views/zoom-dialog.js", model.signal))?.zoomAround(name, model.study ?? study)),
      button("Message\u2026", describe),
      button("Export\u2026", async () => (await use("views/export.js", model.signal))?.exportStudy(name)),
      button("Replay\u2026", async () => (await use("views/replay.js", model.signal))?.replay(name, allOf((model.study ?? study).counts))),
      study.state === "STUDY_STATE_DONE" && button("Archive", () => steer("archive", "Archived: hidden from the list.")),
      hasEnded(study) && button("Delete\u2026", remove, "danger-quiet"),
    ]),
  ];
  const reason = study.stateReason || study.pendingReason;
  const active = head.contains(document.activeElement) ? document.activeElement?.textContent : null;
  fill(
    head,
    el("nav", { class: "path", "aria-label": "Path" }, el("a", { href: "/", text: "Studies" }), study.spec.project && [" / ", el("a", { href: `/?project=${encodeURIComponent(study.spec.project)}`, text: study.spec.project })]),
    el("div", { class: "title-row" }, el("h1", { title: name, text: name }), badge(studyLook(study)), reason && el("span", { class: "quiet reason", text: reason }), el("div", { class: "buttons" }, buttons.filter((one) => one !== false))),
    study.spec.message && el("div", { class: "lead" }, prose(study.spec.message, { level: 2, label: "Message" })),
    ...(study.warnings ?? []).map((text) => el("p", { class: "warning", text })),
  );
  if (active) [...head.querySelectorAll("button")].find(({ textContent }) => textContent === active)?.focus();
}

/** @param {Study} study */
const usesGpus = ({ spec, spending }) => Boolean(spec.trial?.resources?.gpus || spec.budget?.gpuHours || spending?.gpuHours);

/**
 * @param {HTMLElement} overview
 * @param {Study} study
 * @param {(trial: number | string) => string} trialAddress
 */
export function drawOverview(overview, study, trialAddress) {
  const { counts, spending, spec, best, paretoSet } = study;
  const ended = endedOf(counts);
  const budget = num(spec.budget?.trials);
  const words = Number.isFinite(budget) ? `${count(ended)} of ${count(budget)}` : `${count(ended)} ended`;
  const running = num(counts?.running ?? 0);
  const trials = el(
    "div",
    { class: "figure" },
    el("b", { class: "number", text: words }),
    Number.isFinite(budget) && progress(ended, budget, `${words} trials`),
    el("span", { class: "quiet", text: running ? `${count(running)} running` : "none running" }),
  );
  const top = paretoSet?.length
    ? el("div", { class: "figure" }, el("b", { class: "number", text: `${paretoSet.length} trials` }), el("span", { class: "quiet", text: "Pareto set" }))
    : el("div", { class: "figure" }, el("b", { class: "number", text: measure(best?.value) }), el("span", { class: "quiet" }, spec.objective?.metric ?? "", best && " \u00b7 ", best && el("a", { href: trialAddress(String(best.number)), text: `trial ${best.number}` })));
  const plain = (/** @type {string} */ value, /** @type {string} */ what = "") => el("div", { class: "figure" }, el("b", { class: "number", text: value }), what && el("span", { class: "quiet", text: what }));
  const saved = num(study.stepsSaved ?? 0);
  const cost = spending?.currency ? plain(measure(spending.cost ?? 0), spending.currency) : null;
  const next = facts(
    [
      ["Trials", trials],
      ["Best", top],
      ["By state", el("div", { class: "figure" }, stateBar(counts), el("span", { class: "quiet", text: stateWords(counts) || "none yet" }))],
      ["Active for", plain(duration(seconds(spending?.wallTime)))],
      ["GPU hours", usesGpus(study) && plain(gpuHours(spending?.gpuHours))],
      ["Cost", cost],
      ["Saved by stopping early", saved > 0 && plain(count(saved), `${spec.trial?.steps?.name ?? "step"}s`)],
      ["Strategy", plain(spec.strategy?.name ?? "", study.strategyNote ?? "")],
    ],
    "overview",
  );
  const before = overview.firstElementChild;
  if (before?.isEqualNode(next) || overview.contains(document.activeElement)) return;
  fill(overview, next);
}
