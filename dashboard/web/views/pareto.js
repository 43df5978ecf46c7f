// The results of a study of several objectives, two objectives at a time: which trials are the best, and what the others are worse in.

import { Chart } from "../chart.js";
import { measure, num, plural } from "../format.js";
import { about } from "../plots.js";
import { counts } from "../states.js";
import { Axis, objectivesOf } from "./dimensions.js";
import { closer } from "./parameters/closer.js";
import { axes, nearest, points } from "./parameters/marks.js";
import { choice } from "./parameters/shown.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("./dimensions.js").Dimension} Dimension */
/** @typedef {import("./parameters/marks.js").Dot} Dot */

/**
 * @param {object} options
 * @param {import("./model.js").StudyModel} options.model
 * @param {URLSearchParams} options.query
 * @param {(trial: number | string) => void} options.open
 * @param {AbortSignal} options.signal
 */
export function paretoFront({ model, query, open, signal }) {
  const objectives = () => (model.study ? objectivesOf(model.study) : []);
  const pick = (/** @type {string} */ label, /** @type {string} */ id, /** @type {number} */ usual) =>
    choice({ label: `Pareto front: ${label}`, id, query, options: () => objectives().map(({ id, name }) => ({ id, name })), usual: () => objectives()[usual].id, changed: () => chart.draw() });
  const [first, second] = [pick("x axis", "px", 0), pick("y axis", "py", 1)];
  const chosen = () => {
    const all = objectives();
    const [x, y] = [first, second].map(({ value }, index) => all.find(({ id }) => id === value) ?? all[index]);
    return { x, y };
  };
  const isInSet = () => {
    const set = new Set((model.study?.paretoSet ?? []).map(num));
    return (/** @type {Trial} */ { number }) => set.has(num(number));
  };
  /** Trials that have ended with a value of both. */
  const results = () => {
    const { x, y } = chosen();
    return model.known().filter((trial) => counts(trial.state) && x.of(trial) !== undefined && y.of(trial) !== undefined);
  };
  const laid = () => {
    const { x, y } = chosen();
    const all = results();
    return { all, x: new Axis(x, all), y: new Axis(y, all) };
  };
  const isLookedAt = (/** @type {Trial} */ { number }) => model.isLookedAt(num(number));
  /** @type {Dot[]} */
  let drawn = [];

  const chart = new Chart({
    title: "Pareto front",
    signal,
    controls: objectives().length > 2 ? [first.node, second.node] : [],
    zoomed: closer("Pareto front", model, () => ({ chart, ...laid() })),
    describe: () => {
      const { x, y } = chosen();
      const all = results();
      const words = (/** @type {Dimension} */ { name, goal }) => `${name} (${goal === "min" ? "smaller" : "larger"} is better)`;
      return `${words(y)} against ${words(x)}: ${plural(all.filter(isInSet()).length, "trial")} of ${all.length} in the Pareto set`;
    },
    csv: () => {
      const isBest = isInSet();
      const all = objectives();
      return {
        name: "pareto-front",
        header: ["trial", "state", "in_pareto_set", "feasible", ...all.map(({ name }) => name)],
        rows: results().map((trial) => [num(trial.number), trial.state.replace("TRIAL_STATE_", ""), isBest(trial) ? "yes" : "no", trial.feasible === false ? "no" : "yes", ...all.map(({ of }) => String(of(trial) ?? ""))]),
      };
    },
    find: (at, scale) => {
      const found = nearest(drawn, isLookedAt, at, scale);
      if (!found) return null;
      const { trial, x, y } = found;
      const why = isInSet()(trial) ? "In the Pareto set: no other is as good in each and better in one" : trial.feasible === false ? "It does not keep the measured constraints" : "";
      const values = objectives().map(({ name, of }) => /** @type {[string, string]} */ ([name, measure(/** @type {number | undefined} */ (of(trial)))]));
      return { content: about(num(trial.number), trial.state, values, why), at: [scale.x(x), scale.y(y)], highlight: { kind: "ring", runs: [[[scale.x(x), scale.y(y)]]] }, open: () => open(String(trial.number)) };
    },
    build: (colors, frame) => {
      const { all, x, y } = laid();
      const isBest = isInSet();
      drawn = all.map((trial) => ({ trial, x: x.at(trial), y: y.at(trial) }));
      const groups = { best: /** @type {[number, number][]} */ ([]), other: /** @type {[number, number][]} */ ([]), broken: /** @type {[number, number][]} */ ([]), faint: /** @type {[number, number][]} */ ([]) };
      for (const dot of drawn) {
        const { trial } = dot;
        const group = isBest(trial) ? "best" : !isLookedAt(trial) ? "faint" : trial.feasible === false ? "broken" : "other";
        groups[group].push([dot.x, dot.y]);
      }
      const better = (/** @type {Dimension} */ { name, goal }, /** @type {[string, string]} */ [less, more]) => `${name} ${goal === "min" ? less : more} better`;
      return {
        ...axes(colors, frame, x, y, { x: better(x.dimension, ["\u2190", "\u2192"]), y: better(y.dimension, ["\u2193", "\u2191"]) }),
        grid: { left: 8, right: 20, top: 24, bottom: 8, outerBoundsMode: "same" },
        series: [
          staircase(colors.accent, front(groups.best, x.dimension, y.dimension), x.dimension, y.dimension),
          points("results", [
            { points: groups.faint, r: 2, style: { fill: colors.line } },
            { points: groups.broken, r: 3, type: "crosses", style: { fill: "none", stroke: colors.cut, lineWidth: 1.5 } },
            { points: groups.other, r: 3, style: { fill: colors.muted, opacity: 0.6 } },
            { points: groups.best, r: 4.5, style: { fill: colors.accent, stroke: colors.surface, lineWidth: 1.5 } },
          ]),
        ],
      };
    },
  });
  return {
    node: chart.node,
    draw() {
      const all = results();
      chart.setEmpty(all.length ? "" : "No trial has ended with a value of both objectives yet.");
      chart.setLegend([{ name: "Pareto set", kind: "best" }, { name: "other result", kind: "other" }, ...(all.some(({ feasible }) => feasible === false) ? [{ name: "breaks a constraint", kind: "broken" }] : [])]);
      chart.draw();
    },
  };
}

/** @param {Dimension} dimension @param {number} a @param {number} b whether a is better */
const isBetter = ({ goal }, a, b) => (goal === "max" ? a > b : a < b);

/**
 * Of the set those that are the best in these two objectives; the others are in it for the sake of a third.
 * @param {[number, number][]} all
 * @param {Dimension} x
 * @param {Dimension} y
 */
function front(all, x, y) {
  /** @type {[number, number][]} */
  const found = [];
  const sorted = [...all].sort((a, b) => (a[0] === b[0] ? (isBetter(y, a[1], b[1]) ? -1 : 1) : isBetter(x, a[0], b[0]) ? -1 : 1));
  for (const point of sorted) if (!found.length || isBetter(y, point[1], found[found.length - 1][1])) found.push(point);
  return found;
}

/**
 * Where the part of the plane begins in which everything is worse than the front.
 * @param {string} color
 * @param {[number, number][]} front best in x first
 * @param {Dimension} x
 * @param {Dimension} y
 */
function staircase(color, front, x, y) {
  const worse = (/** @type {Dimension} */ dimension, /** @type {number} */ a, /** @type {number} */ b) => (isBetter(dimension, a, b) ? b : a);
  const path = front.flatMap((point, index) => (index ? [[worse(x, front[index - 1][0], point[0]), worse(y, front[index - 1][1], point[1])], point] : [point]));
  return {
    id: "front",
    type: "custom",
    silent: true,
    clip: true,
    z: 3,
    data: [[0, 0]],
    renderItem: (/** @type {unknown} */ _, /** @type {{coord: (place: number[]) => number[]}} */ api) => ({ type: "strokes", silent: true, shape: { lines: path.length > 1 ? [path.flatMap((point) => api.coord(point))] : [] }, style: { fill: "none", stroke: color, lineWidth: 1.5 } }),
  };
}
