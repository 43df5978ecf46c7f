// What is known of one study: itself, its trials, how its best value came about, and learning curves; read at first, then kept up by its
// events.

import { api, ApiError } from "../api.js";
import { num, short } from "../format.js";
import { follow, gently } from "../live.js";
import { keep } from "../router.js";
import { allOf, counts, hasEnded, isOver, isRunning } from "../states.js";
import { Filter } from "./filter.js";
import { extend } from "./points.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("./overview/best.js").Result} Result */
/** @typedef {import("./overview/curves.js").Line} Line */
/** @typedef {{order: "number" | "newest" | "value", states: string[]}} Wanted */

/** Up to so many trials are all read, and then sorted and searched here; of more, pages are read as they are looked at. */
export const ALL = 5_000;
/** Other results in the chart of best values. */
const SAMPLE = 2_000;
/** Of a study of which not all are read: so many of the best, and of the first, in charts of parameters. */
const BEST = 2_000;
const FIRST = 1_000;
const PAGE = 1_000;
/** Between two readings of a Pareto set that grows, in milliseconds. */
const FOLLOW = 2_000;
/** Learning curves in their chart, and points of each when they are read. */
const CURVES = 100;
const CURVE_POINTS = 120;

export class StudyModel {
  /** Trials whose results are among those here. @type {Set<number>} */
  #counted = new Set();

  /**
   * @param {string} name
   * @param {{changed: () => void, failed: (error: unknown) => void}} view
   * @param {AbortSignal} signal
   */
  constructor(name, view, signal) {
    this.name = name;
    this.view = view;
    this.signal = signal;
    /** @type {Study | null} */
    this.study = null;
    /** @type {Map<number, Trial>} */
    this.trials = new Map();
    /** Whether `trials` has all of them. */
    this.complete = true;
    /** If it does not: those that were read, in the order that was asked for. @type {number[]} */
    this.listed = [];
    /** @type {Wanted} */
    this.wanted = { order: "newest", states: [] };
    /** @type {string | null} */
    this.next = null;
    this.reading = false;
    /** If it does not: some of them. Read when they are asked for. @type {Map<number, Trial> | null} */
    this.sample = null;
    /** Whether some are being read. */
    this.sampling = false;
    /** Reads what has come to the Pareto set since. */
    this.followBest = gently(() => void this.#followBest(), FOLLOW, signal);
    /** Which trials are looked at. */
    this.filter = new Filter();
    /** @type {Result[]} */
    this.best = [];
    /** @type {Result[]} */
    this.others = [];
    this.ended = 0;
    /** When the last trial ended that is among the results. */
    this.lastEnd = 0;
    /** @type {Map<number, Line>} */
    this.lines = new Map();
    this.ready = false;
  }

  start() {
    follow(
      api.events(this.name, true),
      {
        begin: (study) => this.#begin(study),
        take: (event) => this.#take(event),
        probe: () => api.study(this.name, { signal: this.signal }),
        over: () => this.study !== null && hasEnded(this.study) && ![...this.trials.values()].some(({ state }) => isRunning(state)),
        failed: this.view.failed,
      },
      this.signal,
    );
  }

  /** @param {Study} study as a call returned it */
  setStudy(study) {
    this.study = study;
    this.view.changed();
  }

  /** @param {Trial} trial as a call returned it */
  setTrial(trial) {
    if (this.trials.has(num(trial.number))) this.trials.set(num(trial.number), trial);
    this.view.changed();
  }

  get metric() {
    return this.study?.spec.objective?.metric ?? "value";
  }

  /** @returns {"min" | "max"} */
  get goal() {
    return this.study?.spec.objective?.goal === "GOAL_MAXIMIZE" ? "max" : "min";
  }

  get step() {
    return this.study?.spec.trial?.steps?.name ?? "step";
  }

  /** @param {Study} study */
  async #begin(study) {
    this.study = study;
    this.complete = allOf(study.counts) <= ALL;
    this.view.changed();
    const { signal } = this;
    const trials = this.complete ? this.#readAll() : this.list(this.wanted);
    const [incumbents, curves] = await Promise.all([api.incumbents(this.name, SAMPLE, { signal }), api.curves(this.name, { most: CURVES, points: CURVE_POINTS }, { signal }), trials]);
    this.best = results(incumbents.incumbents);
    this.others = results(incumbents.sample);
    this.ended = num(incumbents.ended ?? 0);
    this.lastEnd = Math.max(0, ...[...this.best, ...this.others].map(({ at }) => at));
    this.#counted = new Set([...this.best, ...this.others].map(({ trial }) => trial));
    this.lines = new Map((curves.curves ?? []).map((curve) => [num(curve.trial), line(curve)]));
    this.ready = true;
    this.view.changed();
  }

  async #readAll() {
    /** @type {Map<number, Trial>} */
    const trials = new Map();
    let token;
    do {
      const page = await api.trials(this.name, { token }, { signal: this.signal });
      for (const trial of page.trials ?? []) trials.set(num(trial.number), trial);
      token = page.nextPageToken;
    } while (token);
    this.trials = trials;
  }

  /**
   * Reads the first page of trials in another order, or in other states. Only where not all are here.
   * @param {Wanted} wanted
   */
  async list(wanted) {
    this.wanted = wanted;
    const page = await api.trials(this.name, { states: wanted.states, order: wanted.order, size: 200 }, { signal: this.signal });
    if (wanted !== this.wanted) return;
    this.trials = new Map();
    this.listed = [];
    this.#add(page);
  }

  /** Reads the next page. */
  async more() {
    if (this.reading || !this.next) return;
    const { wanted } = this;
    this.reading = true;
    try {
      const page = await api.trials(this.name, { states: wanted.states, order: wanted.order, token: this.next, size: 200 }, { signal: this.signal });
      if (wanted === this.wanted) this.#add(page);
    } finally {
      this.reading = false;
    }
  }

  /** @param {{trials?: Trial[], nextPageToken?: string}} page */
  #add(page) {
    for (const trial of page.trials ?? []) {
      const number = num(trial.number);
      // The order may have changed between two pages.
      if (!this.trials.has(number)) this.listed.push(number);
      this.trials.set(number, trial);
    }
    this.next = page.nextPageToken ?? null;
    this.view.changed();
  }

  /** Reads some of the best and of the first trials, where not all are here. */
  async readSample() {
    if (this.complete || this.sample) return;
    /** @type {Map<number, Trial>} */
    const sample = new Map();
    this.sample = sample;
    this.sampling = true;
    const { name, signal } = this;
    try {
      for (const { order, most } of [{ order: "value", most: BEST }, { order: "number", most: FIRST }]) {
        let token;
        for (let read = 0; read < most; read += PAGE) {
          const page = await api.trials(name, { order, token, size: PAGE }, { signal });
          for (const trial of page.trials ?? []) sample.set(num(trial.number), trial);
          token = page.nextPageToken;
          if (!token) break;
        }
      }
      await this.#readBest(sample);
    } catch (error) {
      if (signal.aborted) return;
      // Read anew when it is asked for again.
      this.sample = null;
      if (!(error instanceof ApiError) || !error.away) this.view.failed(error);
    } finally {
      this.sampling = false;
    }
    this.view.changed();
  }

  /**
   * Reads the Pareto set, whose trials may be anywhere.
   * @param {Map<number, Trial>} sample
   */
  async #readBest(sample) {
    if (!this.study?.paretoSet?.length) return;
    let token;
    do {
      const page = await api.trials(this.name, { best: true, token, size: PAGE }, { signal: this.signal });
      for (const trial of page.trials ?? []) sample.set(num(trial.number), trial);
      token = page.nextPageToken;
    } while (token);
  }

  /** Reads the Pareto set anew, where it has got trials that are not here. */
  async #followBest() {
    const { sample } = this;
    if (!sample || this.sampling || !this.study?.paretoSet?.some((number) => !sample.has(num(number)) && !this.trials.has(num(number)))) return;
    this.sampling = true;
    try {
      await this.#readBest(sample);
    } catch {
      // With the next change; the stream tells if the coordinator is away.
    }
    this.sampling = false;
    this.view.changed();
  }

  /** @returns {Trial[]} all trials that are here */
  known() {
    return this.complete || !this.sample ? [...this.trials.values()] : [...new Map([...this.sample, ...this.trials]).values()];
  }

  /** @param {number} number whether a trial is looked at; of those that are not here nobody knows */
  isLookedAt(number) {
    if (this.filter.rules.size === 0) return true;
    const trial = this.trials.get(number) ?? this.sample?.get(number);
    return trial !== undefined && this.filter.matches(trial);
  }

  /**
   * Changes which trials are looked at.
   * @param {import("./dimensions.js").Dimension | null} dimension null: all of them
   * @param {import("./filter.js").Rule | null} rule null: anything
   */
  choose(dimension, rule) {
    if (dimension) this.filter.set(dimension, rule);
    else this.filter.clear();
    keep({ only: this.filter.text });
    this.view.changed();
  }

  /** @param {import("../../types/api.js").WatchEvent} event */
  #take(event) {
    if (event.study) this.study = event.study;
    if (event.study && this.sample) this.followBest();
    if (event.trial) this.#trial(event.trial);
    if (event.points) this.#points(num(short(event.points.trial)), event.points.points ?? {});
    this.view.changed();
  }

  /** @param {Trial} trial */
  #trial(trial) {
    const number = num(trial.number);
    const { order, states } = this.wanted;
    const isFirst = !this.complete && order === "newest" && states.length === 0 && number > (this.listed[0] ?? 0);
    if (isFirst) this.listed.unshift(number);
    if (isFirst || this.complete || this.trials.has(number)) this.trials.set(number, trial);
    if (this.sample?.has(number)) this.sample.set(number, trial);
    const line = this.lines.get(number);
    if (line) Object.assign(line, { state: trial.state, why: trial.stateReason ?? "", result: num(trial.value) });
    if (isOver(trial.state)) this.#result(trial);
    else if (this.#counted.has(number)) this.#goesOn(number);
  }

  /** @param {number} number of a trial that had ended and goes on: its result counts no more */
  #goesOn(number) {
    this.#counted.delete(number);
    this.ended -= 1;
    const all = [...this.best, ...this.others].filter(({ trial }) => trial !== number).sort((a, b) => a.at - b.at);
    [this.best, this.others] = [[], []];
    for (const result of all) this.#rank(result);
  }

  /** @param {Result} result later than all others */
  #rank(result) {
    const before = this.best[this.best.length - 1];
    if (!before || (this.goal === "max" ? result.value > before.value : result.value < before.value)) this.best.push(result);
    else this.others.push(result);
  }

  /** @param {Trial} trial that has ended */
  #result(trial) {
    const at = Date.parse(trial.endedAt ?? "");
    const value = num(trial.value);
    if (!(at > this.lastEnd)) return;
    this.ended += 1;
    if (!counts(trial.state) || !Number.isFinite(value) || trial.feasible === false) return;
    this.lastEnd = at;
    this.#counted.add(num(trial.number));
    const result = { trial: num(trial.number), ended: this.ended, at, value, state: trial.state };
    this.#rank(result);
  }

  /**
   * @param {number} trial
   * @param {import("../../types/api.js").Points} points
   */
  #points(trial, { metrics = [], step = [], value = [] }) {
    if (metrics[0] !== this.metric) return;
    let line = this.lines.get(trial);
    if (!line) {
      line = { trial, state: "TRIAL_STATE_RUNNING", why: "", result: NaN, steps: [], values: [] };
      this.lines.set(trial, line);
      this.#makeRoom();
    }
    extend(line, step.map(Number), value.map(Number));
  }

  /** Drops the oldest curve that is neither the best nor that of a trial that runs. */
  #makeRoom() {
    if (this.lines.size <= CURVES) return;
    const best = this.bestTrial();
    const oldest = [...this.lines.values()].find(({ trial, state }) => trial !== best && !isRunning(state));
    if (oldest) this.lines.delete(oldest.trial);
  }

  /** @returns {number | null} */
  bestTrial() {
    return this.study?.best ? num(this.study.best.number) : null;
  }
}

/**
 * @param {import("../../types/api.js").Results | undefined} columns
 * @returns {Result[]}
 */
function results(columns = {}) {
  return (columns.trial ?? []).map((trial, index) => ({
    trial: num(trial),
    ended: num(columns.ended?.[index]),
    at: num(columns.endedAtMicros?.[index]) / 1000,
    value: num(columns.value?.[index]),
    state: columns.state?.[index] ?? "",
  }));
}

/**
 * @param {import("../../types/api.js").TrialCurve} curve
 * @returns {Line}
 */
function line(curve) {
  return { trial: num(curve.trial), state: curve.state, why: curve.stateReason ?? "", result: num(curve.result), steps: (curve.step ?? []).map(Number), values: (curve.value ?? []).map(Number) };
}
