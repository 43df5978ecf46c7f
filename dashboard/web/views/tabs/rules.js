// Early-stopping rules as people write them, and what trying one on a study's curves has come to, in words. Pure.

import { count, duration, gpuHours, measure, num, percent, plural } from "../../format.js";

/** @typedef {import("../../../types/api.js").Rule} Rule */
/** @typedef {import("../../../types/api.js").Backtest} Backtest */

export const RULES = ["median", "percentile", "asha", "curve", "plateau", "diverging", "threshold", "below_baseline", "wilcoxon"];

/** What a study gives a rule that does not say it: not worth showing. */
const USUAL = new Set(["rule", "metric", "goal", "shadow"]);

/**
 * The options of a rule, as a study file has them.
 * @param {Rule} rule
 * @param {string} objective whose metric is not named
 */
export function options(rule, objective) {
  const pairs = Object.entries(rule)
    .filter(([name]) => !USUAL.has(name))
    .map(([name, value]) => `${snake(name)}=${Array.isArray(value) ? curveText(value) : value}`);
  return [rule.metric && rule.metric !== objective ? `metric=${rule.metric}` : "", ...pairs].filter(Boolean).join(" ");
}

/** @typedef {{step: import("../../../types/api.js").Long, value: number}} Point of a curve that is given */

/** A curve as it is written in an option. @param {Point[]} points */
export function curveText(points) {
  return points.map(({ step, value }) => `${step}:${value}`).join(",");
}

/**
 * @param {string} text such as "1:0.5,10:0.8"
 * @returns {Point[]}
 */
function curveOf(text) {
  return text.split(",").filter(Boolean).map((pair) => {
    const [step, value, ...more] = pair.split(":");
    if (more.length || !/^-?\d+$/.test(step) || !value || !Number.isFinite(Number(value))) throw new Error(`\u201c${pair}\u201d is no point of a curve; write step:value, such as curve=1:0.5,10:0.8`);
    return { step, value: Number(value) };
  });
}

/** @param {string} name such as warmupSteps */
function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * A rule of its name and of options such as "warmup_steps=5 keep=25".
 * @param {string} name
 * @param {string} text
 * @returns {Rule}
 * @throws {Error} that names what cannot be understood
 */
export function ruleOf(name, text) {
  /** @type {Rule} */
  const rule = { rule: name };
  // A comma is between two options, but within a curve.
  for (const pair of text.split(/\s+|,(?=\s|\w+=|$)/).filter(Boolean)) {
    const at = pair.indexOf("=");
    if (at < 1 || at === pair.length - 1) throw new Error(`\u201c${pair}\u201d is not an option; write key=value, such as warmup_steps=5`);
    const [key, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (key === "goal") rule.goal = `GOAL_${value.toUpperCase()}`;
    else if (key === "metric") rule.metric = value;
    else if (key === "curve") rule.curve = curveOf(value);
    else if (Number.isFinite(Number(value))) rule[key] = Number(value);
    else throw new Error(`${key} has to be a number, not \u201c${value}\u201d`);
  }
  return rule;
}

/**
 * What rules would have done, for people.
 * @param {Backtest} tried
 * @param {{step: string}} study
 * @returns {string[]}
 */
export function inWords(tried, { step }) {
  const trials = num(tried.trials ?? 0);
  const stops = tried.stops ?? [];
  const really = num(tried.earlyStopped ?? 0);
  const sentences = [`${count(stops.length)} of ${plural(trials, "trial")} with points would have been stopped${really ? `; ${plural(really, "trial")} ${really === 1 ? "was" : "were"} really stopped early, and count${really === 1 ? "s" : ""} only up to there` : ""}.`];
  if (!stops.length) return sentences;
  const steps = num(tried.steps ?? 0);
  const stepsSaved = num(tried.stepsSaved ?? 0);
  const gpus = tried.gpuSeconds ? `, ${gpuHours((tried.gpuSecondsSaved ?? 0) / 3600)} of ${gpuHours(tried.gpuSeconds / 3600)} GPU hours` : "";
  sentences.push(`Saved: ${count(stepsSaved)} of ${plural(steps, step)}${steps ? ` (${percent(stepsSaved / steps)})` : ""}, ${duration(tried.secondsSaved ?? 0)} of ${duration(tried.seconds ?? 0)} of training${gpus}.`);
  const named = (/** @type {import("../../../types/api.js").Best | undefined} */ best) => (best ? `trial ${best.trial} with ${measure(best.value)}` : "none");
  const same = tried.best && tried.bestWithRules && String(tried.best.trial) === String(tried.bestWithRules.trial) && tried.best.value === tried.bestWithRules.value;
  sentences.push(same ? `The best stays ${named(tried.best)}.` : `The best would be ${named(tried.bestWithRules)}, instead of ${named(tried.best)}.`);
  if (tried.bestLost) sentences.push(`The best of those stopped, ${named(tried.bestLost)}, was number ${count(tried.bestLostRank)} of ${count(tried.ranked)} in the end.`);
  return sentences;
}
