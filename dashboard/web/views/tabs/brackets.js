// Which trials came to which rung of successive halving, and which of them went on. Pure.

import { num } from "../../format.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../../../types/api.js").Study} Study */
/**
 * A trial on its way: `values` by rung, from the first rung of its bracket on, and its `ranks` among those that have come there, from 1; `last` is the index of the last column that it has come to, of
 * which the one after all rungs is the end of the training.
 * @typedef {{trial: number, state: string, values: number[], ranks: number[], last: number, went: boolean}} Way
 */
/** @typedef {{step: number, reached: number, went: number, resting: number, best: number, bestTrial: number, kept: number, needed: number}} Column */
/** @typedef {{columns: Column[], ways: Way[], end: number}} Ladder `end`: last step of a training; NaN if that is not known */

/**
 * The brackets of a study, with their trials.
 * @param {Study} study
 * @param {Iterable<Trial>} trials
 * @param {"min" | "max"} goal
 * @returns {Ladder[]}
 */
export function ladders(study, trials, goal) {
  const { strategy, trial: template } = study.spec;
  const reduction = strategy?.reduction || 3;
  const end = num(strategy?.maxSteps ?? template?.steps?.max);
  const reached = [...trials].filter(({ rungs }) => rungs?.length);
  return stepsOf(study, reached).map((steps) => {
    // Each bracket begins at another rung.
    const own = reached.filter(({ rungs }) => num(rungs?.[0].rung) === steps[0]);
    const ways = own.map((trial) => wayOf(trial, steps));
    const columns = steps.map((step, index) => columnOf(step, index, ways, own, { goal, reduction }));
    rank(ways, steps.length, goal);
    return { columns, ways, end };
  });
}

/**
 * Steps of the rungs of each bracket. A study that is not served has none; then those that its trials have come to.
 * @param {Study} study
 * @param {Trial[]} reached
 * @returns {number[][]}
 */
function stepsOf({ brackets = [] }, reached) {
  if (brackets.length) return brackets.map(({ rungs = [] }) => rungs.map(({ step }) => num(step)));
  /** @type {Map<number, Set<number>>} */
  const all = new Map();
  for (const { rungs = [] } of reached) {
    const steps = rungs.map(({ rung }) => num(rung));
    all.set(steps[0], new Set([...(all.get(steps[0]) ?? []), ...steps]));
  }
  return [...all.keys()].sort((a, b) => a - b).map((first) => [...(all.get(first) ?? [])].sort((a, b) => a - b));
}

/**
 * @param {Trial} trial
 * @param {number[]} steps
 * @returns {Way}
 */
function wayOf({ number, state, rungs = [], value }, steps) {
  const values = steps.map((step) => num(rungs.find(({ rung }) => num(rung) === step)?.value));
  const last = rungs.length ? steps.indexOf(num(rungs[rungs.length - 1].rung)) : -1;
  const ended = state === "TRIAL_STATE_COMPLETED";
  if (ended) values.push(num(value));
  // Who waits at a rung was promoted, and who runs beyond it, too.
  return { trial: num(number), state, values, ranks: [], last: ended ? steps.length : last, went: /_(PENDING|LEASED|RUNNING)$/.test(state) };
}

/**
 * Whether a trial went on from a column that it has come to.
 * @param {Way} way
 * @param {number} index
 */
export function wentOn({ last, went }, index) {
  return index < last || (index === last && went);
}

/**
 * @param {number} step
 * @param {number} index
 * @param {Way[]} ways
 * @param {Trial[]} trials
 * @param {{goal: "min" | "max", reduction: number}} rule
 * @returns {Column}
 */
function columnOf(step, index, ways, trials, { goal, reduction }) {
  const here = ways.filter(({ last }) => last >= index);
  const ranked = here.filter(({ values }) => Number.isFinite(values[index])).sort(better(index, goal));
  const kept = Math.floor(here.length / reduction);
  return {
    step,
    reached: here.length,
    went: here.filter((way) => wentOn(way, index)).length,
    resting: trials.filter(({ state, rungs = [] }) => state === "TRIAL_STATE_PAUSED" && num(rungs[rungs.length - 1].rung) === step).length,
    best: ranked[0]?.values[index] ?? NaN,
    bestTrial: ranked[0]?.trial ?? NaN,
    kept,
    needed: kept > 0 ? ranked[kept - 1]?.values[index] ?? NaN : NaN,
  };
}

/**
 * The better value at a rung first, and what is no number last.
 * @param {number} index
 * @param {"min" | "max"} goal
 * @returns {(a: Way, b: Way) => number}
 */
function better(index, goal) {
  return ({ values: { [index]: a } }, { values: { [index]: b } }) => {
    const [left, right] = [Number.isFinite(a), Number.isFinite(b)];
    if (!left || !right) return Number(right) - Number(left);
    return goal === "max" ? b - a : a - b;
  };
}

/**
 * @param {Way[]} ways
 * @param {number} rungs
 * @param {"min" | "max"} goal
 */
function rank(ways, rungs, goal) {
  for (let index = 0; index <= rungs; index += 1) {
    const here = ways.filter(({ last }) => last >= index).sort(better(index, goal));
    here.forEach((way, place) => (way.ranks[index] = place + 1));
  }
}
