// What can be done with the part of a chart that somebody has zoomed into: look at its trials alone, or search there with a new study.

import { el } from "../../dom.js";
import { use } from "../../later.js";

/** @typedef {import("../dimensions.js").Axis} Axis */

/**
 * @param {string} title of the chart
 * @param {import("../model.js").StudyModel} model
 * @param {() => {chart: import("../../chart.js").Chart, x: Axis, y: Axis}} shown
 */
export function closer(title, model, shown) {
  const rules = () => {
    const { chart, x, y } = shown();
    const window = chart.window();
    if (!window) return [];
    return [
      { dimension: x.dimension, rule: x.rule(...window.x) },
      { dimension: y.dimension, rule: y.rule(...window.y) },
    ].flatMap(({ dimension, rule }) => (rule ? [{ dimension, rule }] : []));
  };
  const zoomInto = async () => (await use("views/zoom.js", model.signal))?.zoomInto(model, rules());
  const tool = (/** @type {string} */ text, /** @type {() => void} */ press) => el("button", { type: "button", class: "tool", "aria-label": `${text}: ${title}`, text, on: { click: press } });
  return [
    tool("Only these", () => {
      for (const { dimension, rule } of rules()) model.choose(dimension, rule);
    }),
    tool("New study here\u2026", () => void zoomInto()),
  ];
}
