// What is used of each budget, what is left, and when it will be used up. Pure: the time is an argument.

import { count, duration, gpuHours, measure, num, percent, roughly, seconds } from "../../format.js";
import { allOf, endedOf, hasEnded } from "../../states.js";

/** @typedef {import("../../../types/api.js").Study} Study */
/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../../../types/api.js").Attempt} Attempt */
/**
 * `points`: time in milliseconds and what was used by then, ascending; fewer than two if how it was used is not known. `soon`: when it is used
 * up at the present rate, in seconds from now; NaN if that cannot be told.
 * @typedef {{id: string, name: string, unit: string, show: (amount: number) => string, limit: number, used: number, committed: number, left: number, points: [number, number][], soon: number, words: string}} Burn
 */
/** What ends a study before its budgets are used up: what it looks at, how that stands, where it ends. @typedef {{id: string, name: string, now: string, end: string, words: string}} Ending */
/** @typedef {{study: Study, trials: Trial[], results: {ended: number, at: number}[], attempts: Attempt[] | null, complete: boolean, now: number, asOf: number}} Known */

/** The present rate is that of the last part of the time, if so many changes were in it. */
const RECENT = 1 / 3;
const ENOUGH = 3;
/** Share of a budget from which on it is nearly used up. */
export const NEAR = 0.8;

/**
 * @param {Known} known `attempts`: those of all trials, or null while they are not known; `asOf`: when what the study says of its spending was read
 * @returns {Burn[]}
 */
export function burns(known) {
  const { study, now } = known;
  const { budget = {}, trial } = study.spec;
  const { spending = {}, counts } = study;
  const currency = spending.currency ?? "";
  const ended = endedOf(counts);
  /** @type {(Omit<Burn, "left" | "soon" | "words"> | null)[]} */
  const all = [
    budget.trials === undefined ? null : { id: "trials", name: "Trials", unit: "", show: count, limit: num(budget.trials), used: ended, committed: allOf(counts) - ended, points: ends(known) },
    budget.wallTime === undefined ? null : { id: "wall_time", name: "Time active", unit: "", show: duration, limit: seconds(budget.wallTime), used: activeTime(known), committed: NaN, points: active(known) },
    budget.gpuHours === undefined
      ? null
      : { id: "gpu_hours", name: "GPU hours", unit: "h", show: gpuHours, limit: budget.gpuHours, ...spent(known, spending.gpuHours, ({ gpus }) => gpus?.length ?? 0), committed: trial?.maxRuntime ? spending.gpuHoursCommitted ?? 0 : NaN },
    budget.failures === undefined ? null : { id: "failures", name: "Failed trials", unit: "", show: count, limit: num(budget.failures), used: num(counts?.failed ?? 0), committed: NaN, points: failures(known) },
    budget.cost === undefined ? null : { id: "cost", name: "Cost", unit: currency, show: measure, limit: budget.cost, ...spent(known, spending.cost, ({ pricePerHour }) => pricePerHour ?? 0), committed: trial?.maxRuntime ? spending.costCommitted ?? 0 : NaN },
  ];
  return all.filter((one) => one !== null).map((one) => {
    const left = Math.max(0, one.limit - one.used - (one.committed || 0));
    // Nobody can tell when trials will fail.
    const soon = study.state !== "STUDY_STATE_ACTIVE" || one.id === "failures" ? NaN : one.id === "wall_time" ? left : remaining(one, now, isIdle(study));
    return { ...one, left, soon, words: inWords(one, soon, study) };
  });
}

/**
 * Trials that had ended, by time.
 * @param {Known} known
 * @returns {[number, number][]}
 */
function ends({ study, trials, results, complete, now }) {
  const began = Date.parse(study.createdAt ?? "");
  /** @type {[number, number][]} */
  const points = complete
    ? trials.map(({ endedAt }) => Date.parse(endedAt ?? "")).filter(Number.isFinite).sort((a, b) => a - b).map((at, index) => [at, index + 1])
    : results.map(({ at, ended }) => /** @type {[number, number]} */ ([at, ended])).sort((a, b) => a[0] - b[0]);
  return [[began, 0], ...points, [until(study, now), endedOf(study.counts)]];
}

/**
 * Trials that had failed, by time; known where all trials are.
 * @param {Known} known
 * @returns {[number, number][]}
 */
function failures({ study, trials, complete, now }) {
  if (!complete) return [];
  const times = trials.filter(({ state }) => state.endsWith("FAILED")).map(({ endedAt }) => Date.parse(endedAt ?? "")).filter(Number.isFinite).sort((a, b) => a - b);
  return [[Date.parse(study.createdAt ?? ""), 0], ...times.map((at, index) => /** @type {[number, number]} */ ([at, index + 1])), [until(study, now), times.length]];
}

/** @param {Study} study @param {number} now when it was looked at last, or when it ended */
function until({ doneAt }, now) {
  return doneAt ? Date.parse(doneAt) : now;
}

/** Seconds that a study has been active. @param {Known} known */
function activeTime({ study, now, asOf }) {
  return seconds(study.spending?.wallTime) + (study.state === "STUDY_STATE_ACTIVE" ? (now - asOf) / 1000 : 0);
}

/**
 * How it became so: known if the study was never paused. When it was is not stored.
 * @param {Known} known
 * @returns {[number, number][]}
 */
function active(known) {
  const { study, now, asOf } = known;
  const began = Date.parse(study.createdAt ?? "");
  const passed = (until(study, asOf) - began) / 1000;
  if (passed - seconds(study.spending?.wallTime) > Math.max(2, passed * 0.005)) return [];
  return [[began, 0], [until(study, now), activeTime(known)]];
}

/**
 * What attempts have used, each by the hour.
 * @param {Known} known
 * @param {number | undefined} said what the coordinator says
 * @param {(attempt: Attempt) => number} perHour
 * @returns {{used: number, points: [number, number][]}}
 */
function spent({ study, attempts, now }, said, perHour) {
  if (!attempts) return { used: said ?? 0, points: [] };
  return { used: said ?? 0, points: usage(attempts, perHour, Date.parse(study.createdAt ?? ""), now) };
}

/**
 * What attempts had used by each moment at which one of them began or ended.
 * @param {Attempt[]} attempts
 * @param {(attempt: Attempt) => number} perHour
 * @param {number} began
 * @param {number} now
 * @returns {[number, number][]}
 */
export function usage(attempts, perHour, began, now) {
  /** @type {[number, number][]} when, and how much more is used per hour from then on */
  const changes = attempts.flatMap((attempt) => {
    const rate = perHour(attempt);
    if (!attempt.startedAt || !rate) return [];
    return [[Date.parse(attempt.startedAt), rate], [attempt.endedAt ? Date.parse(attempt.endedAt) : now, -rate]];
  });
  changes.sort((a, b) => a[0] - b[0]);
  /** @type {[number, number][]} */
  const points = [[began, 0]];
  let [rate, used, at] = [0, 0, began];
  for (const [when, change] of changes) {
    used += (rate * (when - at)) / 3_600_000;
    [rate, at] = [rate + change, when];
    points.push([when, used]);
  }
  return points;
}

/** Whether nothing runs. @param {Study} study */
function isIdle({ counts }) {
  return num(counts?.running ?? 0) + num(counts?.stopping ?? 0) === 0;
}

/**
 * Seconds until a budget is used up at the rate of the last time.
 * @param {{limit: number, used: number, points: [number, number][]}} burn
 * @param {number} now
 * @param {boolean} idle
 */
function remaining({ limit, used, points }, now, idle) {
  if (used >= limit) return 0;
  if (points.length < 2) return NaN;
  const began = points[0][0];
  const recent = now - (now - began) * RECENT;
  const lately = points.filter(([at]) => at > recent && at < now).length;
  if (idle && lately === 0) return NaN;
  const from = lately >= ENOUGH ? recent : began;
  const rate = (used - amountAt(points, from)) / ((now - from) / 1000);
  return rate > 0 ? (limit - used) / rate : NaN;
}

/**
 * What was used by a moment, between the points along a straight line.
 * @param {[number, number][]} points ascending by time
 * @param {number} time
 */
export function amountAt(points, time) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] > time) high = middle;
    else low = middle + 1;
  }
  if (low === 0 || low === points.length) return points[Math.max(0, low - 1)]?.[1] ?? NaN;
  const [[from, before], [to, after]] = [points[low - 1], points[low]];
  return before + ((after - before) * (time - from)) / (to - from);
}

/**
 * @param {{id: string, limit: number, used: number, committed: number}} burn
 * @param {number} soon
 * @param {Study} study
 */
function inWords({ id, limit, used, committed }, soon, study) {
  if (used >= limit) return "used up";
  if (hasEnded(study)) return `the study ended with ${percent(used / limit)}`;
  if (study.state === "STUDY_STATE_PAUSED") return "the study is paused";
  if (id === "failures") return `the study ends when ${count(limit)} have failed`;
  if (id === "trials" && used + committed >= limit) return Number.isFinite(soon) ? `all have begun; the last end in about ${roughly(soon)} at the present rate` : "all have begun";
  if (Number.isFinite(soon)) return `used up in about ${roughly(soon)} ${id === "wall_time" ? "if it stays active" : "at the present rate"}`;
  return isIdle(study) ? "nothing is used at the moment" : "no rate is known yet";
}

/**
 * What else ends a study, and how near that is.
 * @param {Study} study
 * @returns {Ending[]}
 */
export function endings({ spec, best, improvement = {} }) {
  const { target, noImprovement: rule } = spec.budget ?? {};
  /** @type {Ending[]} */
  const found = [];
  if (target !== undefined) {
    const maximize = spec.objective?.goal === "GOAL_MAXIMIZE";
    const value = num(best?.value);
    const away = maximize ? target - value : value - target;
    const words = Number.isNaN(value) ? "no result yet" : away > 0 ? `${measure(away)} away; the best is trial ${best?.number}` : `reached by trial ${best?.number}`;
    found.push({ id: "target", name: `Target of ${spec.objective?.metric ?? "the objective"}`, now: measure(best?.value), end: `${measure(target)} or ${maximize ? "more" : "less"}`, words });
  }
  const noted = rule?.shadow ? "; it is only noted" : "";
  const none = num(improvement.results ?? 0) === 0;
  if (rule?.patience !== undefined) {
    const several = Boolean(spec.moreObjectives?.length);
    const better = several ? "have not changed the Pareto set" : rule.minDelta ? `have not been better by more than ${measure(rule.minDelta)}` : "have not been better than the best before";
    found.push({ id: "patience", name: "Results without improvement", now: none ? "\u2013" : count(improvement.idle), end: count(rule.patience), words: none ? `no result that counts yet${noted}` : `the last results ${better}${noted}` });
  }
  if (rule?.gainBelow !== undefined) {
    const known = improvement.gainLeft !== undefined;
    const sure = percent(improvement.confidence ?? rule.confidence ?? 0.95);
    // The coordinator says what is missing until it is known.
    const missing = (improvement.note ?? "").replace(/^no_improvement: /, "").split("; ").pop() || "not known yet";
    found.push({ id: "gain", name: "Left to gain, at most", now: known ? measure(improvement.gainLeft) : "\u2013", end: `${measure(rule.gainBelow)} or less`, words: (known ? `with a probability of ${sure}, by a model of all results` : missing) + noted });
  }
  return found;
}
