// States of studies, trials and workers: a word, a shape and a colour for each, so that none of them is needed to tell them apart.

import { el, svg } from "./dom.js";

/** @typedef {"run" | "wait" | "good" | "cut" | "bad" | "rest" | "off"} Tone */
/** @typedef {{word: string, tone: Tone, shape: string}} Look */

/** Drawn in 12 by 12. */
const SHAPES = {
  dot: "M6 2a4 4 0 1 0 0 8a4 4 0 0 0 0-8z",
  ring: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9zm0 1.5a3 3 0 1 1 0 6a3 3 0 0 1 0-6z",
  half: "M6 1.5a4.5 4.5 0 1 0 0 9zm0 1.5a3 3 0 0 1 0 6v1.5a4.5 4.5 0 0 0 0-9z",
  check: "M1.8 6.3l1.2-1.2 2.1 2.1 4-4.2 1.1 1.1-5.1 5.4z",
  cut: "M6 1l5 5-5 5-5-5z",
  cross: "M2.7 1.6L6 4.9l3.3-3.3 1.1 1.1L7.1 6l3.3 3.3-1.1 1.1L6 7.1l-3.3 3.3-1.1-1.1L4.9 6 1.6 2.7z",
  bars: "M2.5 2h2.4v8H2.5zM7.1 2h2.4v8H7.1z",
  square: "M2 2h8v8H2z",
  slash: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 0 0 0-9zM6 3c.6 0 1.2.2 1.6.5L3.5 7.6A3 3 0 0 1 6 3zm0 6c-.6 0-1.2-.2-1.6-.5L8.5 4.4A3 3 0 0 1 6 9z",
  hour: "M2 1h8L7 6l3 5H2l3-5z",
};

/** @type {Record<string, Look>} */
const TRIALS = {
  PENDING: { word: "Waiting", tone: "wait", shape: "ring" },
  LEASED: { word: "Starting", tone: "run", shape: "half" },
  RUNNING: { word: "Running", tone: "run", shape: "dot" },
  STOPPING: { word: "Stopping", tone: "cut", shape: "square" },
  PAUSED: { word: "Resting", tone: "rest", shape: "bars" },
  COMPLETED: { word: "Completed", tone: "good", shape: "check" },
  EARLY_STOPPED: { word: "Stopped early", tone: "cut", shape: "cut" },
  TIMED_OUT: { word: "Timed out", tone: "cut", shape: "hour" },
  FAILED: { word: "Failed", tone: "bad", shape: "cross" },
  CANCELLED: { word: "Cancelled", tone: "off", shape: "slash" },
};

/** @type {Record<string, Look>} */
const STUDIES = {
  ACTIVE: { word: "Active", tone: "run", shape: "dot" },
  PAUSED: { word: "Paused", tone: "rest", shape: "bars" },
  DONE: { word: "Done", tone: "good", shape: "check" },
  ARCHIVED: { word: "Archived", tone: "off", shape: "slash" },
};

/** @type {Record<string, Look>} */
const WORKERS = {
  READY: { word: "Ready", tone: "good", shape: "check" },
  DRAINING: { word: "Draining", tone: "rest", shape: "bars" },
  OFFLINE: { word: "Offline", tone: "off", shape: "slash" },
};

/** @type {Look} */
const UNKNOWN = { word: "Unknown", tone: "off", shape: "ring" };

/**
 * Why a study is done is a part of how it looks: one that a person or failures ended is not "good".
 * @param {{state: string, doneReason?: string}} study
 * @returns {Look}
 */
export function studyLook({ state, doneReason }) {
  if (state === "STUDY_STATE_DONE" && doneReason === "DONE_REASON_FAILURES") return { word: "Gave up", tone: "bad", shape: "cross" };
  if (state === "STUDY_STATE_DONE" && doneReason === "DONE_REASON_CANCELLED") return { word: "Stopped", tone: "off", shape: "slash" };
  return STUDIES[state.replace("STUDY_STATE_", "")] ?? UNKNOWN;
}

/** @param {string} state @returns {Look} */
export function trialLook(state) {
  return TRIALS[state.replace("TRIAL_STATE_", "")] ?? UNKNOWN;
}

/** @param {string} state @returns {Look} */
export function workerLook(state) {
  return WORKERS[state.replace("WORKER_STATE_", "")] ?? UNKNOWN;
}

/** All states of trials in the order of their lives. */
export const TRIAL_STATES = Object.keys(TRIALS).map((state) => `TRIAL_STATE_${state}`);

/** @param {string} state of a trial */
export function isOver(state) {
  return /_(COMPLETED|EARLY_STOPPED|TIMED_OUT|FAILED|CANCELLED)$/.test(state);
}

/** @param {string} state of a trial that has ended: whether its value counts */
export function counts(state) {
  return /_(COMPLETED|EARLY_STOPPED|TIMED_OUT)$/.test(state);
}

/** @param {string} state of a trial */
export function isRunning(state) {
  return /_(LEASED|RUNNING|STOPPING)$/.test(state);
}

/** @param {{state: string}} study */
export function hasEnded({ state }) {
  return state === "STUDY_STATE_DONE" || state === "STUDY_STATE_ARCHIVED";
}

/**
 * A state as it is shown.
 * @param {Look} look
 * @param {string} [why]
 */
export function badge(look, why) {
  const shape = svg("path", { d: SHAPES[/** @type {keyof typeof SHAPES} */ (look.shape)] });
  return el("span", { class: `state tone-${look.tone}`, title: why || null }, svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, shape), look.word);
}

/**
 * Trials by state, in the order in which they are drawn beside each other.
 * @param {import("../types/api.js").Counts | undefined} counts
 * @returns {{look: Look, count: number}[]}
 */
export function byState(counts = {}) {
  const numbers = {
    COMPLETED: counts.completed,
    EARLY_STOPPED: counts.earlyStopped,
    TIMED_OUT: counts.timedOut,
    FAILED: counts.failed,
    CANCELLED: counts.cancelled,
    RUNNING: counts.running,
    STOPPING: counts.stopping,
    PAUSED: counts.paused,
    PENDING: counts.pending,
  };
  return Object.entries(numbers)
    .map(([state, count]) => ({ look: TRIALS[state], count: Number(count ?? 0) }))
    .filter(({ count }) => count > 0);
}

/** @param {import("../types/api.js").Counts | undefined} counts trials that have ended */
export function endedOf(counts = {}) {
  return [counts.completed, counts.earlyStopped, counts.timedOut, counts.failed, counts.cancelled].reduce((/** @type {number} */ sum, one) => sum + Number(one ?? 0), 0);
}

/** @param {import("../types/api.js").Counts | undefined} counts all trials */
export function allOf(counts = {}) {
  return Object.values(counts).reduce((/** @type {number} */ sum, one) => sum + Number(one ?? 0), 0);
}
