// A trial whose parameters a person chooses: anew, or those of another trial with changes.

import { api, ApiError } from "../api.js";
import { ask, frame } from "../dialog.js";
import { el, fill, setText } from "../dom.js";
import { uuid } from "../parts.js";
import { hasEnded } from "../states.js";
import { read as readTags } from "../tags.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Parameter} Parameter */
/** @typedef {import("../../types/api.js").Value} Value */

/**
 * Asks for parameters and adds a trial. Gives it, or nothing if somebody thought better of it.
 * @param {string} name
 * @param {Study} study
 * @param {Trial} [like] whose parameters it begins with
 * @returns {Promise<Trial | undefined>}
 */
export async function addTrial(name, study, like) {
  const space = (study.spec.space ?? []).filter(({ type }) => type !== "constant");
  const fields = space.map((parameter) => field(parameter, like?.parameters?.[parameter.name]));
  const ended = hasEnded(study);
  const result = resultFields(study, ended);
  const tags = el("input", { type: "text", id: "added-tags", autocomplete: "off", placeholder: "separated by commas" });
  const note = el("input", { type: "text", id: "added-note", autocomplete: "off", value: like ? `like trial ${like.number}` : "" });
  const problem = el("p", { class: "field-problem", role: "alert" });
  const values = () => {
    /** @type {Record<string, Value>} */
    const found = {};
    for (const one of fields) if (isActive(one.parameter, found, fields) && one.value() !== undefined) found[one.parameter.name] = /** @type {Value} */ (one.value());
    return found;
  };
  const draw = () => {
    const found = values();
    for (const { parameter, node } of fields) node.hidden = !isActive(parameter, found, fields);
  };
  const what = ended ? "Add result" : "Add trial";
  const add = el("button", { type: "submit", value: "yes", class: "button primary", text: what });
  const body = [
    el("p", { class: "quiet" }, ended ? "The study has ended: it takes trials that were run elsewhere, with their results." : "What is left empty is chosen by the strategy."),
    el("div", { class: "row" }, fields.map(({ node }) => node)),
    result.node,
    el("div", { class: "pair" }, el("div", { class: "field" }, el("label", { for: "added-note", text: "Note" }), note), el("div", { class: "field" }, el("label", { for: "added-tags", text: "Tags" }), tags)),
    problem,
  ];
  const dialog = frame(like ? `Trial ${like.number} with changes` : `${what} to ${name}`, body, [el("button", { type: "button", class: "button", text: "Cancel", on: { click: () => dialog.close("") } }), add]);
  dialog.classList.add("wide");
  for (const { input } of fields) input.addEventListener("input", draw);
  draw();
  /** @type {Trial | undefined} */
  let added;
  const id = uuid();
  // It stays open until the coordinator takes it: what is wrong stands at its field.
  dialog.querySelector("form")?.addEventListener(
    "submit",
    async (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
      add.disabled = true;
      for (const one of fields) one.say("");
      setText(problem, "");
      try {
        added = await api.addTrial(name, { parameters: values(), note: note.value, tags: readTags(tags.value), result: result.value(), requestId: id });
        dialog.close("yes");
      } catch (error) {
        const rest = [];
        for (const { field: path, description } of error instanceof ApiError ? error.details : []) {
          const at = fields.find(({ parameter }) => path === `parameters.${parameter.name}`);
          if (at) at.say(description);
          else rest.push(description);
        }
        const told = fields.some(({ input }) => input.getAttribute("aria-invalid"));
        setText(problem, rest.length ? rest.join("\n") : told ? "" : error instanceof Error ? error.message : String(error));
        add.disabled = false;
      }
    },
    { capture: true },
  );
  await ask(dialog);
  return added;
}

/**
 * The values of a trial that was run elsewhere.
 * @param {Study} study
 * @param {boolean} always whether there has to be one
 */
function resultFields({ spec }, always) {
  const first = spec.objective?.metric || "value";
  const metrics = [...new Set([first, ...(spec.moreObjectives ?? []).map(({ metric }) => metric), ...(spec.measuredConstraints ?? []).map(({ metric }) => metric)])];
  const inputs = metrics.map((metric, index) => ({ metric, input: el("input", { type: "text", class: "number", id: `result-${index}`, autocomplete: "off" }) }));
  const has = el("input", { type: "checkbox", checked: always, disabled: always });
  const row = el("div", { class: "row", hidden: !always }, inputs.map(({ metric, input }) => el("div", { class: "field" }, el("label", { for: input.id, text: metric, title: metric }), input)));
  has.addEventListener("change", () => (row.hidden = !has.checked));
  return {
    node: el("div", { class: "result" }, el("label", { class: "check" }, has, "It was run elsewhere, with this result"), row),
    /** @returns {import("../../types/api.js").Result | undefined} */
    value() {
      if (!has.checked) return undefined;
      /** @type {Map<string, import("../../types/api.js").Real>} */
      const values = new Map();
      for (const { metric, input } of inputs) if (input.value.trim()) values.set(metric, real(metric, input.value.trim()));
      if (values.size === 0) throw new Error(`Write what it had as ${first}.`);
      const value = values.get(first);
      values.delete(first);
      return { state: "TRIAL_STATE_COMPLETED", value, values: Object.fromEntries(values) };
    },
  };
}

/**
 * @param {string} metric
 * @param {string} text
 * @returns {import("../../types/api.js").Real}
 */
function real(metric, text) {
  const special = /^([+-]?)(?:(nan)|inf(?:inity)?)$/i.exec(text);
  if (special) return special[2] ? "NaN" : special[1] === "-" ? "-Infinity" : "Infinity";
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`${metric} is ${text}, which is no number; write one such as 0.97`);
  return number;
}

/**
 * @param {Parameter} parameter
 * @param {Value | undefined} value
 */
function field(parameter, value) {
  const { name, type, low, high, choices = [] } = parameter;
  const number = type === "float" || type === "int";
  /** @type {Value[]} */
  const all = type === "bool" ? [false, true] : choices;
  const id = `parameter-${name}`;
  const input = number
    ? el("input", { type: "text", class: "number", id, autocomplete: "off", placeholder: `${low} to ${high}`, value: value === undefined || value === null ? "" : String(value) })
    : el("select", { id }, el("option", { value: "", text: "\u2013" }), all.map((one, index) => el("option", { value: String(index), text: String(one), selected: one === value })));
  const problem = el("p", { class: "field-problem", id: `${id}-problem` });
  return {
    parameter,
    input,
    node: el("div", { class: "field" }, el("label", { for: id, text: name, title: name }), input, problem),
    /** @returns {Value | undefined} */
    value() {
      if (input.value.trim() === "") return undefined;
      if (!number) return all[Number(input.value)];
      const read = Number(input.value.trim());
      // What is no number is sent as it is: the coordinator says what it wants.
      return Number.isFinite(read) ? read : input.value.trim();
    },
    /** @param {string} text */
    say(text) {
      fill(problem, text);
      if (text) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", problem.id);
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    },
  };
}

/**
 * Whether a parameter exists with these values. One whose parent is still to be chosen may.
 * @param {Parameter} parameter
 * @param {Record<string, Value>} values of those before it
 * @param {{parameter: Parameter}[]} fields
 * @returns {boolean}
 */
function isActive({ when = [] }, values, fields) {
  return when.every(({ parent, values: wanted = [] }) => {
    if (!(parent in values)) {
      const field = fields.find(({ parameter }) => parameter.name === parent);
      // A parent that does not exist has no children either.
      return field === undefined || isActive(field.parameter, values, fields);
    }
    return wanted.includes(values[parent]);
  });
}
