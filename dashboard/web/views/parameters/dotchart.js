// Trials as dots over two dimensions: slices, and scatters of any two.

import { Chart } from "../../chart.js";
import { num, parameter, plural } from "../../format.js";
import { about } from "../../plots.js";
import { closer } from "./closer.js";
import { apart, axes, dots, isLost, nearest, points } from "./marks.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../dimensions.js").Dimension} Dimension */
/** @typedef {import("../dimensions.js").Axis} Axis */
/** @typedef {import("./marks.js").Dot} Dot */
/** @typedef {import("./scene.js").Scene} Scene */

/**
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.file name of what is saved
 * @param {number} options.height
 * @param {import("../model.js").StudyModel} options.model
 * @param {() => Scene} options.scene
 * @param {number} [options.r] of a dot
 * @param {() => {x: Dimension, y: Dimension, paint: import("./marks.js").Paint, colour: Dimension | null}} options.shown
 * @param {(colors: import("../../chart.js").Colors, x: Axis, y: Axis) => object[]} [options.behind] series behind the dots
 * @param {(trial: Trial) => [string, string][]} [options.also] what else is said about a trial
 * @param {boolean} [options.legend] whether it says itself what colours mean
 * @param {boolean} [options.named] whether the y axis has its name, too
 * @param {boolean} [options.lost] whether trials without a result are shown, at the worse end of the y axis
 * @param {(trial: Trial) => void} options.open
 * @param {HTMLElement[]} [options.controls]
 * @param {AbortSignal} options.signal
 */
export function dotChart({ title, file, height, model, scene, shown, behind, also, legend, named, lost, r, open, controls, signal }) {
  const laid = () => {
    const { x, y } = shown();
    return { x: scene().axis(x), y: scene().axis(y) };
  };
  /** @type {{all: Dot[], without: [number, number][]}} */
  let drawn = { all: [], without: [] };
  const chart = new Chart({
    title,
    height,
    controls,
    zoomed: closer(title, model, () => ({ chart, ...laid() })),
    signal,
    describe: () => {
      const { x, y } = shown();
      const { trials, inside } = scene();
      const both = trials.filter((trial) => y.of(trial) !== undefined && (x.of(trial) !== undefined || x.kind === "parameter"));
      const lacking = both.filter((trial) => x.of(trial) === undefined).length;
      return `${y.name} against ${x.name} of ${plural(both.filter(inside).length, "trial")}${lacking ? `, in ${lacking} of all it is inactive` : ""}`;
    },
    csv: () => {
      const { x, y, colour } = shown();
      const all = [...new Map([x, y, ...(colour ? [colour] : [])].map((one) => [one.id, one])).values()].filter(({ kind }) => kind !== "number");
      const { trials, inside } = scene();
      return {
        name: file,
        header: ["trial", "state", "chosen", ...all.map(({ name }) => name)],
        rows: trials.map((trial) => [num(trial.number), trial.state.replace("TRIAL_STATE_", ""), inside(trial) ? "yes" : "no", ...all.map(({ of }) => String(of(trial) ?? ""))]),
      };
    },
    find: (at, scale) => {
      const found = nearest(drawn.all, scene().inside, at, scale);
      if (!found) return null;
      const { trial, x, y } = found;
      const { x: across, y: up, colour } = shown();
      const rows = [...new Map([up, across, ...(colour ? [colour] : [])].map((one) => [one.name, parameter(one.of(trial))])).entries()];
      return { content: about(num(trial.number), trial.state, [...rows, ...(also?.(trial) ?? [])]), at: [scale.x(x), scale.y(y)], highlight: { kind: "ring", runs: [[[scale.x(x), scale.y(y)]]] }, open: () => open(trial) };
    },
    build: (colors, frame) => {
      const { x, y } = laid();
      const { paint } = shown();
      const { trials, inside } = scene();
      const all = trials.map((trial) => ({ trial, x: apart(x, trial), y: apart(y, trial) })).filter((dot) => Number.isFinite(dot.x) && Number.isFinite(dot.y));
      const worse = y.dimension.goal === "max" ? -0.03 : 1.03;
      const without = lost ? trials.filter((trial) => isLost(trial) && inside(trial) && y.dimension.of(trial) === undefined).map((trial) => /** @type {[number, number]} */ ([apart(x, trial), worse])) : [];
      drawn = { all, without };
      return {
        ...axes(colors, frame, x, y, { y: named ? y.dimension.name : "" }),
        grid: { left: 8, right: 20, top: named ? 28 : 12, bottom: 8, outerBoundsMode: "same" },
        series: [...(behind?.(colors, x, y) ?? []), dots(colors, paint, all, inside, r), points("lost", [{ points: without, r: 3, type: "crosses", style: { fill: "none", stroke: colors.bad, lineWidth: 1.5 } }])],
      };
    },
  });
  return {
    chart,
    draw() {
      const { paint, y } = shown();
      chart.setEmpty(scene().trials.some((trial) => y.of(trial) !== undefined) ? "" : "No trial has a value yet.");
      if (legend) chart.setLegend(paint.legend);
      chart.draw();
    },
  };
}
