// Some trials of a study side by side: their curves, results, parameters and notes.

import { api, ApiError } from "../api.js";
import { sideBySide } from "../compare.js";
import { el, fill } from "../dom.js";
import { between, duration, measure, num, parameter, plural } from "../format.js";
import { repeat } from "../live.js";
import { failure, notice } from "../parts.js";
import { kindOf, overlaid } from "../plots-compare.js";
import { firstLine } from "../prose.js";
import { address, go, keep } from "../router.js";
import { badge, isOver, trialLook } from "../states.js";
import { chipsOf } from "../tags.js";
import { listed } from "./listed.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Trial} Trial */

/** Between two readings while one of the trials runs, and while none does. */
const OFTEN = 2_000;
const SELDOM = 15_000;
/** Points of each curve. */
const POINTS = 300;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showCompare(place, { params, query }, signal) {
  const name = params.study;
  let numbers = listed(query, "trials").filter((number) => /^\d+$/.test(number));
  let different = query.get("different") === "1";
  let metric = query.get("metric") ?? "";
  document.title = `Compare trials of ${name} \u00b7 Tunesmith`;
  const path = el("nav", { class: "path", "aria-label": "Path" }, el("a", { href: "/", text: "Studies" }), " / ", el("a", { href: address("studies", name), text: name }));
  if (numbers.length < 2) {
    fill(place, el("header", { class: "page" }, path, el("h1", { text: "Compare trials" })), notice("empty", "Choose at least two trials", el("p", {}, "Tick them in the table of ", el("a", { href: address("studies", name), text: name }), ", then press Compare.")));
    return;
  }
  fill(place, notice("loading", `Loading ${numbers.length} trials\u2026`));
  /** @type {Study | null} */
  let study = null;
  /** @type {Trial[]} */
  let trials = [];
  /** @type {Map<string, {steps: number[], values: number[]}>} */
  let curves = new Map();

  const choice = el("select", { class: "tool", "aria-label": "Metric of the curves" });
  const chart = overlaid({
    title: "Curves",
    signal,
    controls: [choice],
    data: () => ({
      metric: shownMetric(),
      x: study?.spec.trial?.steps?.name ?? "step",
      goal: study?.spec.objective?.goal === "GOAL_MAXIMIZE" ? "max" : "min",
      steps: false,
      curves: trials.map(({ number }) => ({ name: `Trial ${number}`, x: curves.get(String(number))?.steps ?? [], y: curves.get(String(number))?.values ?? [], open: () => go(address("studies", name, "trials", String(number))) })),
    }),
  });
  const only = el("input", { type: "checkbox", checked: different });
  const title = el("h1");
  const table = el("div");
  let laidOut = false;
  const shownMetric = () => metric || (study?.spec.objective?.metric ?? "value");

  const drawMetrics = () => {
    const all = [...new Set([study?.spec.objective?.metric ?? "value", ...trials.flatMap(({ metrics }) => Object.keys(metrics ?? {}).sort())])];
    if (metric && !all.includes(metric)) all.push(metric);
    if (choice.options.length !== all.length) fill(choice, all.map((one) => el("option", { value: one, text: one })));
    choice.value = shownMetric();
  };
  const draw = () => {
    if (!study) return;
    if (!laidOut) {
      fill(place, el("header", { class: "page" }, path, el("div", { class: "title-row" }, title, el("label", { class: "check" }, only, "Only differences"))), el("div", { class: "charts one" }, chart.node), table);
      laidOut = true;
    }
    title.textContent = `Compare ${plural(trials.length, "trial")}`;
    drawMetrics();
    chart.setLegend(trials.map(({ number }, index) => ({ name: `trial ${number}`, kind: kindOf(index) })));
    chart.setEmpty([...curves.values()].some(({ steps }) => steps.length) ? "" : `None of them has reported ${shownMetric()}.`);
    chart.draw();
    const things = trials.map(({ number }, index) => ({
      key: String(number),
      head: [
        el("span", { class: `key key-${kindOf(index)}`, "aria-hidden": "true" }),
        el("a", { href: address("studies", name, "trials", String(number)), text: `Trial ${number}` }),
        trials.length > 2 ? el("button", { type: "button", class: "tool remove", "aria-label": `Leave out trial ${number}`, title: "Leave out", text: "\u00d7", on: { click: () => leaveOut(String(number)) } }) : el("span"),
      ],
    }));
    const before = table.firstElementChild;
    const next = sideBySide("Trials side by side", things, rows(study, trials), different);
    if (before?.isEqualNode(next)) return;
    const [left, focused] = [before?.scrollLeft ?? 0, before?.contains(document.activeElement)];
    fill(table, next);
    next.scrollLeft = left;
    if (focused) next.focus({ preventScroll: true });
  };
  const leaveOut = (/** @type {string} */ number) => {
    numbers = numbers.filter((other) => other !== number);
    trials = trials.filter((other) => String(other.number) !== number);
    keep({ trials: numbers.join(",") });
    draw();
  };
  only.addEventListener("change", () => {
    different = only.checked;
    keep({ different: different ? "1" : "" });
    draw();
  });
  choice.addEventListener("change", () => {
    metric = choice.value === study?.spec.objective?.metric ? "" : choice.value;
    keep({ metric });
    again();
  });
  const again = repeat(
    async () => {
      const wanted = numbers;
      const [now, ...found] = await Promise.all([api.study(name, { signal }), ...wanted.map((number) => api.trial(name, number, { signal }).catch(missing))]);
      const there = found.filter((trial) => trial !== null);
      /** @type {import("../../types/api.js").Curves} */
      const read = there.length ? await api.curves(name, { metric: metric || undefined, trials: there.map(({ number }) => num(number)), points: POINTS }, { signal }) : { metric };
      if (wanted !== numbers) return 0;
      study = now;
      trials = there;
      curves = new Map((read.curves ?? []).map(({ trial, step = [], value = [] }) => [String(trial), { steps: step.map(Number), values: value.map(Number) }]));
      draw();
      return trials.every(({ state }) => isOver(state)) ? SELDOM : OFTEN;
    },
    (error) => fill(place, failure(error, () => showCompare(place, { path: "", params, query }, signal))),
    signal,
  );
}

/** A trial that is not there is left out. @param {unknown} error */
function missing(error) {
  if (error instanceof ApiError && error.status === 404) return null;
  throw error;
}

/**
 * @param {Study} study
 * @param {Trial[]} trials
 * @returns {{title: string, rows: import("../compare.js").Row[]}[]}
 */
function rows(study, trials) {
  const { spec } = study;
  const objectives = [spec.objective, ...(spec.moreObjectives ?? [])].filter((objective) => objective !== undefined);
  const number = (/** @type {string} */ text) => el("span", { class: "number", text });
  const value = (/** @type {Trial} */ trial, /** @type {string} */ metric, /** @type {number} */ index) => trial.values?.[metric] ?? (index === 0 ? trial.value : undefined);
  const now = Date.now();
  const time = (/** @type {Trial} */ { startedAt, endedAt }) => between(startedAt, endedAt, now);
  const goals = new Map(objectives.map(({ metric, goal }) => [metric, /** @type {"min" | "max"} */ (goal === "GOAL_MAXIMIZE" ? "max" : "min")]));
  const order = (spec.space ?? []).map(({ name }) => name);
  const parameters = [...new Set([...order, ...trials.flatMap(({ parameters }) => Object.keys(parameters ?? {}))])];
  const metrics = [...new Set(trials.flatMap(({ metrics }) => Object.keys(metrics ?? {})))].filter((name) => !goals.has(name)).sort();
  return [
    {
      title: "Result",
      rows: [
        ...objectives.map(({ metric }, index) => ({ name: metric, cells: trials.map((trial) => number(measure(value(trial, metric, index)))), values: trials.map((trial) => num(value(trial, metric, index))), goal: goals.get(metric) })),
        { name: "State", cells: trials.map(({ state, stateReason }) => badge(trialLook(state), stateReason)) },
        { name: spec.trial?.steps?.name ?? "step", cells: trials.map(({ lastStep }) => (lastStep === undefined ? null : number(measure(lastStep)))) },
        { name: "Time", cells: trials.map((trial) => (Number.isFinite(time(trial)) ? number(duration(time(trial))) : null)), values: trials.map(time), goal: undefined },
        { name: "Attempts", cells: trials.map(({ attempts }) => number(String(attempts?.length ?? 0))) },
        { name: "Reason", cells: trials.map(({ stateReason }) => stateReason ?? null) },
        { name: "Tags", cells: trials.map(({ tags }) => (tags?.length ? chipsOf(tags) : null)) },
        { name: "Note", cells: trials.map(({ note }) => (note ? el("span", { title: note, text: firstLine(note) }) : null)), same: trials.map(({ note }) => note ?? "") },
      ],
    },
    { title: "Parameters", rows: parameters.map((name) => ({ name, cells: trials.map(({ parameters }) => (parameters?.[name] === undefined ? null : number(parameter(parameters[name])))), same: trials.map(({ parameters }) => JSON.stringify(parameters?.[name] ?? null)) })) },
    { title: "Other metrics", rows: metrics.map((name) => ({ name, cells: trials.map(({ metrics }) => (metrics?.[name] === undefined ? null : number(measure(metrics[name])))), same: trials.map(({ metrics }) => String(metrics?.[name] ?? "")) })) },
  ];
}
