// A study as a file: the document that `tunesmith study export` writes, which can be imported again, or a table of its trials.

import { api } from "../api.js";
import { short } from "../format.js";
import { steadily } from "../task.js";
import { render } from "./csv.js";
import { exactJson } from "./json.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Trial} Trial */

/** Name and version of the format. */
export const FORMAT = "tunesmith.study.v1";
/** Trials that are read at the same time: browsers allow six connections to one host, of which the events have one. */
const AT_ONCE = 4;
/** Letters that are held before they are handed to the browser, which keeps them where it likes. */
const HELD = 4_000_000;

/** An export: called again, it goes on where it was stopped. */
export class Export {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    /** @type {Study | null} */
    this.study = null;
    /** @type {Trial[]} */
    this.trials = [];
    /** The page of trials that comes next; null if all are read. @type {string | null} */
    this.page = "";
    /** @type {object[]} */
    this.history = [];
    /** What is written, in order; beyond that, what has come before its turn. @type {Blob[]} */
    this.parts = [];
    /** @type {string[]} */
    this.held = [];
    this.letters = 0;
    /** @type {Map<number, string>} */
    this.early = new Map();
    this.written = 0;
  }

  /**
   * One row per trial.
   * @param {import("../task.js").Tell} tell
   * @param {AbortSignal} signal
   */
  async csv(tell, signal) {
    const { study, trials } = await this.#list(tell, signal);
    return new Blob([render(study.spec, trials)], { type: "text/csv" });
  }

  /**
   * Everything.
   * @param {import("../task.js").Tell} tell
   * @param {AbortSignal} signal
   */
  async json(tell, signal) {
    const { study, trials } = await this.#list(tell, signal);
    if (study.history?.length && !this.history.length) this.history = await this.#known(signal);
    const left = trials.map((_, index) => index).filter((index) => index >= this.written && !this.early.has(index));
    const run = async () => {
      for (let index = left.shift(); index !== undefined; index = left.shift()) {
        this.early.set(index, await this.#trial(short(trials[index].name), signal));
        this.#write();
        tell(this.written, trials.length, "trials read");
      }
    };
    tell(this.written, trials.length, "trials read");
    await Promise.all(Array.from({ length: AT_ONCE }, run));
    const head = { format: FORMAT, exportedAt: new Date().toISOString(), study, ...(this.history.length ? { history: this.history } : {}) };
    return new Blob([exactJson(head).slice(0, -1), ',"trials":[', ...this.parts, ...this.held, "\n]}\n"], { type: "application/json" });
  }

  /**
   * The study and its trials as they are listed.
   * @param {import("../task.js").Tell} tell
   * @param {AbortSignal} signal
   */
  async #list(tell, signal) {
    const study = (this.study ??= await steadily(() => api.study(this.name, { signal }), signal));
    const all = Object.values(study.counts ?? {}).reduce((/** @type {number} */ sum, number) => sum + Number(number), 0);
    while (this.page !== null) {
      const token = this.page;
      const { trials = [], nextPageToken } = await steadily(() => api.trials(this.name, { token }, { signal }), signal);
      this.trials.push(...trials);
      this.page = nextPageToken || null;
      tell(this.trials.length, Math.max(all, this.trials.length), "trials listed");
    }
    return { study, trials: this.trials };
  }

  /** Trials of other studies that it knows. @param {AbortSignal} signal */
  async #known(signal) {
    const all = [];
    let token;
    do {
      const from = token;
      /** @type {{trials?: object[], nextPageToken?: string}} */
      const page = await steadily(() => api.history(this.name, from, { signal }), signal);
      all.push(...(page.trials ?? []));
      token = page.nextPageToken;
    } while (token);
    return all;
  }

  /**
   * A trial with its attempts, decisions and curves.
   * @param {string} number
   * @param {AbortSignal} signal
   */
  async #trial(number, signal) {
    const trial = await steadily(() => api.trial(this.name, number, { signal }), signal);
    const { curves = [] } = await steadily(() => api.points(this.name, number, { signal }), signal);
    return exactJson({ trial, curves });
  }

  /** Writes what has its turn. */
  #write() {
    for (let text = this.early.get(this.written); text !== undefined; text = this.early.get(this.written)) {
      this.early.delete(this.written);
      const line = `${this.written ? "," : ""}\n${text}`;
      this.held.push(line);
      this.letters += line.length;
      this.written += 1;
    }
    if (this.letters < HELD) return;
    this.parts.push(new Blob(this.held));
    this.held = [];
    this.letters = 0;
  }
}
