// A study file that is being written, as text and as a form: the coordinator reads it, changes it and says what is wrong. Nothing here knows
// what a study file may have.

import { api, ApiError } from "../api.js";

/** @typedef {import("../../types/api.js").Edit} Edit */
/** @typedef {import("../../types/api.js").Checked} Checked */
/** @typedef {{text: string, quoted: boolean, line: number, inside: Map<string, Written>}} Written what is written somewhere, with what is inside of it */

/** After a key was pressed, in milliseconds. */
const PAUSE = 200;

/** @returns {Written} */
const nothing = () => ({ text: "", quoted: false, line: 0, inside: new Map() });

export class Draft {
  /**
   * @param {object} options
   * @param {() => void} options.changed told when it was looked at, or could not be
   * @param {string} [options.study] the study that is to become so, instead of a new one
   * @param {AbortSignal} options.signal
   */
  constructor({ changed, study, signal }) {
    this.changed = changed;
    this.study = study;
    this.signal = signal;
    this.text = "";
    /** @type {Checked | null} what the coordinator said last */
    this.checked = null;
    this.tree = nothing();
    /** @type {ApiError | null} why it could not be looked at */
    this.failure = null;
    /** @type {Edit[]} */
    this.edits = [];
    /** Whether something was written that the coordinator has not seen. */
    this.stale = false;
    this.asking = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  /**
   * Begins with a study or a text, and changes of it.
   * @param {{spec?: object, text?: string}} from
   * @param {Edit[]} [edits]
   */
  async begin(from, edits = []) {
    const checked = await api.check({ ...from, edits, study: this.study }, { signal: this.signal });
    this.#take(checked);
  }

  /** @param {string} text as somebody wrote it */
  write(text) {
    if (text === this.text) return;
    this.text = text;
    this.#soon(PAUSE);
  }

  /**
   * Changes what is written.
   * @param {Edit[]} edits
   * @param {boolean} [typing] whether more is to come at once
   */
  edit(edits, typing = false) {
    for (const edit of edits) {
      // Of what is typed into one place the last counts.
      const last = this.edits[this.edits.length - 1];
      if (last && "set" in last && "set" in edit && same(last.path, edit.path)) this.edits.pop();
      this.edits.push(edit);
    }
    this.#soon(typing ? PAUSE : 0);
  }

  /** Whether all of it was looked at and nothing is wrong. */
  get fine() {
    return !this.stale && this.failure === null && Boolean(this.checked?.spec);
  }

  /** @param {number} pause */
  #soon(pause) {
    this.stale = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.#ask(), pause);
    this.changed();
  }

  async #ask() {
    if (this.asking) return;
    this.asking = true;
    const [text, edits] = [this.text, this.edits];
    this.edits = [];
    try {
      const checked = await api.check({ text, edits, study: this.study }, { signal: this.signal });
      this.asking = false;
      if (text !== this.text) {
        // Somebody wrote in the meantime: the changes are for what they wrote.
        this.edits = [...edits, ...this.edits];
        return void this.#ask();
      }
      this.stale = this.edits.length > 0;
      this.#take(checked);
      if (this.stale) void this.#ask();
    } catch (error) {
      this.asking = false;
      if (this.signal.aborted) return;
      this.edits = [...edits, ...this.edits];
      this.failure = error instanceof ApiError ? error : new ApiError(String(error), 0, "");
      if (this.failure.away) this.timer = setTimeout(() => void this.#ask(), 2_000);
      this.changed();
    }
  }

  /** @param {Checked} checked */
  #take(checked) {
    this.failure = null;
    this.checked = checked;
    this.text = checked.text ?? "";
    const tree = nothing();
    for (const { path = [], text = "", quoted = false, line = 0 } of checked.values ?? []) {
      let at = tree;
      for (const key of path) {
        let next = at.inside.get(key);
        if (!next) at.inside.set(key, (next = { ...nothing(), line }));
        at = next;
      }
      Object.assign(at, { text, quoted, line });
    }
    // Of a text that cannot be read nothing is known: what was known stays.
    if (checked.values?.length || !checked.problems?.length) this.tree = tree;
    this.changed();
  }

  /**
   * What is written at a path.
   * @param {string[]} path
   * @returns {Written | undefined}
   */
  at(path) {
    /** @type {Written | undefined} */
    let at = this.tree;
    for (const key of path) at = at?.inside.get(key);
    return at;
  }
}

/** @param {string[]} one @param {string[]} other */
const same = (one, other) => one.length === other.length && one.every((part, index) => part === other[index]);

/** Whether something is a list: its keys are numbers. @param {Written | undefined} written */
export function isList(written) {
  return written !== undefined && written.inside.size > 0 && [...written.inside.keys()].every((key, index) => key === String(index));
}

/**
 * A value as a study file has it on one line.
 * @param {Written} written
 * @returns {string}
 */
export function oneLine(written) {
  const { inside, text, quoted } = written;
  if (inside.size === 0) return quoted ? JSON.stringify(text) : text || "null";
  if (isList(written)) return `[${[...inside.values()].map(oneLine).join(", ")}]`;
  return map([...inside].map(([key, value]) => [key, oneLine(value)]));
}

/**
 * A map as a study file has it on one line.
 * @param {[string, string][]} entries
 */
export function map(entries) {
  return `{${entries.map(([key, value]) => `${/^[A-Za-z_][\w.-]*$/.test(key) ? key : JSON.stringify(key)}: ${value}`).join(", ")}}`;
}

/**
 * A path as the coordinator's texts have it, such as "space.lr.low" or "trial.command[2]".
 * @param {string[]} path
 */
export function shown(path) {
  return path.map((part, index) => (/^\d+$/.test(part) && index > 0 ? `[${part}]` : index > 0 ? `.${part}` : part)).join("");
}
