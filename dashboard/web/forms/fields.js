// Fields of a form that stand for places in a study file: each shows what is written at its path, changes it, and says what is wrong with it.

import { el, fill, setText } from "../dom.js";
import { isList, map, oneLine, shown } from "./draft.js";

/** @typedef {import("./draft.js").Draft} Draft */
/** @typedef {import("./draft.js").Written} Written */
/**
 * @typedef {object} Field
 * @property {string[]} path
 * @property {HTMLElement} node
 * @property {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement | null} input none where only problems are told
 * @property {HTMLElement} problem
 * @property {(written: Written | undefined) => void} show
 */
/**
 * What a field has: a word for it, where it is, and how it is written.
 * @typedef {object} Place
 * @property {string} label
 * @property {string[]} path
 * @property {string} [hint] what counts if nothing is written
 * @property {string} [help]
 * @property {boolean} [bare] whether its label is for screen readers only: it stands in a column that has a head
 */

let numbers = 0;

export class Fields {
  /** @param {Draft} draft */
  constructor(draft) {
    this.draft = draft;
    /** @type {Field[]} */
    this.all = [];
  }

  /**
   * @param {Place} place
   * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input
   * @param {(written: Written | undefined) => void} show
   */
  #add({ label, path, help, bare }, input, show) {
    const id = `field-${++numbers}`;
    input.id = id;
    input.dataset.path = shown(path);
    const problem = el("p", { class: "field-problem", id: `${id}-problem`, hidden: true });
    const box = input instanceof HTMLInputElement && input.type === "checkbox";
    if (bare) input.setAttribute("aria-label", label);
    const name = bare ? null : el("label", { for: id, text: label });
    const node = el("div", { class: box ? "field box" : "field" }, box ? [input, name] : [name, input], help && el("p", { class: "quiet help", text: help }), problem);
    const field = { path, node, input, problem, show };
    this.all.push(field);
    field.show(this.draft.at(path));
    return node;
  }

  /**
   * A text, always meant as one.
   * @param {Place & {rows?: number}} place
   */
  text(place) {
    const input = place.rows ? el("textarea", { rows: place.rows, placeholder: place.hint, spellcheck: "false" }) : el("input", { type: "text", placeholder: place.hint, autocomplete: "off", spellcheck: "false" });
    const put = (/** @type {boolean} */ typing) => this.put(place.path, input.value === "" ? null : JSON.stringify(input.value), typing);
    input.addEventListener("input", () => put(true));
    return this.#add(place, input, (written) => (input.value = written?.text ?? ""));
  }

  /**
   * A number, a length of time or a size: what stands there without quotes.
   * @param {Place} place
   */
  plain(place) {
    const input = el("input", { type: "text", class: "number", placeholder: place.hint, autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => {
      const text = input.value.trim();
      this.put(place.path, text === "" ? null : /^[\w.+-]+$/.test(text) ? text : JSON.stringify(text), true);
    });
    return this.#add(place, input, (written) => (input.value = written === undefined ? "" : written.inside.size ? oneLine(written) : written.text));
  }

  /**
   * Values one after the other, such as "relu, tanh", a map without its braces, or any one value.
   * @param {Place & {as?: "list" | "map" | "value"}} place
   */
  values(place) {
    const input = el("input", { type: "text", placeholder: place.hint, autocomplete: "off", spellcheck: "false" });
    const [open, close] = { list: ["[", "]"], map: ["{", "}"], value: ["", ""] }[place.as ?? "list"];
    input.addEventListener("input", () => this.put(place.path, input.value.trim() === "" ? null : `${open}${input.value}${close}`, true));
    return this.#add(place, input, (written) => {
      if (!written) input.value = "";
      else if (written.inside.size) input.value = oneLine(written).slice(open.length, -close.length || undefined);
      else input.value = place.as === "value" ? oneLine(written) : written.text;
    });
  }

  /**
   * Texts, one in each line.
   * @param {Place & {rows: number}} place
   */
  lines(place) {
    const input = el("textarea", { rows: place.rows, placeholder: place.hint, spellcheck: "false", class: "code" });
    input.addEventListener("input", () => {
      const lines = input.value.split("\n").filter((line, index, all) => line !== "" || index < all.length - 1);
      this.put(place.path, lines.length ? JSON.stringify(lines) : null, true);
    });
    return this.#add(place, input, (written) => {
      const lines = isList(written) ? [.../** @type {Written} */ (written).inside.values()].map(({ text }) => text) : written?.text ? [written.text] : [];
      input.value = lines.join("\n");
    });
  }

  /**
   * One of several words.
   * @param {Place & {choices: [string, string][], none?: string, change?: (value: string) => void, read?: () => string}} place `none` names what counts if
   *   nothing is written; `read` tells what is written, where that is more than a word at the path
   */
  choice(place) {
    const input = el("select", {}, place.none !== undefined && el("option", { value: "", text: place.none }), place.choices.map(([value, text]) => el("option", { value, text })));
    input.addEventListener("change", () => (place.change ? place.change(input.value) : this.put(place.path, input.value || null)));
    return this.#add(place, input, (written) => {
      const value = place.read?.() ?? written?.text ?? "";
      // A word that the coordinator does not know either is shown as it is.
      if (value && ![...input.options].some((option) => option.value === value)) input.append(el("option", { value, text: value }));
      input.value = value || (place.none === undefined ? (place.choices[0]?.[0] ?? "") : "");
    });
  }

  /**
   * Yes or no; what is written if it is yes.
   * @param {Place & {value?: string, is?: (written: Written | undefined) => boolean, change?: (on: boolean) => void}} place
   */
  box(place) {
    const input = el("input", { type: "checkbox" });
    input.addEventListener("change", () => (place.change ? place.change(input.checked) : this.put(place.path, input.checked ? (place.value ?? "true") : null)));
    const is = place.is ?? ((/** @type {Written | undefined} */ written) => written?.text === "true");
    return this.#add(place, input, (written) => (input.checked = is(written)));
  }

  /**
   * Where problems with something are told that no field stands for as a whole.
   * @param {string[]} path
   */
  spot(path) {
    const problem = el("p", { class: "field-problem", hidden: true });
    this.all.push({ path, node: problem, input: null, problem, show: () => {} });
    return problem;
  }

  /**
   * @param {string[]} path
   * @param {string | null} value null for nothing
   * @param {boolean} [typing]
   */
  put(path, value, typing = false) {
    if (value === null && !this.draft.at(path) && !this.draft.stale) return;
    this.draft.edit([value === null ? { path, remove: true } : { path, set: value }], typing);
  }

  /** Forgets fields that are no longer on the page. */
  sweep() {
    this.all = this.all.filter(({ node }) => node.isConnected);
  }

  /**
   * Shows what is written now, but not where somebody is typing, and what is wrong. Gives the problems that belong to no field.
   * @returns {import("../../types/api.js").Problem[]}
   */
  draw() {
    const { draft } = this;
    for (const { path, input, show } of this.all) {
      const typing = input === document.activeElement && !(input instanceof HTMLSelectElement) && input?.type !== "checkbox";
      if (!typing) show(draft.at(path));
    }
    /** @type {Map<Field, string[]>} */
    const problems = new Map();
    const rest = [];
    for (const problem of draft.checked?.problems ?? []) {
      const path = problem.path ?? "";
      /** @type {Field | null} */
      let found = null;
      for (const field of this.all) {
        const own = shown(field.path);
        const is = path === own || path.startsWith(`${own}.`) || path.startsWith(`${own}[`);
        if (is && own.length > (found ? shown(found.path).length : -1)) found = field;
      }
      if (!found) rest.push(problem);
      else problems.set(found, [...(problems.get(found) ?? []), problem.text ?? ""]);
    }
    for (const field of this.all) {
      const texts = problems.get(field);
      field.problem.hidden = !texts;
      setText(field.problem, texts?.join("\n") ?? "");
      if (texts) {
        field.input?.setAttribute("aria-invalid", "true");
        field.input?.setAttribute("aria-describedby", field.problem.id);
      } else {
        field.input?.removeAttribute("aria-invalid");
        field.input?.removeAttribute("aria-describedby");
      }
    }
    return rest;
  }
}

/**
 * A part of a form whose fields depend on what is written: they are made anew when `shape` changes, and keep the keyboard
 * and what is being written.
 * @param {() => string} shape
 * @param {() => (Node | false | null)[]} build
 * @param {string} [kind]
 */
export function changing(shape, build, kind = "") {
  const node = el("div", { class: kind });
  let before = "";
  return {
    node,
    draw() {
      const now = shape();
      if (now === before) return;
      before = now;
      const old = node.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
      fill(node, build());
      const same = old?.dataset.path === undefined ? undefined : /** @type {HTMLElement | undefined} */ ([...node.querySelectorAll("[data-path]")].find((one) => /** @type {HTMLElement} */ (one).dataset.path === old.dataset.path));
      same?.focus();
      // What somebody is writing, or about to write over, goes on in the new one.
      for (const kind of [HTMLInputElement, HTMLTextAreaElement]) {
        if (!(old instanceof kind) || !(same instanceof kind) || old.type === "checkbox") continue;
        same.value = old.value;
        same.setSelectionRange(old.selectionStart, old.selectionEnd);
      }
    },
  };
}

/**
 * What is written as a map, with other entries; those that are null are taken away.
 * @param {Written | undefined} written
 * @param {Record<string, string | null>} changes
 */
export function changedMap(written, changes) {
  const entries = new Map([...(written?.inside ?? [])].map(([key, value]) => [key, oneLine(value)]));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) entries.delete(key);
    else entries.set(key, value);
  }
  return map([...entries]);
}
