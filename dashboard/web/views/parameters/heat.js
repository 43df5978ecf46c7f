// The objective over two parameters: the space in cells, each with the best or the middle of the results that lie in it.

import { SHADES } from "../../chart.js";
import { measure } from "../../format.js";
import { dotChart } from "./dotchart.js";
import { choice, labelled } from "./shown.js";

/** @typedef {import("../dimensions.js").Axis} Axis */
/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {"best" | "median"} Of */
/** @typedef {{left: number, right: number, low: number, high: number, values: number[], value: number}} Cell places on both axes */

/**
 * @param {object} options
 * @param {import("../model.js").StudyModel} options.model
 * @param {URLSearchParams} options.query
 * @param {() => Scene} options.scene
 * @param {import("../dimensions.js").Dimension[]} options.varied two at least
 * @param {() => void} options.changed
 * @param {(trial: import("../../../types/api.js").Trial) => void} options.open
 * @param {AbortSignal} options.signal
 */
export function heatMap({ model, query, scene, varied, changed, open, signal }) {
  const options = () => varied.map(({ id, name }) => ({ id, name }));
  const pick = (/** @type {string} */ label, /** @type {string} */ id, /** @type {number} */ usual) => choice({ label: `Heat map: ${label}`, id, query, options, usual: () => varied[usual].id, changed });
  const [first, second] = [pick("x axis", "hx", 0), pick("y axis", "hy", 1)];
  const of = choice({ label: "Heat map: value of a cell", id: "of", query, options: () => ["best", "median"].map((id) => ({ id, name: id })), usual: () => "best", changed });
  const named = (/** @type {string} */ wanted) => varied.find(({ id }) => id === wanted) ?? varied[0];
  const kind = () => /** @type {Of} */ (of.value);
  /** @type {Cell[]} */
  let cells = [];
  return dotChart({
    title: "Heat map",
    file: "heat-map",
    height: 320,
    model,
    scene,
    shown: () => ({
      x: named(first.value),
      y: named(second.value),
      paint: { of: () => 0, colors: ({ text }) => [text], legend: [{ name: `${of.value} ${scene().objective.name} of each cell: worst to best, by rank`, kind: "shades" }] },
      colour: scene().objective,
    }),
    behind: (colors, x, y) => {
      cells = cellsOf(scene(), x, y, kind());
      return [heat(colors, cells, scene().objective)];
    },
    also: (trial) => aboutCell(cells, scene().axis(named(first.value)).at(trial), scene().axis(named(second.value)).at(trial), kind()),
    legend: true,
    named: true,
    r: 2,
    open,
    controls: [labelled("x", first.node), labelled("y", second.node), of.node],
    signal,
  });
}

/** Cells along an axis of a range. */
const CELLS = 12;

/**
 * Where the cells along an axis end.
 * @param {Axis} axis
 * @returns {number[]}
 */
function edges({ levels, inactive }) {
  const cells = levels || CELLS;
  return [...(inactive ? [-0.18, -0.06] : []), ...Array.from({ length: cells + 1 }, (_, index) => index / cells)];
}

/**
 * @param {Scene} scene
 * @param {Axis} x
 * @param {Axis} y
 * @param {Of} of
 */
function cellsOf({ trials, inside, objective }, x, y, of) {
  const [across, up] = [edges(x), edges(y)];
  const find = (/** @type {number[]} */ all, /** @type {number} */ place) => {
    const index = all.findIndex((edge, at) => at > 0 && place <= edge + 1e-9);
    return place < all[0] - 1e-9 ? -1 : index - 1;
  };
  /** @type {Map<number, Cell>} */
  const cells = new Map();
  for (const trial of trials) {
    const value = objective.of(trial);
    const [column, row] = [find(across, x.at(trial)), find(up, y.at(trial))];
    if (typeof value !== "number" || !inside(trial) || column < 0 || row < 0) continue;
    const key = row * across.length + column;
    let cell = cells.get(key);
    if (!cell) cells.set(key, (cell = { left: across[column], right: across[column + 1], low: up[row], high: up[row + 1], values: [], value: NaN }));
    cell.values.push(value);
  }
  for (const cell of cells.values()) {
    const sorted = cell.values.sort((a, b) => (objective.goal === "max" ? b - a : a - b));
    cell.value = of === "best" ? sorted[0] : (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  }
  return [...cells.values()];
}

/**
 * The cells as the chart has them.
 * @param {import("../../chart.js").Colors} colors
 * @param {Cell[]} cells
 * @param {import("../dimensions.js").Dimension} objective
 */
function heat(colors, cells, objective) {
  const sign = objective.goal === "max" ? 1 : -1;
  const ranked = [...cells].sort((a, b) => sign * (a.value - b.value));
  return {
    id: "cells",
    type: "custom",
    silent: true,
    clip: true,
    z: 1,
    data: [[0, 0]],
    renderItem: (/** @type {unknown} */ _, /** @type {{coord: (place: number[]) => number[]}} */ api) => ({
      type: "group",
      children: ranked.map(({ left, right, low, high }, rank) => {
        const [[x1, y1], [x2, y2]] = [api.coord([left, high]), api.coord([right, low])];
        const shade = Math.min(SHADES - 1, Math.floor((rank / Math.max(1, ranked.length - 1)) * SHADES));
        return { type: "rect", silent: true, shape: { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }, style: { fill: colors.shades[shade], opacity: 0.75, stroke: colors.surface, lineWidth: 1 } };
      }),
    }),
  };
}

/**
 * What is said of the cell at a place.
 * @param {Cell[]} cells
 * @param {number} x
 * @param {number} y
 * @param {Of} of
 * @returns {[string, string][]}
 */
function aboutCell(cells, x, y, of) {
  const cell = cells.find(({ left, right, low, high }) => x >= left && x <= right && y >= low && y <= high);
  return cell ? [[`${of} of the ${cell.values.length} in the cell`, measure(cell.value)]] : [];
}
