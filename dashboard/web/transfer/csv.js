// Trials as comma-separated values (RFC 4180), as `tunesmith study export --format csv` writes them: one row per trial, a column for each parameter and
// metric, every digit of a number.

import { num } from "../format.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Spec} Spec */
/** @typedef {import("../../types/api.js").Real} Real */

/** @type {Record<string, string>} */
const STATES = { PENDING: "pending", LEASED: "starting", RUNNING: "running", STOPPING: "stopping", PAUSED: "paused", COMPLETED: "completed", EARLY_STOPPED: "early-stopped", TIMED_OUT: "timed-out", FAILED: "failed", CANCELLED: "cancelled" };

/**
 * All trials as one document.
 * @param {Spec} spec
 * @param {Trial[]} trials
 */
export function render(spec, trials) {
  const declared = (spec.space ?? []).map(({ name }) => name);
  const known = new Set(declared);
  const parameters = [...declared, ...sorted(trials.flatMap(({ parameters = {} }) => Object.keys(parameters))).filter((name) => !known.has(name))];
  const metrics = sorted(trials.flatMap(({ metrics = {} }) => Object.keys(metrics)));
  const objectives = spec.moreObjectives?.length ? [spec.objective, ...spec.moreObjectives].map((objective) => objective?.metric ?? "") : [];
  const bounds = spec.measuredConstraints ?? [];
  const header = [
    ...["trial", "state", "value"],
    ...objectives.map((metric) => `value.${metric}`),
    ...bounds.map((one) => `constraint.${bound(one)}`),
    ...(bounds.length ? ["feasible"] : []),
    ...parameters.map((name) => `param.${name}`),
    ...metrics.map((name) => `metric.${name}`),
    ...["last_step", "created_at", "started_at", "ended_at", "seconds", "seed", "reason", "note", "tags"],
  ];
  return [header, ...trials.map((trial) => row(trial))].map(line).join("");

  /** @param {Trial} trial @returns {string[]} */
  function row(trial) {
    const { values = {}, constraints = [], metrics: measured = {}, feasible } = trial;
    return [
      String(trial.number),
      STATES[trial.state.replace("TRIAL_STATE_", "")] ?? "unknown",
      exact(trial.value),
      ...objectives.map((metric) => exact(values[metric])),
      ...bounds.map((_, place) => exact(constraints[place]?.value)),
      ...(bounds.length ? [feasible === undefined ? "" : String(feasible)] : []),
      ...parameters.map((name) => word(trial.parameters?.[name])),
      ...metrics.map((name) => exact(measured[name])),
      String(trial.lastStep ?? ""),
      time(trial.createdAt),
      time(trial.startedAt),
      time(trial.endedAt),
      seconds(trial.startedAt, trial.endedAt),
      String(trial.seed ?? "0"),
      trial.stateReason ?? "",
      trial.note ?? "",
      (trial.tags ?? []).join(","),
    ];
  }
}

/** Each once. Names have no other letters than ASCII, which everybody puts in the same order. @param {string[]} names */
const sorted = (names) => [...new Set(names)].sort();

/** @param {string[]} fields */
function line(fields) {
  return `${fields.map((field) => (/[,"\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(",")}\r\n`;
}

/** @param {import("../../types/api.js").Bound} bound */
function bound({ metric, atMost, atLeast }) {
  if (atMost !== undefined) return `${metric} <= ${exact(atMost)}`;
  return atLeast === undefined ? metric : `${metric} >= ${exact(atLeast)}`;
}

/**
 * A number in the shortest text that reads back to it.
 * @param {Real | undefined} value
 */
function exact(value) {
  if (value === undefined) return "";
  const number = num(value);
  const size = Math.abs(number);
  if (!Number.isFinite(number) || (size >= 1e-4 && size < 1e15)) return String(number);
  if (number === 0) return Object.is(number, -0) ? "-0" : "0";
  return number.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** @param {unknown} value of a parameter @returns {string} */
function word(value) {
  if (typeof value === "number") return exact(value);
  if (typeof value === "string") return clean(value);
  return value === undefined ? "" : value === null ? "-" : String(value);
}

/** A text without what would move a terminal's cursor, as the command line has it. @param {string} text */
function clean(text) {
  return text
    .replace(/\x1b(\[[^\x40-\x7e]*[\x40-\x7e]?|\][^\x07\x1b]*(\x07|\x1b[^]?)?|[^])?/gu, "")
    .replace(/[\n\t]/g, " ")
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Cc}/gu, "");
}

/** @param {string | undefined} time as the API has it: with groups of three digits behind the point */
function time(time) {
  if (!time) return "";
  return time.replace(/(\.\d*?)0*(Z|\+00:00)$/, "$1Z").replace(/\.?(Z|\+00:00)$/, "Z");
}

/** @param {string | undefined} from @param {string | undefined} to */
function seconds(from, to) {
  if (!from || !to) return "";
  const micros = Math.max(0, microseconds(to) - microseconds(from));
  const whole = Math.floor(micros / 1e6);
  // Whole seconds and the rest apart, as durations are turned into numbers elsewhere: the last digit is the same then.
  return exact(whole + ((micros - whole * 1e6) * 1_000) / 1e9);
}

/** @param {string} time */
function microseconds(time) {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  return Date.parse(time.replace(/\.\d+/, "")) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
