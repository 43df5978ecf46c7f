// What an exported study becomes when it is imported: the study anew, paused, with those of its trials that have a result, as `tunesmith study import` makes it.

import { count, num, plural } from "../format.js";
import { uuid } from "../parts.js";
import { FORMAT } from "./export.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Curve} Curve */
/** @typedef {import("../../types/api.js").Spec} Spec */
/** @typedef {{trial: Trial, curves: Curve[]}} Exported */
/** @typedef {{format: string, exportedAt?: string, study: {spec: Spec}, history?: object[], trials: Exported[]}} Document */
/**
 * What an import makes: `requests` are AddTrialRequests in the order of the trials, `notes` say what is not as it was.
 * @typedef {{spec: Spec, history: object[], requests: object[], notes: string[], exportedAt: string}} Plan
 */

/** Points that one trial can be brought in with. */
const POINTS = 10_000;
/** Letters that a browser can hold as one text, with some room. */
const LETTERS = 400_000_000;

/** A file that cannot be imported, and what to do instead. */
class NotAStudy extends Error {
  /** @param {string} name @param {string} why */
  constructor(name, why) {
    super(`${name} is no exported study: ${why}. A file to import is written by Export, or by \u201ctunesmith study export NAME\u201d. A study file is pasted into the form, or submitted with \u201ctunesmith run\u201d.`);
  }
}

/**
 * Reads a file.
 * @param {File} file
 * @returns {Promise<Document>}
 */
export async function read(file) {
  if (file.size > LETTERS) throw new Error(`${file.name} is too large for a browser. Import it with \u201ctunesmith study import FILE\u201d.`);
  const refused = (/** @type {string} */ why) => new NotAStudy(file.name, why);
  let document;
  try {
    document = JSON.parse(await file.text());
  } catch (error) {
    throw error instanceof SyntaxError ? refused("it is not JSON") : new Error(`${file.name} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  if (!isObject(document)) throw refused("it is no JSON object");
  const { format, study, trials, history = [] } = document;
  if (format === undefined) throw refused("it does not say which format it has");
  // A newer document may have more than is known here.
  if (format !== FORMAT) throw refused(`its format is ${JSON.stringify(String(format).slice(0, 40))}, not ${JSON.stringify(FORMAT)}`);
  if (!isObject(study) || !isObject(study.spec)) throw refused("it has no study.spec");
  if (!Array.isArray(trials)) throw refused("it has no list of trials");
  if (!Array.isArray(history)) throw refused("its history is no list");
  trials.forEach((one, index) => {
    const fine = isObject(one) && isObject(one.trial) && typeof one.trial.state === "string" && Array.isArray(one.curves) && one.curves.every(isCurve);
    if (!fine) throw refused(`trials[${index}] is no trial with its curves`);
  });
  return /** @type {Document} */ (document);
}

/** @param {any} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {any} value */
const isCurve = (value) => isObject(value) && typeof value.metric === "string" && [value.step ?? [], value.value ?? []].every(Array.isArray);

/**
 * The calls that make the study anew.
 * @param {Document} document
 * @returns {Plan}
 */
export function plan({ study: { spec }, history = [], trials, exportedAt = "" }) {
  const objective = spec.objective?.metric || "value";
  let [leftOut, thinned] = [0, 0];
  const requests = [];
  for (const { trial, curves } of trials) {
    const state = stateOf(trial);
    if (!state) {
      leftOut += 1;
      continue;
    }
    const { points, whole } = pointsOf(curves, objective);
    if (!whole) thinned += 1;
    const values = told(trial, objective, state);
    const value = values.get(objective);
    values.delete(objective);
    const { parameters, note, tags } = trial;
    requests.push({ parameters, note, tags, result: { value, state, points, values: Object.fromEntries(values) }, requestId: uuid() });
  }
  const notes = [
    leftOut && `${plural(leftOut, "trial")} without a result (cancelled, running or waiting) left out; numbers of later trials change`,
    thinned && `curves of ${plural(thinned, "trial")} with more than ${count(POINTS)} points are imported with every n-th point`,
  ].filter((note) => typeof note === "string");
  return { spec, history, requests, notes, exportedAt };
}

/** How a trial can be brought in; nothing if it has no result. @param {Trial} trial */
function stateOf({ state }) {
  // Time that was up is no state a result can have; what it reported counts all the same.
  if (state === "TRIAL_STATE_TIMED_OUT") return "TRIAL_STATE_COMPLETED";
  return ["TRIAL_STATE_COMPLETED", "TRIAL_STATE_EARLY_STOPPED", "TRIAL_STATE_FAILED"].includes(state) ? state : null;
}

/**
 * The values of a trial by metric, as far as a metric has one. Of one of which the study takes several, such as the last and the best, the curve has to tell
 * them.
 * @param {Trial} trial
 * @param {string} objective
 * @param {string} state
 */
function told({ value, values = {}, constraints = [] }, objective, state) {
  /** @type {Map<string, import("../../types/api.js").Real[]>} */
  const all = new Map();
  const add = (/** @type {string} */ metric, /** @type {import("../../types/api.js").Real | undefined} */ one) => one !== undefined && all.set(metric, [...(all.get(metric) ?? []), one]);
  if (state !== "TRIAL_STATE_FAILED") {
    add(objective, value);
    for (const [metric, one] of Object.entries(values)) add(metric, one);
  }
  for (const { metric, value: one } of constraints) add(metric, one);
  return new Map([...all].filter(([, found]) => found.every((one) => Object.is(num(one), num(found[0])))).map(([metric, [first]]) => [metric, first]));
}

/**
 * Curves as points, and whether all are there: where they are too many for one call, only every n-th of each curve and its last is.
 * @param {Curve[]} curves
 * @param {string} objective
 */
function pointsOf(curves, objective) {
  const some = curves.filter(({ step = [] }) => step.length > 0);
  if (some.length === 0) return { points: undefined, whole: true };
  some.sort((a, b) => Number(b.metric === objective) - Number(a.metric === objective) || (a.metric < b.metric ? -1 : 1));
  const lengths = some.map(({ step = [], value = [] }) => Math.min(step.length, value.length));
  const total = lengths.reduce((a, b) => a + b, 0);
  const whole = total <= POINTS;
  // The last point of each curve comes on top of every n-th.
  const every = whole ? 1 : Math.ceil(total / Math.max(1, POINTS - some.length));
  /** @type {Required<import("../../types/api.js").Points>} */
  const points = { metrics: some.map(({ metric }) => metric), metric: [], step: [], value: [] };
  some.forEach(({ step = [], value = [] }, metric) => {
    for (let index = 0; index < lengths[metric]; index += 1) {
      if (index % every !== 0 && index + 1 !== lengths[metric]) continue;
      points.metric.push(metric);
      points.step.push(step[index]);
      points.value.push(value[index]);
    }
  });
  return { points, whole };
}
