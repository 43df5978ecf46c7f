// Which trial began with whose training: lines of ancestors, and the values of parameters on the scales that a study declares. Pure.

import { measure, num, parameter as shown } from "../../format.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../../../types/api.js").Parameter} Parameter */
/** @typedef {import("../../../types/api.js").Value} Value */
/** A part of a line: what a trial was trained by itself, up to where the next one began; `value` is what it had come to there. @typedef {{trial: Trial, from: number, to: number, value: number}} Link */
/**
 * Values as heights on an axis that is linear; `text` writes a height, `labels` are heights to be written where others would not be round.
 * @typedef {{height: (value: Value | undefined) => number, text: (height: number) => string, low?: number, high?: number, labels?: number[], whole: boolean}} Axis
 */

/** Labels of an axis whose round heights are no round values. */
const LABELS = 5;

/**
 * The trials that led to one, the first ancestor first. It begins later where not all trials are known.
 * @param {Map<number, Trial>} trials
 * @param {number} last
 * @returns {Link[]}
 */
export function lineOf(trials, last) {
  /** @type {Link[]} */
  const line = [];
  let trial = trials.get(last);
  let [to, value] = [num(trial?.lastStep ?? trial?.parent?.step ?? 0), num(trial?.value)];
  while (trial && line.length <= trials.size) {
    line.unshift({ trial, from: begin(trial), to, value });
    const { parent } = trial;
    if (!parent) break;
    [to, value] = [num(parent.step ?? 0), num(parent.value)];
    trial = trials.get(num(parent.trial));
  }
  return line;
}

/** Steps that a trial began with. @param {Trial} trial */
export function begin({ parent }) {
  return num(parent?.step ?? 0);
}

/**
 * What is other than in the trial before, in words.
 * @param {Trial} trial
 */
export function changes({ parent }) {
  return (parent?.changed ?? []).map(({ name, from, to }) => `${name} ${shown(from)} \u2192 ${shown(to)}`).join(", ");
}

/**
 * Trials from which no other one began.
 * @param {Map<number, Trial>} trials
 */
export function leaves(trials) {
  const parents = new Set([...trials.values()].map(({ parent }) => num(parent?.trial)));
  return [...trials.values()].filter(({ number }) => !parents.has(num(number)));
}

/**
 * @param {Parameter} parameter
 * @returns {Axis}
 */
export function axisOf({ type, scale, low = 0, high = 1, choices }) {
  const levels = type === "bool" ? [false, true] : choices;
  if (levels) return { height: (value) => levels.findIndex((level) => level === value), text: (height) => (Number.isInteger(height) && height in levels ? shown(levels[height]) : ""), whole: true };
  const number = (/** @type {Value | undefined} */ value) => (typeof value === "number" ? value : NaN);
  if (scale === "log" || scale === "log2") return { height: (value) => Math.log10(number(value)), text: (height) => measure(10 ** height), low: Math.log10(low), high: Math.log10(high), whole: false };
  if (scale !== "reverse_log") return { height: number, text: (height) => measure(height), low, high, whole: type === "int" };
  // Fine near its upper end: what is logarithmic is the distance from the other one.
  const height = (/** @type {Value | undefined} */ value) => -Math.log10(low + high - number(value));
  const value = (/** @type {number} */ at) => low + high - 10 ** -at;
  const between = Array.from({ length: LABELS - 2 }, (_, index) => value(height(low) + ((index + 1) * (height(high) - height(low))) / (LABELS - 1)));
  return { height, text: (at) => measure(value(at)), low: height(low), high: height(high), labels: [low, ...between.map((one) => Number(one.toPrecision(2))), high].map(height), whole: false };
}
