// One trial: its parameters, its curves with what is usual among the others, why it was tried and stopped, its attempts and its log.

import { api } from "../api.js";
import { attempt, confirm, edit } from "../dialog.js";
import { el, fill } from "../dom.js";
import { between, bytes, day, duration, measure, num, parameter, short } from "../format.js";
import { use } from "../later.js";
import { follow, gently } from "../live.js";
import { button, facts, failure, menu, notice, uuid } from "../parts.js";
import { prose } from "../prose.js";
import { address, go } from "../router.js";
import { badge, isOver, isRunning, trialLook } from "../states.js";
import { chipsOf, give, read as readTags, written } from "../tags.js";
import { logPanel } from "./log.js";
import { noteOn } from "./note.js";
import { extend } from "./points.js";
import { trialCurve } from "./trial/curve.js";
import { boundsOf, trainingOf } from "./trial/facts.js";
import { usagePanel } from "./trial/usage.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {{steps: number[], values: number[], band: import("../../types/api.js").Band | null, chart: import("../chart.js").Chart}} Shown */

/** Between two readings of a trial that runs, in milliseconds. */
const PAUSE = 700;
/** Metrics that have a chart. */
const CHARTS = 12;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showTrial(place, { params, query }, signal) {
  const { study: name, trial: number } = params;
  document.title = `Trial ${number} of ${name} \u00b7 Tunesmith`;
  fill(place, notice("loading", `Loading trial ${number} of ${name}\u2026`));
  /** @type {Study | null} */
  let study = null;
  /** @type {Trial | null} */
  let trial = null;
  /** @type {Map<string, Shown>} */
  const metrics = new Map();
  const head = el("header", { class: "page" });
  const charts = el("div", { class: "charts" });
  const side = el("aside", { class: "side", "aria-label": "About this trial" });
  const log = logPanel({ study: name, trial: number, signal });
  const usage = usagePanel({ trial: number, signal });
  let laidOut = false;

  const failed = (/** @type {unknown} */ error) => fill(place, failure(error, () => showTrial(place, { path: "", params, query }, signal)));

  const draw = () => {
    if (!study || !trial) return;
    if (!laidOut) fill(place, head, el("div", { class: "with-side" }, el("div", { class: "main-column" }, charts, usage.node, log.node), side));
    laidOut = true;
    drawHead(head, name, study, trial, set, signal);
    drawSide(side, study, trial, set, signal);
    log.setAttempts(trial.attempts?.length ?? 0);
    usage.setAttempts(trial.attempts);
    for (const { chart } of metrics.values()) chart.draw();
    if (metrics.size === 0) fill(charts, el("p", { class: "table-empty", text: isOver(trial.state) ? "It reported nothing." : "It has reported nothing yet." }));
  };
  /** @param {Trial} after as a call returned it: without attempts and decisions */
  const set = (after) => {
    trial = { ...trial, ...after };
    draw();
    reread();
  };

  /** @param {string} metric */
  const shownOf = (metric) => {
    let shown = metrics.get(metric);
    if (!shown && metrics.size < CHARTS) {
      const chart = trialCurve({
        metric,
        step: study?.spec.trial?.steps?.name ?? "step",
        data: () => ({ steps: one.steps, values: one.values, band: one.band, state: trial?.state ?? "", marks: metric === study?.spec.objective?.metric ? marks(trial) : [] }),
        signal,
      });
      /** @type {Shown} */
      const one = { steps: [], values: [], band: null, chart };
      shown = one;
      metrics.set(metric, shown);
      chart.setEmpty("");
      // The objective's first, then by name.
      const order = [...metrics.keys()].sort((a, b) => Number(b === study?.spec.objective?.metric) - Number(a === study?.spec.objective?.metric) || a.localeCompare(b));
      fill(charts, order.map((name) => /** @type {Shown} */ (metrics.get(name)).chart.node));
      api.curves(name, { metric, except: number, points: 100 }, { signal }).then(
        (curves) => {
          one.band = curves.band ?? null;
          chart.draw();
        },
        () => {}, // without what is usual, then
      );
    }
    return shown;
  };

  const read = async () => {
    const [after, points] = await Promise.all([api.trial(name, number, { signal }), api.points(name, number, { signal })]);
    trial = after;
    for (const { metric, step = [], value = [] } of points.curves ?? []) {
      const shown = shownOf(metric);
      if (shown) Object.assign(shown, { steps: step.map(Number), values: value.map(Number) });
    }
    draw();
  };
  const reread = gently(
    () =>
      read().catch((error) => {
        if (!signal.aborted && !(error.away ?? false)) failed(error);
      }),
    PAUSE,
    signal,
  );
  follow(
    api.events(name, true),
    {
      begin: async (now) => {
        study = now;
        await read();
      },
      take: ({ study: now, trial: changed, points }) => {
        if (now) study = now;
        if (changed && String(changed.number) === number) {
          // What only its own page has stays until that was read again.
          trial = { ...trial, ...changed, attempts: trial?.attempts, decisions: trial?.decisions };
          reread();
        }
        if (points && short(points.trial) === number && points.points) {
          const shown = shownOf(points.points.metrics?.[0] ?? "");
          if (shown) extend(shown, (points.points.step ?? []).map(Number), (points.points.value ?? []).map(Number));
          drawSoon();
        }
      },
      probe: () => api.study(name, { signal }),
      over: () => trial !== null && isOver(trial.state),
      failed,
    },
    signal,
  );
  const drawSoon = gently(draw, 100, signal);
}

/** Where a rule stopped it, or would have. @param {Trial | null} trial */
function marks(trial) {
  return (trial?.decisions ?? []).map(({ step, rule, shadow }) => ({ step: num(step), text: shadow ? `${rule} (only noted)` : rule }));
}

const heads = new WeakMap();

/**
 * @param {HTMLElement} head
 * @param {string} study
 * @param {Study} whole the same
 * @param {Trial} trial
 * @param {(trial: Trial) => void} set
 * @param {AbortSignal} signal
 */
function drawHead(head, study, whole, trial, set, signal) {
  const shape = JSON.stringify([trial.state, trial.stateReason, trial.pendingReason, trial.value === undefined, whole.state]);
  if (heads.get(head) === shape) return;
  heads.set(head, shape);
  const number = String(trial.number);
  const stop = async () => {
    if (!(await confirm({ title: `Stop trial ${number}?`, text: isRunning(trial.state) ? "Its program is asked to end, and killed if it does not. What it has reported stays." : "It will not run.", action: "Stop the trial", danger: true }))) return;
    const after = await attempt(() => api.stopTrial(study, number), "The trial stops.");
    if (after) set(after);
  };
  const retry = async () => {
    const id = uuid();
    const after = await attempt(() => api.retryTrial(study, number, id), "");
    if (after) go(address("studies", study, "trials", String(after.number)));
  };
  const change = async () => {
    const after = await (await use("views/add-trial.js", signal))?.addTrial(study, whole, trial);
    if (after) go(address("studies", study, "trials", String(after.number)));
  };
  const before = num(number) - 1;
  const more = menu("More", [
    button("Schedule\u2026", async () => (await use("views/schedule.js", signal))?.showSchedule(study, whole, number)),
    trial.value !== undefined && button("Zoom in around it\u2026", async () => (await use("views/zoom-dialog.js", signal))?.zoomAround(study, whole, number)),
  ]);
  fill(
    head,
    el("nav", { class: "path", "aria-label": "Path" }, el("a", { href: "/", text: "Studies" }), " / ", el("a", { href: address("studies", study), text: study })),
    el(
      "div",
      { class: "title-row" },
      el("h1", { text: `Trial ${number}` }),
      badge(trialLook(trial.state)),
      el("span", { class: "quiet reason", text: trial.stateReason || trial.pendingReason || "" }),
      el("div", { class: "buttons" }, before > 0 && el("a", { class: "button", href: address("studies", study, "trials", before), text: "Previous" }), el("a", { class: "button", href: address("studies", study, "trials", before + 2), text: "Next" }), button("With changes\u2026", change), isOver(trial.state) ? button("Try again", retry) : button("Stop\u2026", stop, "danger-quiet"), more),
    ),
  );
}

/**
 * @param {HTMLElement} side
 * @param {Study} study
 * @param {Trial} trial
 * @param {(trial: Trial) => void} set
 * @param {AbortSignal} signal
 */
function drawSide(side, study, trial, set, signal) {
  if (side.contains(document.activeElement) && side.querySelector(":is(button, a, [tabindex]):focus-visible")) return;
  const now = Date.now();
  const { parameters = {}, provenance, metrics = {}, decisions = [], attempts = [] } = trial;
  const order = (study.spec.space ?? []).map(({ name }) => name).filter((name) => name in parameters);
  const rest = Object.keys(parameters).filter((name) => !order.includes(name));
  const note = async () => {
    const after = await noteOn(short(study.name), trial, signal);
    if (after) set(after);
  };
  const tag = async () => {
    const text = await edit({ title: `Tags of trial ${trial.number}`, label: "Tags, separated by commas", value: written(trial.tags), action: "Save" });
    if (text === null) return;
    const after = await give(short(study.name), String(trial.number), readTags(text));
    if (after) set(after);
  };
  const is = study.best && String(study.best.number) === String(trial.number);
  const section = (/** @type {string} */ title, /** @type {(Node | string | false)[]} */ content) => el("section", {}, el("h2", { text: title }), content);
  const origin = provenance?.origin === "manual" ? "Chosen by a person" : provenance?.origin === "imported" ? "Brought in with its result" : `Proposed by ${provenance?.strategy || "the strategy"}`;
  const seen = num(provenance?.results);
  const modelled = provenance?.origin === "strategy" && provenance.strategy === "gp";
  const bounds = boundsOf(trial);
  const training = trainingOf(study, trial, (number) => address("studies", short(study.name), "trials", number));
  const next = [
    section("Result", [
      facts([
        [study.spec.objective?.metric ?? "value", el("span", { class: is ? "best number" : "number", text: measure(trial.value) + (is ? " \u00b7 the best" : "") })],
        [study.spec.trial?.steps?.name ?? "step", trial.lastStep === undefined ? null : measure(trial.lastStep)],
        ["Time", trial.startedAt ? duration(between(trial.startedAt, trial.endedAt, now)) : null],
        ...Object.entries(metrics)
          .filter(([name]) => name !== study.spec.objective?.metric)
          .sort(([a], [b]) => a.localeCompare(b))
          .map(([name, value]) => /** @type {[string, string]} */ ([name, measure(value)])),
        ["Cost", trial.cost && trial.cost > 0 ? `${measure(trial.cost)} ${study.spending?.currency ?? ""}` : null],
        ["Started", trial.startedAt ? day(trial.startedAt) : null],
        ["Ended", trial.endedAt ? day(trial.endedAt) : null],
      ]),
    ]),
    section("Parameters", [facts([...order, ...rest].map((name) => [name, el("span", { class: "number", text: parameter(parameters[name]) })]))]),
    bounds.length > 0 && section("Constraints", bounds),
    training.length > 0 && section("Training", training),
    section("Tags", [trial.tags?.length ? el("p", { class: "text" }, chipsOf(trial.tags)) : el("p", { class: "quiet", text: "None." }), button(trial.tags?.length ? "Edit tags\u2026" : "Add tags\u2026", tag)]),
    section("Note", [trial.note ? prose(trial.note, { level: 3 }) : el("p", { class: "quiet", text: "None." }), button(trial.note ? "Edit\u2026" : "Add\u2026", note)]),
    section("Why it was tried", [el("p", { class: "text", text: `${origin}${Number.isFinite(seen) && provenance?.origin === "strategy" ? `, which had seen ${seen} result${seen === 1 ? "" : "s"}` : ""}.` }), provenance?.note ? el("p", { class: "text quiet", text: provenance.note }) : false, modelled ? el("p", { class: "text" }, el("a", { href: `${address("studies", short(study.name), "parameters")}?through=${trial.number}`, text: "What the model expected" })) : false]),
    decisions.length > 0 && section("Why it was stopped", decisions.map(({ rule, shadow, text }) => el("p", { class: "text" }, el("b", { text: shadow ? `${rule} (only noted): ` : `${rule}: ` }), text ?? ""))),
    attempts.length > 0 &&
      section(
        attempts.length === 1 ? "Attempt" : "Attempts",
        attempts.map((one) =>
          el(
            "div",
            { class: "attempt" },
            facts([
              ["Attempt", String(one.attempt)],
              ["On", one.holder ?? ""],
              ["GPUs", one.gpus?.length ? String(one.gpus.length) : null],
              ["Time", one.startedAt ? duration(between(one.startedAt, one.endedAt, now)) : null],
              ["End", one.outcome ?? null],
              ["Memory", one.peakMemoryBytes && num(one.peakMemoryBytes) ? bytes(one.peakMemoryBytes) : null],
              ["Process", one.pid ? String(one.pid) : null],
            ]),
            one.logTail ? el("pre", { class: "tail", tabindex: 0, "aria-label": `Last lines of attempt ${one.attempt}`, text: one.logTail }) : false,
          ),
        ),
      ),
  ];
  fill(side, ...next.filter((one) => one !== false));
}
