// What lists of trials do not have unless it is asked for: attempts, and the judgements on each trial. Read page by page at first, then trial by
// trial as these change, and kept for as long as the study is looked at.

import { api, ApiError } from "../api.js";
import { num } from "../format.js";
import { isOver, isRunning } from "../states.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {{attempts: import("../../types/api.js").Attempt[], decisions: import("../../types/api.js").Decision[]}} Detail */

/** Trials that are read at the same time: browsers allow six connections to one host, of which the events have one. */
const AT_ONCE = 4;
/** So many are not read in a moment. */
const MANY = 16;

/** @type {WeakMap<import("./model.js").StudyModel, Details>} */
const ofModels = new WeakMap();

export class Details {
  /** @param {import("./model.js").StudyModel} model */
  constructor(model) {
    this.model = model;
    /** What is known, and in which state the trial was when that was asked for. @type {Map<number, Detail & {when: string}>} */
    this.known = new Map();
    this.reading = 0;
    /** Whether all trials are read, or were. @type {"" | "begun" | "done"} */
    this.pages = "";
    /** Whether what was asked for has been read, but for a few trials that have just begun. */
    this.settled = false;
    /** @type {number[]} */
    this.waiting = [];
    /** What was asked for last. @type {number[]} */
    this.wanted = [];
    /** Who is told when something was read. @type {() => void} */
    this.changed = () => {};
  }

  /**
   * The details of one study, which all parts of its page share.
   * @param {import("./model.js").StudyModel} model
   */
  static of(model) {
    let details = ofModels.get(model);
    if (!details) ofModels.set(model, (details = new Details(model)));
    return details;
  }

  /**
   * Reads what is missing of these trials, or is older than they are.
   * @param {number[]} trials
   * @param {() => void} changed told after each
   */
  ask(trials, changed) {
    this.changed = changed;
    this.wanted = trials;
    if (this.pages === "begun") return;
    this.waiting = trials.filter((number) => this.#isOld(number)).sort((a, b) => b - a);
    if (!this.waiting.length && !this.reading) this.settled = true;
    // A part of the page wants more than another one has.
    else if (this.waiting.filter((number) => !this.known.has(number)).length > MANY) {
      this.settled = false;
      if (this.model.complete && !this.pages) return void this.#readAll();
    }
    while (this.reading < AT_ONCE && this.waiting.length) void this.#read();
  }

  /** Trials that run are read anew when they are asked for next. A trial may have begun its next attempt unseen. */
  age() {
    for (const [number, detail] of this.known) if (isRunning(this.model.trials.get(number)?.state ?? "")) detail.when = "";
  }

  /** @param {number} number */
  get(number) {
    return this.known.get(number);
  }

  /** @param {number} number */
  #isOld(number) {
    const trial = this.model.trials.get(number);
    // Nobody has had it yet.
    if (!trial || (!trial.startedAt && !isOver(trial.state) && !isRunning(trial.state))) return false;
    return this.known.get(number)?.when !== moment(trial);
  }

  async #readAll() {
    this.pages = "begun";
    const { name, signal } = this.model;
    try {
      let token;
      do {
        const page = await api.trials(name, { token, attempts: true }, { signal });
        for (const trial of page.trials ?? []) this.known.set(num(trial.number), { attempts: trial.attempts ?? [], decisions: trial.decisions ?? [], when: moment(trial) });
        token = page.nextPageToken;
        this.changed();
      } while (token);
      this.pages = "done";
    } catch (error) {
      // As with one trial: read trial by trial, unless the coordinator is away.
      this.pages = error instanceof ApiError && !error.away ? "done" : "";
    }
    // What is missing is read one by one, if anything is.
    if (signal.aborted) return;
    if (this.pages === "done") this.ask(this.wanted, this.changed);
    this.changed();
  }

  async #read() {
    const number = /** @type {number} */ (this.waiting.shift());
    const trial = this.model.trials.get(number);
    if (!trial) return;
    const when = moment(trial);
    this.reading += 1;
    try {
      const { attempts = [], decisions = [] } = await api.trial(this.model.name, number, { signal: this.model.signal });
      this.known.set(number, { attempts, decisions, when });
    } catch (error) {
      // It is asked for again with the next change, unless the coordinator has said what it thinks of it.
      if (error instanceof ApiError && !error.away) this.known.set(number, { attempts: [], decisions: [], when });
      else this.waiting = [];
    } finally {
      this.reading -= 1;
    }
    if (this.model.signal.aborted) return;
    if (!this.waiting.length && !this.reading && this.known.has(number)) this.settled = true;
    this.changed();
    while (this.reading < AT_ONCE && this.waiting.length) void this.#read();
  }
}

/** @param {Trial} trial changes when it gets or ends an attempt */
function moment({ state, endedAt }) {
  return `${state} ${endedAt ?? ""}`;
}
