// What the rule below_baseline compares with, where it is tried: the best trial, another trial's curve, or a curve that is written down. It
// stands in the options of the rule, which people may write as well.

import { el, fill } from "../../dom.js";
import { measure } from "../../format.js";
import { curveText } from "./rules.js";

/** @typedef {import("../overview/curves.js").Line} Line */

/** Trials that are offered, the best ones first, and points of a curve that is written down to be changed. */
const OFFERED = 30;
const POINTS = 12;

const BEST = "";
const WRITTEN = "curve";

/**
 * @param {object} options
 * @param {import("../model.js").StudyModel} options.model
 * @param {HTMLInputElement} options.field with the options of the rule
 */
export function baselineChoice({ model, field }) {
  const select = el("select", { class: "input", "aria-label": "Baseline" });
  const lines = () => [...model.lines.values()].filter(({ steps, result }) => steps.length > 0 && Number.isFinite(result)).sort((a, b) => (model.goal === "max" ? b.result - a.result : a.result - b.result));
  let shape = "";
  const chosen = () => (/(?:^|\s|,)trial=(\d+)/.exec(field.value) ?? [])[1] ?? (/(?:^|\s|,)curve=/.test(field.value) ? WRITTEN : BEST);

  const draw = () => {
    const wanted = chosen();
    const offered = lines().slice(0, OFFERED);
    const others = offered.map(({ trial, result }) => ({ id: String(trial), name: `trial ${trial}, ${measure(result)}` }));
    if (/^\d+$/.test(wanted) && !others.some(({ id }) => id === wanted)) others.push({ id: wanted, name: `trial ${wanted}` });
    const all = [{ id: BEST, name: "the best trial" }, ...others, { id: WRITTEN, name: "steps and values" }];
    const now = JSON.stringify([all, wanted]);
    if (now === shape) return;
    shape = now;
    fill(select, all.map(({ id, name }) => el("option", { value: id, selected: id === wanted, text: name })));
  };
  select.addEventListener("change", () => {
    const before = chosen();
    const rest = field.value.split(/\s+/).filter((pair) => pair && !/^(trial|constant|curve)=/.test(pair));
    // A curve to begin with: that of the trial that was chosen, or of the best.
    const like = model.lines.get(Number(before || model.bestTrial())) ?? lines()[0];
    const first = select.value === BEST ? [] : select.value === WRITTEN ? [`curve=${like ? curveText(thinned(like)) : "1:0"}`] : [`trial=${select.value}`];
    field.value = [...first, ...rest].join(" ");
    if (select.value === WRITTEN) field.focus();
  });
  field.addEventListener("input", draw);
  return { node: select, draw };
}

/** Some points of a curve, the last among them. @param {Line} line */
function thinned({ steps, values }) {
  const every = Math.ceil(steps.length / POINTS);
  return steps.map((step, index) => ({ step, value: Number(values[index].toPrecision(4)) })).filter((_, index) => (steps.length - 1 - index) % every === 0);
}
