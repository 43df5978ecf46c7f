// A population at a glance: how each trial was trained, from whose training it began, and the schedule of parameters that the best one went
// through.

import { api } from "../../api.js";
import { Chart, NEAR } from "../../chart.js";
import { el, fill, setText } from "../../dom.js";
import { count, measure, num, parameter as shown, plural } from "../../format.js";
import { gently } from "../../live.js";
import { about, axes, logToggle } from "../../plots.js";
import { keep } from "../../router.js";
import { bounds } from "../../scales.js";
import { counts, isOver, isRunning } from "../../states.js";
import { axisOf, begin, changes, leaves, lineOf } from "./lineage.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** A trial as it is drawn: where it branches off, and its own points. @typedef {{trial: Trial, edge: [number, number][], points: [number, number][]}} Branch */

/** Curves that are read and trials that are drawn at most, the newest; the chosen line is always there. */
const MOST = 500;
const POINTS = 120;
/** Between two readings of curves, in milliseconds. */
const PAUSE = 2_000;
/** Lines that are offered to be chosen. */
const OFFERED = 100;

/** @param {import("../study.js").Context} context */
export function population({ model, query, href, signal }) {
  /** @type {Map<number, {steps: number[], values: number[], state: string}>} */
  const curves = new Map();
  const what = el("select", { class: "tool", "aria-label": "Lines of training by" });
  const whose = el("select", { class: "tool", "aria-label": "Highlighted line" });
  let wanted = { y: query.get("y") ?? "", line: num(query.get("line") ?? undefined) };
  const words = el("p", { class: "quiet note" });
  const list = el("div", { class: "wide" });
  const heading = el("h3");

  const parameters = () => (model.study?.spec.space ?? []).filter(({ type }) => type !== "constant");
  const chosen = () => parameters().find(({ name }) => name === wanted.y) ?? null;
  /** The trial whose line is highlighted: the chosen one, or the best there is. */
  const last = () => {
    if (model.trials.has(wanted.line)) return wanted.line;
    return model.bestTrial() ?? Math.max(...model.trials.keys());
  };
  /** Trials that are drawn. */
  const drawn = () => {
    const line = lineOf(model.trials, last()).map(({ trial }) => trial);
    const newest = [...model.trials.values()].sort((a, b) => num(b.number) - num(a.number)).slice(0, MOST - line.length);
    return [...new Set([...line, ...newest])];
  };
  /** A trial's own points: what has come since, while it is looked at, is in the model. @param {Trial} trial @returns {[number, number][]} */
  const pointsOf = (trial) => {
    const number = num(trial.number);
    const [read, live] = [curves.get(number), model.lines.get(number)];
    const best = live && live.steps.length > (read?.steps.length ?? 0) ? live : read;
    const from = begin(trial);
    return (best?.steps ?? []).flatMap((step, index) => (step > from || !trial.parent ? [/** @type {[number, number]} */ ([step, best?.values[index] ?? NaN])] : []));
  };
  /** @param {Trial} trial @returns {Branch} */
  const branch = (trial) => {
    const { parent } = trial;
    const parameter = chosen();
    if (!parameter) {
      const points = pointsOf(trial);
      /** @type {[number, number][]} */
      const edge = parent && points.length ? [[begin(trial), num(parent.value)], points[0]] : [];
      return { trial, edge, points };
    }
    const { height } = axisOf(parameter);
    const [from, to, own] = [begin(trial), num(trial.lastStep ?? parent?.step ?? 0), height(trial.parameters?.[parameter.name])];
    const before = parent ? height(model.trials.get(num(parent.trial))?.parameters?.[parameter.name]) : NaN;
    return { trial, edge: parent && before !== own ? [[from, before], [from, own]] : [], points: [[from, own], [to, own]] };
  };

  let log = false;
  const toggle = logToggle("Log scale of lines of training", signal, (on) => ((log = on), chart.draw()));
  const chart = new Chart({
    title: "Lines of training",
    height: 360,
    signal,
    controls: [what, whose, toggle],
    describe: () => {
      const line = lineOf(model.trials, last());
      return `${wanted.y || model.metric} of ${plural(model.trials.size, "trial")}; the line of trial ${last()} goes through ${line.map(({ trial }) => trial.number).join(", ")}`;
    },
    csv: () => ({
      name: "lines-of-training",
      header: ["trial", "state", "parent", "from_step", "to_step", "value", "replaces", ...parameters().map(({ name }) => name)],
      rows: [...model.trials.values()].map(({ number, state, parent, lastStep, value, parameters: own }) => [num(number), state.replace("TRIAL_STATE_", ""), parent ? num(parent.trial) : "", num(parent?.step ?? 0), lastStep === undefined ? "" : num(lastStep), value === undefined ? "" : num(value), parent?.replaces === undefined ? "" : num(parent.replaces), ...parameters().map(({ name }) => /** @type {string | number} */ (own?.[name] ?? ""))]),
    }),
    find: ({ x, y }, scale) => {
      let [found, place, distance] = [/** @type {Branch | null} */ (null), /** @type {[number, number]} */ ([0, 0]), NEAR * NEAR];
      for (const one of branches) {
        for (const point of along(one, chosen() !== null, scale, x)) {
          const away = (scale.x(point[0]) - x) ** 2 + (scale.y(point[1]) - y) ** 2;
          if (away < distance) [found, place, distance] = [one, point, away];
        }
      }
      if (!found) return null;
      const { trial, points, edge } = /** @type {Branch} */ (found);
      const { parent } = trial;
      const parameter = chosen();
      const own = parameter ? shown(trial.parameters?.[parameter.name]) : measure(place[1]);
      const why = parent ? `Began with trial ${parent.trial} at ${model.step} ${num(parent.step ?? 0)}${parent.replaces === undefined ? "" : `, in the place of trial ${parent.replaces}`}. ${changes(trial)}` : "Began from nothing";
      return {
        content: about(num(trial.number), trial.state, [[parameter?.name ?? model.metric, own], [model.step, measure(Math.round(place[0]))]], why),
        at: [scale.x(place[0]), scale.y(place[1])],
        highlight: { kind: "line", runs: [[...edge, ...points].map(([step, value]) => [scale.x(step), scale.y(value)])] },
        open: () => choose(num(trial.number)),
      };
    },
    build: (colors) => {
      const parameter = chosen();
      const axis = parameter && axisOf(parameter);
      branches = drawn().map(branch);
      const line = lineOf(model.trials, last());
      const broken = (/** @type {[number, number][][]} */ paths) => paths.flatMap((path) => (path.length ? [...path, [NaN, NaN]] : []));
      const of = (/** @type {(trial: Trial) => boolean} */ which) => branches.filter(({ trial }) => which(trial));
      const ends = (/** @type {Branch[]} */ some) => some.flatMap(({ points }) => points.slice(-1));
      // Of each trial of the line what led to the next one.
      const path = line.flatMap(({ trial, to }) => {
        const { edge, points } = branch(trial);
        return [...edge.slice(0, 1), ...points.filter(([step]) => step <= to), ...(axis ? [/** @type {[number, number]} */ ([to, points[0]?.[1] ?? NaN])] : [])];
      });
      const { low, high } = axis ? {} : bounds(branches.flatMap(({ points }) => points.map(([, value]) => value)), model.goal);
      const base = axes(colors, { name: model.step, min: 0, minInterval: 1 }, { log: log && !axis, low, high });
      const plain = { type: "line", silent: true, showSymbol: false };
      return {
        ...base,
        yAxis: axis ? parameterAxis(base.yAxis, axis) : base.yAxis,
        series: [
          { ...plain, id: "edges", lineStyle: { color: colors.muted, width: 1, type: [2, 3], opacity: 0.7 }, data: broken(branches.map(({ edge }) => edge)) },
          { ...plain, id: "others", lineStyle: { color: colors.muted, width: 1, opacity: 0.5 }, data: broken(of((trial) => !isRunning(trial.state)).map(({ points }) => points)) },
          { ...plain, id: "running", z: 3, lineStyle: { color: colors.run, width: 1.5 }, data: broken(of((trial) => isRunning(trial.state)).map(({ points }) => points)) },
          { id: "replaced", type: "scatter", silent: true, z: 4, symbol: "diamond", symbolSize: 7, itemStyle: { color: colors.cut }, data: ends(of(({ state }) => state.endsWith("EARLY_STOPPED"))) },
          { id: "failed", type: "scatter", silent: true, z: 4, symbol: "path://M0 0L2 2M2 0L0 2", symbolSize: 7, itemStyle: { color: "transparent", borderColor: colors.bad, borderWidth: 2 }, data: ends(of(({ state }) => state.endsWith("FAILED"))) },
          { id: "now", type: "scatter", silent: true, z: 5, symbolSize: 7, itemStyle: { color: colors.run }, data: ends(of(({ state }) => isRunning(state))) },
          { ...plain, id: "line", z: 6, lineStyle: { color: colors.accent, width: 2.5, join: "round" }, data: path },
          { id: "branches", type: "scatter", silent: true, z: 7, symbolSize: 6, itemStyle: { color: colors.accent, borderColor: colors.surface, borderWidth: 1 }, data: line.slice(1).flatMap(({ trial }) => branch(trial).edge.slice(0, 1)) },
        ],
      };
    },
  });
  /** @type {Branch[]} */
  let branches = [];
  chart.setLegend([
    { name: "highlighted line", kind: "best" },
    { name: "running", kind: "run" },
    { name: "replaced, or stopped early", kind: "cut" },
    { name: "began with another's training", kind: "usual" },
  ]);

  const choose = (/** @type {number} */ trial) => {
    wanted = { ...wanted, line: trial };
    keep({ line: Number.isNaN(trial) ? "" : String(trial) });
    draw();
    void read();
  };
  what.addEventListener("change", () => {
    wanted = { ...wanted, y: what.value };
    keep({ y: what.value });
    draw();
  });
  whose.addEventListener("change", () => choose(whose.value ? Number(whose.value) : NaN));

  /** Reads the curves of trials that are drawn and have changed. */
  const read = async () => {
    const due = drawn().filter(({ number, state }) => {
      const known = curves.get(num(number));
      return !known || !isOver(state) || known.state !== state;
    });
    if (!due.length) return;
    const answer = await api.curves(model.name, { points: POINTS, trials: due.map(({ number }) => num(number)) }, { signal }).catch(() => null);
    if (!answer) return;
    for (const { number, state } of due) curves.set(num(number), { steps: [], values: [], state });
    for (const { trial, step = [], value = [], state } of answer.curves ?? []) curves.set(num(trial), { steps: step.map(Number), values: value.map(Number), state });
    draw();
  };
  const readSoon = gently(() => void read(), PAUSE, signal);

  let choices = "";
  const drawChoices = () => {
    const best = model.bestTrial();
    const value = (/** @type {Trial} */ trial) => (Number.isFinite(num(trial.value)) ? num(trial.value) * (model.goal === "max" ? -1 : 1) : Infinity);
    const others = leaves(model.trials).sort((a, b) => value(a) - value(b)).slice(0, OFFERED).map(({ number }) => num(number));
    const numbers = [...new Set([...(Number.isNaN(wanted.line) ? [] : [wanted.line]), ...others])];
    const names = parameters().map(({ name }) => name);
    const now = JSON.stringify([best, numbers, names, wanted]);
    if (now === choices || document.activeElement === whose) return;
    choices = now;
    fill(what, el("option", { value: "", text: model.metric }), names.map((name) => el("option", { value: name, text: name })));
    what.value = chosen() ? wanted.y : "";
    fill(whose, el("option", { value: "", text: best === null ? "line of the newest" : `line of the best, trial ${best}` }), numbers.map((number) => el("option", { value: String(number), text: `line of trial ${number}` })));
    whose.value = Number.isNaN(wanted.line) ? "" : String(wanted.line);
  };
  let listed = "";
  const drawList = () => {
    const line = lineOf(model.trials, last());
    const vary = model.study?.spec.strategy?.vary ?? [];
    const rows = line.map(({ trial, from, to, value }, index) => {
      const own = Object.entries(trial.parameters ?? {}).filter(([name]) => !vary.length || vary.includes(name));
      const change = index === 0 && !trial.parent ? `began with ${own.map(([name, its]) => `${name} ${shown(its)}`).join(", ")}` : changes(trial) || "nothing";
      return { number: String(trial.number), cells: [measure(from), measure(to), Number.isNaN(value) ? "\u2013" : measure(value)], change };
    });
    const now = JSON.stringify(rows);
    if (now === listed) return;
    listed = now;
    setText(heading, `What led to trial ${last()}`);
    fill(
      list,
      el(
        "table",
        { class: "plain", "aria-label": "Line of training" },
        el("thead", {}, el("tr", {}, ["Trial", `From ${model.step}`, `To ${model.step}`, model.metric, "What changed"].map((text, index) => el("th", { scope: "col", class: index > 0 && index < 4 ? "right" : null, text })))),
        el("tbody", {}, rows.map(({ number, cells, change }) => el("tr", {}, el("th", { scope: "row" }, el("a", { href: href(number), text: number })), cells.map((text) => el("td", { class: "right", text })), el("td", { text: change })))),
      ),
    );
  };
  const draw = () => {
    const { study } = model;
    if (!study || !model.ready) return;
    const { strategy } = study.spec;
    const children = [...model.trials.values()].filter(({ parent }) => parent);
    const replaced = children.filter(({ parent }) => parent?.replaces !== undefined).length;
    const how = strategy?.name === "replay" ? "Each trial goes on from the one before it, with the parameters of its segment." : `${strategy?.population ?? 16} trials are trained side by side. Every ${strategy?.interval ?? ""} ${model.step}s each is compared with the others; one of the worst is replaced by a child of one of the best, which goes on from its checkpoint with changed parameters.`;
    const left = model.trials.size - drawn().length;
    setText(words, `${how} ${plural(children.length, "trial")} began with another's training${replaced ? `, ${count(replaced)} in the place of another` : ""}.${left > 0 ? ` ${count(left)} older trials are not drawn.` : ""}${model.complete ? "" : " Not all trials are read: lines may begin later than they did."}`);
    drawChoices();
    drawList();
    const any = [...model.trials.values()].some(({ state, lastStep }) => lastStep !== undefined || counts(state));
    chart.setEmpty(any ? "" : "No trial has reported a value yet.");
    heading.hidden = list.hidden = !any;
    // A parameter has the scale that the study declares.
    toggle.hidden = chosen() !== null;
    chart.draw();
  };
  return {
    node: el("section", { class: "part" }, el("header", { class: "section" }, el("h2", { text: "Population" })), words, chart.node, heading, list),
    draw() {
      if (model.ready) readSoon();
      draw();
    },
  };
}

/**
 * @param {{axisLabel: object, splitLine: object}} plain
 * @param {import("./lineage.js").Axis} axis
 */
function parameterAxis(plain, { low, high, labels, text, whole }) {
  const custom = labels && { customValues: labels };
  return { ...plain, min: low, max: high, ...(whole ? { minInterval: 1 } : {}), axisTick: { show: false, ...custom }, splitLine: { ...plain.splitLine, show: !custom }, axisLabel: { ...plain.axisLabel, ...custom, formatter: text } };
}

/**
 * Points of a branch that the pointer may be at. Along straight lines there is one wherever the pointer is.
 * @param {Branch} branch
 * @param {boolean} straight
 * @param {import("../../chart.js").Scale} scale
 * @param {number} x in pixels
 * @returns {[number, number][]}
 */
function along({ points }, straight, scale, x) {
  if (!straight || points.length < 2) return points;
  const [[from, value], [to]] = points;
  const [left, right] = [scale.x(from), scale.x(to)];
  const share = right > left ? Math.min(1, Math.max(0, (x - left) / (right - left))) : 0;
  return [[from + share * (to - from), value]];
}
