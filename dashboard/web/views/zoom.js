// A new study over the part of a study's space that a filter, or a part of a chart, leaves.

import { say } from "../dialog.js";
import { count } from "../format.js";
import { use } from "../later.js";
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

/**
 * Asks about, and creates, a study over the part of the space that rules leave.
 * @param {import("./model.js").StudyModel} model
 * @param {{dimension: Dimension, rule: Rule}[]} rules
 */
export async function zoomInto(model, rules) {
  const { study, name } = model;
  const { ranges, around } = region(model, rules);
  if (!study || !ranges.length) return say("Nothing of this selects a part of the space. Choose a range or some values of a parameter.", "failed");
  const results = rules.filter(({ dimension }) => dimension.kind !== "parameter").map(({ dimension, rule }) => `${dimension.name} ${inWords(rule)}`);
  const said = results.length ? [`What the filter leaves open is taken from the ${count(around)} trial${around === 1 ? "" : "s"} with ${results.join(" and ")}.`] : [];
  await (await use("views/zoom-dialog.js", model.signal))?.zoomDialog({ name, study, request: () => ({ ranges }), said });
}
