// Some studies side by side: how their best values came about, how far they are, and what they cost.

import { api, ApiError } from "../api.js";
import { sideBySide } from "../compare.js";
import { el, fill } from "../dom.js";
import { count, day, duration, gpuHours, measure, num, plural, seconds } from "../format.js";
import { repeat } from "../live.js";
import { failure, notice } from "../parts.js";
import { kindOf, overlaid } from "../plots-compare.js";
import { firstLine } from "../prose.js";
import { address, go, keep } from "../router.js";
import { allOf, badge, endedOf, hasEnded, studyLook } from "../states.js";
import { listed } from "./listed.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {{name: string, study: Study, ended: number, best: {ended: number, at: number, value: number}[]}} Course */

/** Between two readings while one of them goes on, and while none does. */
const OFTEN = 2_000;
const SELDOM = 15_000;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showCompareStudies(place, { query }, signal) {
  let names = listed(query, "studies");
  let byTime = query.get("by") === "time";
  let different = query.get("different") === "1";
  document.title = "Compare studies \u00b7 Tunesmith";
  const path = el("nav", { class: "path", "aria-label": "Path" }, el("a", { href: "/", text: "Studies" }));
  if (names.length < 2) {
    fill(place, el("header", { class: "page" }, path, el("h1", { text: "Compare studies" })), notice("empty", "Choose at least two studies", el("p", {}, "Tick them in the ", el("a", { href: "/", text: "list of studies" }), ", then press Compare.")));
    return;
  }
  fill(place, notice("loading", `Loading ${names.length} studies\u2026`));
  /** @type {Course[]} */
  let courses = [];
  const axis = el("select", { class: "tool", "aria-label": "Best so far against" }, el("option", { value: "", text: "by trial" }), el("option", { value: "time", text: "by time" }));
  axis.value = byTime ? "time" : "";
  const metrics = () => [...new Set(courses.map(({ study }) => study.spec.objective?.metric ?? "value"))];
  const chart = overlaid({
    title: "Best so far",
    signal,
    controls: [axis],
    data: () => ({
      metric: metrics().join(", "),
      x: byTime ? "time since the start" : "trials that have ended",
      format: byTime ? duration : undefined,
      goal: goalOf(courses[0]?.study),
      steps: true,
      curves: courses.map(({ name, study, ended, best }) => {
        const began = Date.parse(study.createdAt ?? "");
        const x = best.map((one) => (byTime ? (one.at - began) / 1000 : one.ended));
        const y = best.map(({ value }) => value);
        // The last value stays to the end.
        const end = byTime ? (Date.parse(study.doneAt ?? "") || Date.now()) - began : ended;
        if (x.length) [x, y].forEach((list, index) => list.push(index === 0 ? Math.max(byTime ? end / 1000 : end, x[x.length - 1]) : y[y.length - 1]));
        return { name, x, y, open: () => go(address("studies", name)) };
      }),
    }),
  });
  const only = el("input", { type: "checkbox", checked: different });
  const title = el("h1");
  const warning = el("p", { class: "warning" });
  const table = el("div");
  let laidOut = false;
  const draw = () => {
    if (!laidOut) {
      fill(place, el("header", { class: "page" }, path, el("div", { class: "title-row" }, title, el("label", { class: "check" }, only, "Only differences")), warning), el("div", { class: "charts one" }, chart.node), table);
      laidOut = true;
    }
    title.textContent = `Compare ${courses.length === 1 ? "1 study" : `${courses.length} studies`}`;
    const goals = new Set(courses.map(({ study }) => `${study.spec.objective?.metric} ${goalOf(study)}`));
    warning.hidden = goals.size < 2;
    warning.textContent = `They do not optimise the same: ${[...goals].map((goal) => goal.replace(/ min$/, ", minimised").replace(/ max$/, ", maximised")).join("; ")}.`;
    chart.setLegend(courses.map(({ name }, index) => ({ name, kind: kindOf(index) })));
    chart.setEmpty(courses.some(({ best }) => best.length) ? "" : "No trial has ended with a result yet.");
    chart.draw();
    const things = courses.map(({ name }, index) => ({
      key: name,
      head: [
        el("span", { class: `key key-${kindOf(index)}`, "aria-hidden": "true" }),
        el("a", { href: address("studies", name), title: name, text: name }),
        courses.length > 2 ? el("button", { type: "button", class: "tool remove", "aria-label": `Leave out ${name}`, title: "Leave out", text: "\u00d7", on: { click: () => leaveOut(name) } }) : el("span"),
      ],
    }));
    const before = table.firstElementChild;
    const next = sideBySide("Studies side by side", things, rows(courses, goals.size < 2), different);
    if (before?.isEqualNode(next)) return;
    const [left, focused] = [before?.scrollLeft ?? 0, before?.contains(document.activeElement)];
    fill(table, next);
    next.scrollLeft = left;
    if (focused) next.focus({ preventScroll: true });
  };
  const leaveOut = (/** @type {string} */ name) => {
    names = names.filter((other) => other !== name);
    courses = courses.filter((other) => other.name !== name);
    keep({ studies: names.join(",") });
    draw();
  };
  only.addEventListener("change", () => {
    different = only.checked;
    keep({ different: different ? "1" : "" });
    draw();
  });
  axis.addEventListener("change", () => {
    byTime = axis.value === "time";
    keep({ by: byTime ? "time" : "" });
    chart.draw();
  });
  repeat(
    async () => {
      const wanted = names;
      const found = await Promise.all(wanted.map((name) => read(name, signal)));
      if (wanted !== names) return 0;
      courses = found.filter((course) => course !== null);
      draw();
      return courses.every(({ study }) => hasEnded(study)) ? SELDOM : OFTEN;
    },
    (error) => fill(place, failure(error, () => showCompareStudies(place, { path: "", params: {}, query }, signal))),
    signal,
  );
}

/**
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<Course | null>} nothing if there is no such study
 */
async function read(name, signal) {
  try {
    const [study, { incumbents = {}, ended }] = await Promise.all([api.study(name, { signal }), api.incumbents(name, 0, { signal })]);
    const best = (incumbents.value ?? []).map((value, index) => ({ value: num(value), ended: num(incumbents.ended?.[index]), at: num(incumbents.endedAtMicros?.[index]) / 1000 }));
    return { name, study, ended: num(ended ?? 0), best };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** @param {Study | undefined} study @returns {"min" | "max"} */
function goalOf(study) {
  return study?.spec.objective?.goal === "GOAL_MAXIMIZE" ? "max" : "min";
}

/**
 * @param {Course[]} courses
 * @param {boolean} comparable whether all have the same objective
 */
function rows(courses, comparable) {
  const studies = courses.map(({ study }) => study);
  const number = (/** @type {string} */ text) => el("span", { class: "number", text });
  const counted = (/** @type {string} */ name, /** @type {(study: Study) => number} */ of) => ({ name, cells: studies.map((study) => number(count(of(study)))) });
  const space = (/** @type {Study} */ study) => (study.spec.space ?? []).filter(({ type }) => type !== "constant").map(({ name }) => name).join(", ");
  return [
    {
      title: "Result",
      rows: [
        { name: "Best", cells: studies.map(({ best, paretoSet }) => (paretoSet?.length ? `${plural(paretoSet.length, "trial")} in the Pareto set` : best ? number(measure(best.value)) : null)), values: studies.map(({ best, paretoSet }) => (paretoSet?.length ? NaN : num(best?.value))), goal: comparable ? goalOf(studies[0]) : undefined },
        { name: "Best trial", cells: studies.map(({ name, best }) => (best ? el("a", { href: address("studies", name.slice("studies/".length), "trials", String(best.number)), text: `Trial ${best.number}` }) : null)) },
        { name: "Found after", cells: courses.map(({ best }) => (best.length ? number(plural(best[best.length - 1].ended, "trial")) : null)) },
        { name: "State", cells: studies.map((study) => badge(studyLook(study), study.stateReason)) },
      ],
    },
    {
      title: "Spent",
      rows: [
        { name: "Trials", cells: studies.map((study) => number(study.spec.budget?.trials ? `${count(endedOf(study.counts))} of ${count(study.spec.budget.trials)}` : count(allOf(study.counts)))) },
        counted("Stopped early", ({ counts }) => num(counts?.earlyStopped ?? 0)),
        counted("Failed", ({ counts }) => num(counts?.failed ?? 0)),
        { name: "Active for", cells: studies.map(({ spending }) => number(duration(seconds(spending?.wallTime)))) },
        { name: "GPU hours", cells: studies.map(({ spending }) => number(gpuHours(spending?.gpuHours))) },
        { name: "Cost", cells: studies.map(({ spending }) => (spending?.currency ? number(`${measure(spending.cost ?? 0)} ${spending.currency}`) : null)) },
      ],
    },
    {
      title: "Definition",
      rows: [
        { name: "Objective", cells: studies.map((study) => `${goalOf(study) === "max" ? "maximise" : "minimise"} ${study.spec.objective?.metric ?? ""}`) },
        { name: "Parameters", cells: studies.map(space) },
        { name: "Strategy", cells: studies.map(({ spec }) => spec.strategy?.name || "auto") },
        { name: "Project", cells: studies.map(({ spec }) => spec.project || null) },
        { name: "Message", cells: studies.map(({ spec }) => (spec.message ? el("span", { title: spec.message, text: firstLine(spec.message) }) : null)), same: studies.map(({ spec }) => spec.message ?? "") },
        { name: "Created", cells: studies.map(({ createdAt }) => day(createdAt)), plain: true },
      ],
    },
  ];
}
