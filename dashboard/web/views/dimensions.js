// What trials can be compared by: parameters, objectives, other metrics, and their number. And how each is laid along an axis.

import { measure, num } from "../format.js";
import { bounds, curve, ticks } from "../scales.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Value} Value */
/**
 * @typedef {object} Dimension
 * @property {string} id "p:NAME" of a parameter, "m:NAME" of a metric, "value" of the first objective, "o:METRIC" of another, "number"
 * @property {string} name
 * @property {"parameter" | "objective" | "metric" | "number"} kind
 * @property {(trial: Trial) => Value | undefined} of the trial's value; undefined if it has none. Numbers are finite
 * @property {Value[] | null} choices all values, of those that are no range
 * @property {import("../scales.js").Kind} scale
 * @property {number} low the smallest value that was declared; NaN if none was
 * @property {number} high
 * @property {boolean} whole
 * @property {boolean} conditional whether some trials may lack it since other parameters say so
 * @property {"min" | "max" | null} goal
 */

/** @param {import("../../types/api.js").Real | undefined} value */
function finite(value) {
  const number = num(value);
  return Number.isFinite(number) ? number : undefined;
}

/** @type {{choices: null, scale: "linear", low: number, high: number, whole: boolean, conditional: boolean, goal: null}} */
const PLAIN = { choices: null, scale: "linear", low: NaN, high: NaN, whole: false, conditional: false, goal: null };

/** @param {import("../../types/api.js").Parameter} parameter @returns {Dimension} */
function ofParameter({ name, type, scale, low, high, choices, when }) {
  return {
    id: `p:${name}`,
    name,
    kind: "parameter",
    of: ({ parameters }) => parameters?.[name],
    choices: type === "bool" ? [false, true] : type === "float" || type === "int" ? null : (choices ?? []),
    scale: /** @type {import("../scales.js").Kind} */ (scale || "linear"),
    low: num(low),
    high: num(high),
    whole: type === "int",
    conditional: Boolean(when?.length),
    goal: null,
  };
}

/** @param {Study} study @returns {Dimension[]} parameters that vary, in their order */
export function parametersOf({ spec }) {
  return (spec.space ?? [])
    .filter(({ type }) => type !== "constant")
    .map(ofParameter)
    .filter(({ choices, low, high }) => (choices ? choices.length > 1 : high > low));
}

/** @param {Study} study @returns {Dimension[]} the first one first */
export function objectivesOf({ spec }) {
  const all = spec.objective ? [spec.objective, ...(spec.moreObjectives ?? [])] : [];
  return all.map(({ metric, goal }, index) => ({
    ...PLAIN,
    id: index === 0 ? "value" : `o:${metric}`,
    name: metric,
    kind: "objective",
    of: index === 0 ? ({ value }) => finite(value) : ({ values }) => finite(values?.[metric]),
    goal: goal === "GOAL_MAXIMIZE" ? "max" : "min",
  }));
}

/** @param {string} name @returns {Dimension} */
const ofMetric = (name) => ({ ...PLAIN, id: `m:${name}`, name, kind: "metric", of: ({ metrics }) => finite(metrics?.[name]) });

/** @type {Dimension} */
export const NUMBER = { ...PLAIN, id: "number", name: "trial", kind: "number", of: ({ number }) => num(number), whole: true };

/**
 * All that trials can be compared by.
 * @param {Study} study
 * @param {Iterable<Trial>} trials whose metrics count
 */
export function dimensionsOf(study, trials) {
  const objectives = objectivesOf(study);
  /** @type {Set<string>} */
  const metrics = new Set();
  for (const trial of trials) for (const metric in trial.metrics) metrics.add(metric);
  for (const { name } of objectives) metrics.delete(name);
  return [...parametersOf(study), ...objectives, ...[...metrics].sort().map(ofMetric), NUMBER];
}

/**
 * @param {Study} study
 * @param {string} id
 * @returns {Dimension | undefined} undefined if the study has nothing of this kind
 */
export function dimensionOf(study, id) {
  if (id === NUMBER.id) return NUMBER;
  if (id.startsWith("m:")) return ofMetric(id.slice(2));
  return [...parametersOf(study), ...objectivesOf(study)].find((one) => one.id === id);
}

/** Where trials lie in which a parameter is not active, apart from all values. */
export const INACTIVE = -0.12;

/** How far beyond the end of an axis those results lie that it does not reach. */
const BEYOND = 1.02;
/** See `bounds`: less than elsewhere, since what is left out lies at the end and can be seen. */
const REACH = 1.5;

/** A dimension laid along an axis: its values lie from 0 to 1, and those who lack it at `INACTIVE`. */
export class Axis {
  /**
   * @param {Dimension} dimension
   * @param {Iterable<Trial>} trials to be laid along it
   * @param {{log?: boolean, values?: number[]}} [options] `values`: lie on the axis, too; they may be far away
   */
  constructor(dimension, trials, { log = false, values = [] } = {}) {
    this.dimension = dimension;
    const numbers = [...values];
    this.inactive = false;
    for (const trial of trials) {
      const value = dimension.of(trial);
      if (value === undefined) this.inactive ||= dimension.kind === "parameter";
      else if (typeof value === "number" && !dimension.choices && !Number.isFinite(dimension.low)) numbers.push(value);
    }
    /** @type {Map<string, number>} */
    this.places = new Map((dimension.choices ?? []).map((choice, index, { length }) => [String(choice), (index + 0.5) / length]));
    let [low, high] = [dimension.low, dimension.high];
    /** @type {import("../scales.js").Kind} */
    this.scale = dimension.scale;
    if (!Number.isFinite(low)) {
      const cut = bounds(numbers, dimension.goal, REACH);
      low = cut.low ?? numbers.reduce((a, b) => Math.min(a, b), Infinity);
      high = cut.high ?? numbers.reduce((a, b) => Math.max(a, b), -Infinity);
      if (!(low <= high)) [low, high] = [0, 1];
      if (log && numbers.every((value) => value > 0)) {
        // On this scale nothing is far away.
        this.scale = "log";
        [low, high] = numbers.length ? [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))] : [0.1, 1];
      }
    }
    this.low = low;
    this.high = high;
    this.curve = curve(this.scale, low, high);
    /** How many values there are, if they are few and even: they have places of the same width, as choices do. */
    this.levels = dimension.choices?.length ?? levelsOf(dimension);
    if (!dimension.choices && this.levels) {
      const [{ at, value }, count] = [this.curve, this.levels];
      this.curve = { at: (/** @type {number} */ number) => (at(number) * (count - 1) + 0.5) / count, value: (/** @type {number} */ place) => value((place * count - 0.5) / (count - 1)) };
    }
  }

  /**
   * Where a value lies; NaN if nowhere.
   * @param {Value | undefined} value
   */
  place(value) {
    if (value === undefined) return this.dimension.kind === "parameter" ? INACTIVE : NaN;
    if (this.dimension.choices) return this.places.get(String(value)) ?? NaN;
    if (typeof value !== "number") return NaN;
    // What is far away from all others lies at the end.
    return this.dimension.kind === "parameter" ? this.curve.at(value) : Math.min(BEYOND, Math.max(1 - BEYOND, this.curve.at(value)));
  }

  /** @param {Trial} trial */
  at(trial) {
    return this.place(this.dimension.of(trial));
  }

  /** How far the axis reaches. @returns {[number, number]} */
  get extent() {
    return [this.inactive ? INACTIVE - 0.06 : -0.05, 1.05];
  }

  /**
   * What is named along the axis between two places.
   * @param {number} from
   * @param {number} to
   * @param {number} most
   * @returns {{at: number, text: string}[]}
   */
  ticks(from, to, most) {
    const apart = this.inactive && from <= INACTIVE && to >= INACTIVE ? [{ at: INACTIVE, text: "inactive" }] : [];
    const named = this.dimension.choices
      ? this.dimension.choices.map((choice) => ({ at: this.place(choice), text: String(choice) }))
      : ticks(this.scale, this.curve.value(Math.max(0, from)), this.curve.value(Math.min(1, to)), most, this.dimension.whole).map((value) => ({ at: this.curve.at(value), text: measure(value) }));
    return [...apart, ...named.filter(({ at }) => at >= from && at <= to)];
  }

  /**
   * What lies between two places, as a rule of the filter; null if that is everything, or nothing.
   * @param {number} from
   * @param {number} to
   * @returns {import("./filter.js").Rule | null}
   */
  rule(from, to) {
    const { choices, whole } = this.dimension;
    const inactive = this.inactive && from <= INACTIVE && to >= INACTIVE;
    if (choices) {
      const within = choices.filter((choice) => this.place(choice) >= from && this.place(choice) <= to).map(String);
      if (!inactive && within.length === 0) return null;
      return within.length === choices.length && (inactive || !this.inactive) ? null : { choices: within, inactive };
    }
    if (from <= 0 && to >= 1 && (inactive || !this.inactive)) return null;
    const open = Number.isFinite(this.dimension.low);
    let low = from <= 0 ? (open ? this.low : -Infinity) : near(this.curve.value(from), this.low, this.high);
    let high = to >= 1 ? (open ? this.high : Infinity) : near(this.curve.value(to), this.low, this.high);
    if (whole) [low, high] = [Math.max(this.low, Math.ceil(low)), Math.min(this.high, Math.floor(high))];
    const some = to > 0 && from < 1 && low <= high;
    return some || inactive ? { ranges: some ? [[low, high]] : [], inactive } : null;
  }
}

/** Whole numbers that are so few that trials would lie upon each other. */
const FEW = 16;

/** @param {Dimension} dimension @returns {number} 0 if they are many, or not even on their scale */
function levelsOf({ kind, whole, scale, low, high }) {
  const levels = kind !== "parameter" || !whole ? 0 : scale === "log2" ? Math.round(Math.log2(high / low)) + 1 : scale === "linear" ? high - low + 1 : 0;
  return levels <= FEW ? levels : 0;
}

/**
 * A number that people can read, as exact as a pixel.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
function near(value, low, high) {
  const digits = Math.ceil(Math.log10(Math.max(Math.abs(value), Number.MIN_VALUE) / (high - low))) + 3;
  return Number(value.toPrecision(Math.min(15, Math.max(3, digits))));
}
