// A new study over a part of a study's space: what is left of each parameter is asked of the coordinator, shown, and created when it is wanted.

import { api } from "../api.js";
import { carryOut, say } from "../dialog.js";
import { el } from "../dom.js";
import { count, num, parameter } from "../format.js";
import { uuid } from "../parts.js";
import { address, go } from "../router.js";
import { parametersOf } from "./dimensions.js";
import { fits, inWords } from "./filter.js";

/** @typedef {import("./dimensions.js").Dimension} Dimension */
/** @typedef {import("./filter.js").Rule} Rule */
/** @typedef {import("../../types/api.js").ZoomRange} ZoomRange */

/**
 * What is left of the parameters: where something is wanted of them that, and otherwise what the trials have, if something is wanted of results.
 * @param {import("./model.js").StudyModel} model
 * @param {{dimension: Dimension, rule: Rule}[]} rules
 * @returns {{ranges: ZoomRange[], around: number}} `around`: of how many trials the rest is taken
 */
function region(model, rules) {
  const { study } = model;
  if (!study) return { ranges: [], around: 0 };
  /** @type {ZoomRange[]} */
  const ranges = [];
  const ofResults = rules.some(({ dimension }) => dimension.kind !== "parameter");
  const trials = ofResults ? model.known().filter((trial) => rules.every(({ dimension, rule }) => fits(dimension.of(trial), rule))) : [];
  for (const dimension of parametersOf(study)) {
    const rule = rules.find((one) => one.dimension.id === dimension.id)?.rule;
    const own = rule ? ofRule(dimension, rule) : ofTrials(dimension, trials);
    if (own) ranges.push({ parameter: dimension.name, ...own });
  }
  return { ranges, around: trials.length };
}

/** @param {Dimension} dimension @param {Rule} rule @returns {Omit<ZoomRange, "parameter"> | null} */
function ofRule({ choices, low, high }, { ranges = [], choices: wanted = [] }) {
  // Only those that do not have it: that is no part of its values.
  if (choices) return wanted.length ? { choices: choices.filter((choice) => wanted.includes(String(choice))) } : null;
  if (!ranges.length) return null;
  return { low: Math.max(low, Math.min(...ranges.map(([from]) => from))), high: Math.min(high, Math.max(...ranges.map(([, to]) => to))) };
}

/** @param {Dimension} dimension @param {import("../../types/api.js").Trial[]} trials @returns {Omit<ZoomRange, "parameter"> | null} */
function ofTrials(dimension, trials) {
  const values = trials.map(dimension.of).filter((value) => value !== undefined);
  if (!values.length) return null;
  if (dimension.choices) return { choices: dimension.choices.filter((choice) => values.some((value) => String(value) === String(choice))) };
  const numbers = /** @type {number[]} */ (values);
  const [low, high] = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  // One value would fix it: too much to be concluded from trials that happen to agree.
  return low < high ? { low, high } : null;
}

/** @param {import("../../types/api.js").Parameter} parameter */
function domain({ type, low, high, choices, value, scale }) {
  if (type === "bool") return "false, true";
  if (type === "float" || type === "int") return `${parameter(num(low))} to ${parameter(num(high))}${scale && scale !== "linear" ? `, ${scale.replace("_", " ")}` : ""}`;
  return type === "constant" ? `always ${parameter(value)}` : (choices ?? []).map(parameter).join(", ");
}

/**
 * Asks about, and creates, a study over the part of the space that rules leave.
 * @param {import("./model.js").StudyModel} model
 * @param {{dimension: Dimension, rule: Rule}[]} rules
 */
export async function zoomInto(model, rules) {
  const { ranges, around } = region(model, rules);
  if (!ranges.length) return say("Nothing of this selects a part of the space. Choose a range or some values of a parameter.", "failed");
  let plan;
  try {
    plan = await api.planZoom(model.name, ranges);
  } catch (error) {
    return say(error instanceof Error ? error.message : String(error), "failed");
  }
  const { spec, notes = [], taken } = plan;
  const before = new Map((model.study?.spec.space ?? []).map((one) => [one.name, domain(one)]));
  const name = el("input", { type: "text", id: "zoom-name", required: true, spellcheck: "false", value: spec.name });
  const trials = el("input", { type: "text", inputmode: "numeric", id: "zoom-trials", class: "short", value: spec.budget?.trials === undefined ? "" : String(spec.budget.trials), placeholder: "no limit" });
  const rows = (spec.space ?? []).map((one) => {
    const [now, was] = [domain(one), before.get(one.name)];
    return el("tr", {}, el("th", { scope: "row", text: one.name }), el("td", { class: now === was ? "quiet number" : "number", text: now }), el("td", { class: "quiet number", text: now === was ? "" : `was ${was}` }));
  });
  const results = rules.filter(({ dimension }) => dimension.kind !== "parameter").map(({ dimension, rule }) => `${dimension.name} ${inWords(rule)}`);
  const id = uuid();
  const created = await carryOut({
    title: `New study over a part of ${model.name}`,
    body: [
      el("div", { class: "fields" }, el("label", { for: "zoom-name", text: "Name" }), name, el("label", { for: "zoom-trials", text: "Trials" }), trials),
      el("div", { class: "plan", tabindex: 0, role: "region", "aria-label": "Its space" }, el("table", {}, el("tbody", {}, rows))),
      ...(results.length ? [el("p", { class: "quiet", text: `What the filter leaves open is taken from the ${count(around)} trial${around === 1 ? "" : "s"} with ${results.join(" and ")}.` })] : []),
      el("p", { class: "quiet", text: num(taken) ? `It knows ${count(taken)} finished trial${num(taken) === 1 ? "" : "s"} of ${model.name} from the start.` : `It knows no trial of ${model.name}: none lies here.` }),
      ...notes.map((note) => el("p", { class: "quiet", text: note })),
    ],
    action: "Create and start",
    work: () => {
      const limit = trials.value.trim();
      if (limit && !/^[1-9]\d*$/.test(limit)) throw new Error(`trials is ${limit}; give a whole number from 1, or nothing for no limit`);
      const { trials: _, ...budget } = spec.budget ?? {};
      return api.createStudy({ ...spec, name: name.value.trim(), budget: limit ? { ...budget, trials: limit } : budget }, id);
    },
  });
  if (created) go(address("studies", created.spec.name));
}
