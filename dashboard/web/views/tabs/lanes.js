// Which attempt ran where and when: bars on lanes, one lane for each GPU of a worker, or for each of the attempts that it had at the same
// time. Pure: times are arguments.

import { num } from "../../format.js";
import { isOver, trialLook } from "../../states.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../../../types/api.js").Attempt} Attempt */
/**
 * An attempt: `from` when it was handed out, `to` when it ended, NaN while it has not; both in milliseconds.
 * @typedef {{id: string, trial: number, attempt: number, holder: string, gpus: string[], from: number, started: number, to: number, state: string, look: import("../../states.js").Look, outcome: string}} Span
 */
/** @typedef {{holder: string, name: string, first: boolean}} Lane */
/** @typedef {{span: Span, lane: number}} Bar */

/** @type {import("../../states.js").Look} */
const INTERRUPTED = { word: "Interrupted", tone: "rest", shape: "bars" };

/** Spans as they were made, so that what has not changed stays the same object. @type {WeakMap<Attempt, Span>} */
const made = new WeakMap();

/**
 * The attempts of a trial, in their order.
 * @param {Trial} trial
 * @param {Attempt[]} attempts
 * @returns {Span[]}
 */
export function spans(trial, attempts) {
  return attempts
    .filter(({ leasedAt }) => leasedAt)
    .map((attempt, index) => {
      const before = made.get(attempt);
      if (before?.state === trial.state) return before;
      const number = num(trial.number);
      const span = {
        id: `${number}.${attempt.attempt}`,
        trial: number,
        attempt: attempt.attempt,
        holder: attempt.holder ?? "",
        gpus: attempt.gpus ?? [],
        from: Date.parse(attempt.leasedAt ?? ""),
        started: Date.parse(attempt.startedAt ?? ""),
        to: Date.parse(attempt.endedAt ?? ""),
        state: trial.state,
        look: lookOf(trial, attempt, index === attempts.length - 1),
        outcome: attempt.outcome ?? "",
      };
      made.set(attempt, span);
      return span;
    });
}

/**
 * @param {Trial} trial
 * @param {Attempt} attempt
 * @param {boolean} last
 */
function lookOf({ state }, { endedAt, failureCause }, last) {
  if (!endedAt) return trialLook(isOver(state) ? "TRIAL_STATE_RUNNING" : state);
  if (failureCause) return trialLook("TRIAL_STATE_FAILED");
  return last && isOver(state) ? trialLook(state) : INTERRUPTED;
}

/**
 * Puts attempts on lanes, those of a worker beside each other.
 * @param {Span[]} all
 * @param {Map<string, string[]>} gpusOf of workers, in their order
 * @returns {{lanes: Lane[], bars: Bar[]}}
 */
export function arrange(all, gpusOf) {
  /** @type {Map<string, Span[]>} */
  const byHolder = new Map();
  for (const span of all) {
    const own = byHolder.get(span.holder);
    if (own) own.push(span);
    else byHolder.set(span.holder, [span]);
  }
  /** @type {Lane[]} */
  const lanes = [];
  /** @type {Bar[]} */
  const bars = [];
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  for (const holder of [...byHolder.keys()].sort(compare)) {
    const own = /** @type {Span[]} */ (byHolder.get(holder)).sort((a, b) => a.from - b.from || a.trial - b.trial);
    const begin = lanes.length;
    const known = gpusOf.get(holder) ?? [];
    const used = new Set(own.flatMap(({ gpus }) => gpus));
    const gpus = [...known.filter((gpu) => used.has(gpu)), ...[...used].filter((gpu) => !known.includes(gpu)).sort(compare)];
    const laneOf = new Map(gpus.map((gpu, index) => [gpu, begin + index]));
    for (const gpu of gpus) lanes.push({ holder, name: known.includes(gpu) ? `GPU ${known.indexOf(gpu)}` : gpu, first: false });
    /** When each slot is free again. @type {number[]} */
    const free = [];
    for (const span of own) {
      for (const gpu of span.gpus) bars.push({ span, lane: /** @type {number} */ (laneOf.get(gpu)) });
      if (span.gpus.length) continue;
      let slot = free.findIndex((time) => time <= span.from);
      if (slot < 0) {
        slot = free.length;
        lanes.push({ holder, name: `slot ${slot + 1}`, first: false });
      }
      free[slot] = Number.isNaN(span.to) ? Infinity : span.to;
      bars.push({ span, lane: begin + gpus.length + slot });
    }
    if (lanes[begin]) lanes[begin].first = true;
  }
  return { lanes, bars };
}

/**
 * How much of the lanes' time was used between two moments.
 * @param {{lanes: Lane[], bars: Bar[]}} arranged
 * @param {number} from
 * @param {number} to
 */
export function busy({ lanes, bars }, from, to) {
  const used = bars.reduce((sum, { span }) => sum + Math.max(0, Math.min(to, Number.isNaN(span.to) ? to : span.to) - Math.max(from, span.from)), 0);
  return lanes.length && to > from ? used / (lanes.length * (to - from)) : NaN;
}
