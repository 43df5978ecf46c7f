// What the charts of parameters have in common: axes by their declared scales, dots in the colours of a dimension, and which dot is near.

import { NEAR, SHADES } from "../../chart.js";
import { measure } from "../../format.js";
import { isOver, trialLook } from "../../states.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../../chart.js").Colors} Colors */
/** @typedef {import("../../chart.js").Frame} Frame */
/** @typedef {import("../../chart.js").Scale} Scale */
/** @typedef {import("../dimensions.js").Axis} Axis */
/** @typedef {{trial: Trial, x: number, y: number}} Dot places on both axes */
/**
 * How trials are coloured: each has one of the colours, or none if it lacks what it is coloured by.
 * @typedef {object} Paint
 * @property {(trial: Trial) => number} of -1: none
 * @property {(colors: Colors) => string[]} colors those that are to be seen best come last
 * @property {{name: string, kind: string}[]} legend
 */

/**
 * Colours by the place on an axis; of choices one for each.
 * @param {Axis} axis
 * @returns {Paint}
 */
export function paintByPlace(axis) {
  const { dimension } = axis;
  if (dimension.choices) {
    const names = dimension.choices.map(String);
    return {
      of: (trial) => names.indexOf(String(dimension.of(trial))) % 6,
      colors: ({ series }) => series,
      legend: names.slice(0, 6).map((name, index) => ({ name, kind: `dot-series-${index + 1}` })),
    };
  }
  return {
    of: (trial) => {
      const value = dimension.of(trial);
      return value === undefined ? -1 : shadeOf(axis.place(value));
    },
    colors: ({ shades }) => shades,
    legend: [{ name: `${dimension.name} ${measure(axis.low)} to ${measure(axis.high)}`, kind: "shades" }],
  };
}

/**
 * Colours by rank, the best last: where values lie far apart, places would make nearly all of them look the same.
 * @param {import("../dimensions.js").Dimension} objective
 * @param {Trial[]} trials
 * @returns {Paint}
 */
export function paintByRank(objective, trials) {
  const sign = objective.goal === "max" ? 1 : -1;
  const value = (/** @type {Trial} */ trial) => /** @type {number | undefined} */ (objective.of(trial));
  const sorted = trials.map(value).filter((one) => one !== undefined);
  sorted.sort((a, b) => sign * (a - b));
  /** @type {Map<number, number>} */
  const ranks = new Map(sorted.map((one, index) => [one, index / Math.max(1, sorted.length - 1)]));
  return {
    of: (trial) => {
      const own = value(trial);
      return own === undefined ? -1 : shadeOf(ranks.get(own) ?? 0);
    },
    colors: ({ shades }) => shades,
    legend: [{ name: `${objective.name}: worst to best, by rank`, kind: "shades" }],
  };
}

const TONES = /** @type {const} */ (["muted", "run", "cut", "rest", "bad", "good"]);

/** @type {Paint} colours by how a trial stands */
export const PAINT_BY_STATE = {
  of: ({ state }) => Math.max(0, TONES.indexOf(/** @type {any} */ (trialLook(state).tone))),
  colors: (colors) => TONES.map((tone) => colors[tone]),
  legend: [
    { name: "completed", kind: "dot-good" },
    { name: "running", kind: "dot-run" },
    { name: "stopped early", kind: "dot-cut" },
    { name: "resting", kind: "dot-rest" },
  ],
};

/** @param {number} place from 0 to 1, or beyond */
function shadeOf(place) {
  return Number.isFinite(place) ? Math.min(SHADES - 1, Math.max(0, Math.floor(place * SHADES))) : -1;
}

/**
 * Both axes.
 * @param {Colors} colors
 * @param {Frame} frame
 * @param {Axis} x
 * @param {Axis} y
 * @param {{x?: string, y?: string}} [names]
 */
export function axes(colors, { width, height, window }, x, y, names = {}) {
  return {
    xAxis: { ...axis(colors, x, window?.x, Math.max(2, Math.floor(width / 70))), name: names.x ?? x.dimension.name, nameLocation: "middle", nameGap: 24, axisLine: { show: true, onZero: false, lineStyle: { color: colors.line } } },
    yAxis: { ...axis(colors, y, window?.y, Math.max(2, Math.floor(height / 50))), name: names.y ?? "", nameLocation: "end", nameGap: 8, axisLine: { show: false } },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, moveOnMouseWheel: false },
      { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: false, moveOnMouseMove: false, moveOnMouseWheel: false },
    ],
  };
}

/**
 * @param {Colors} colors
 * @param {Axis} along
 * @param {[number, number] | undefined} window
 * @param {number} most ticks
 */
function axis(colors, along, window, most) {
  const [min, max] = along.extent;
  const ticks = along.ticks(window?.[0] ?? min, window?.[1] ?? max, most);
  const customValues = ticks.map(({ at }) => at);
  return {
    type: "value",
    min,
    max,
    nameTextStyle: { color: colors.muted, fontSize: 11 },
    axisTick: { show: false, customValues },
    splitLine: { lineStyle: { color: colors.line } },
    axisLabel: {
      color: colors.muted,
      fontSize: 11,
      hideOverlap: true,
      width: 88,
      overflow: "truncate",
      customValues,
      formatter: (/** @type {number} */ at) => ticks.find((tick) => Math.abs(tick.at - at) < 1e-6)?.text ?? "",
    },
  };
}

/**
 * Where a trial lies, a little beside its value where others would lie upon it: in the same place each time.
 * @param {Axis} axis
 * @param {Trial} trial
 */
export function apart(axis, trial) {
  const at = axis.at(trial);
  const width = at < 0 ? 0.06 : axis.levels ? 0.5 / axis.levels : 0;
  return at + (((Number(trial.number) * 0.618034) % 1) - 0.5) * width;
}

/**
 * Dots in the colours of a paint, those outside of the filter faint.
 * @param {Colors} colors
 * @param {Paint} paint
 * @param {Dot[]} all
 * @param {(trial: Trial) => boolean} inside
 * @param {number} [r]
 */
export function dots(colors, paint, all, inside, r = all.length > 1_000 ? 2 : 3) {
  const shades = paint.colors(colors);
  /** @type {[number, number][][]} */
  const groups = shades.map(() => []);
  /** @type {[number, number][]} */
  const outside = [];
  /** @type {[number, number][]} */
  const plain = [];
  for (const { trial, x, y } of all) {
    const shade = paint.of(trial);
    (!inside(trial) ? outside : shade < 0 ? plain : groups[shade]).push([x, y]);
  }
  return points("dots", [
    { points: outside, r: Math.min(r, 2), style: { fill: colors.line } },
    { points: plain, r, style: { fill: colors.muted, opacity: 0.5 } },
    ...groups.map((group, index) => ({ points: group, r, style: { fill: shades[index], stroke: colors.surface, lineWidth: r > 2 ? 0.5 : 0 } })),
  ]);
}

/**
 * @param {string} id
 * @param {{points: [number, number][], r: number, style: object, type?: "dots" | "crosses"}[]} groups at places of the axes
 */
export function points(id, groups) {
  const some = groups.filter(({ points }) => points.length);
  return {
    id,
    type: "custom",
    silent: true,
    clip: true,
    z: 4,
    data: [[0, 0]],
    renderItem: (/** @type {unknown} */ _, /** @type {{coord: (place: number[]) => number[]}} */ api) => {
      const [[left, bottom], [right, top]] = [api.coord([0, 0]), api.coord([1, 1])];
      return {
        type: "group",
        children: some.map(({ points, r, style, type = "dots" }) => ({ type, silent: true, style, shape: { r, points: points.map(([x, y]) => [left + x * (right - left), bottom + y * (top - bottom)]) } })),
      };
    },
  };
}

/**
 * The dot that is nearest; one inside of the filter before others.
 * @param {Dot[]} all
 * @param {(trial: Trial) => boolean} inside
 * @param {{x: number, y: number}} at
 * @param {Scale} scale
 */
export function nearest(all, inside, at, scale) {
  let [found, distance] = [/** @type {Dot | null} */ (null), NEAR];
  for (const dot of all) {
    const away = Math.hypot(scale.x(dot.x) - at.x, scale.y(dot.y) - at.y) + (inside(dot.trial) ? 0 : NEAR / 2);
    if (away < distance) [found, distance] = [dot, away];
  }
  return found;
}

/** @param {Trial} trial that ended without a result that counts */
export function isLost({ state, feasible }) {
  return state.endsWith("FAILED") || (isOver(state) && feasible === false);
}
