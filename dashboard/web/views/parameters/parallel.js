// Parallel coordinates: an axis for each parameter and for the objective, a line for each trial. A drag along an axis chooses what is looked at.
// Drawn in pixels, thousands of lines as few shapes.

import { Chart } from "../../chart.js";
import { num, parameter, plural } from "../../format.js";
import { about } from "../../plots.js";
import { INACTIVE } from "../dimensions.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../dimensions.js").Dimension} Dimension */
/** @typedef {import("../dimensions.js").Axis} Axis */
/** @typedef {import("../filter.js").Rule} Rule */
/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {{trial: Trial, inside: boolean, runs: number[][]}} Path where the line of a trial goes; it is broken where a value is missing */

/** How near the pointer has to be to an axis, and to a line, in pixels. */
const AXIS = 14;
const LINE = 10;
/** A drag that is shorter was none. */
const LEAST = 4;
/** Room for the names above, and beside the first and last axis. */
const [TOP, BOTTOM, SIDE] = [36, 14, 56];
/** Lines of trials outside of the filter, which are only what the others stand before, and of all while somebody drags. */
const FAINT = 1_000;
const WHILE_DRAGGED = 2_000;
/** Values in the explanation of a line. */
const EXPLAINED = 12;

/**
 * @param {object} options
 * @param {() => Scene} options.scene
 * @param {() => Dimension[]} options.shown the axes in their order
 * @param {(dimension: Dimension) => Rule | null} options.rule
 * @param {(dimension: Dimension, rule: Rule | null) => void} options.preview shows what a drag would choose
 * @param {(dimension: Dimension, rule: Rule | null) => void} options.choose
 * @param {(trial: Trial) => void} options.open
 * @param {HTMLElement[]} options.controls
 * @param {AbortSignal} options.signal
 */
export function parallel({ scene, shown, rule, preview, choose, open, controls, signal }) {
  /** As it was drawn last. @type {{axes: Axis[], paths: Path[], layout: Layout}} */
  let drawn = { axes: [], paths: [], layout: layoutOf([], 0, 0) };
  /** @type {{axis: Axis, from: number, before: Rule | null, moved: boolean} | null} */
  let brush = null;
  const axisAt = (/** @type {number} */ x) => drawn.axes.find((_, index) => Math.abs(drawn.layout.x(index) - x) <= AXIS);

  const chart = new Chart({
    title: "Parallel coordinates",
    height: 340,
    controls,
    signal,
    describe: () => {
      const { count, trials, filtered } = scene();
      return `${plural(trials.length, "trial")} along ${shown().map(({ name }) => name).join(", ")}${filtered ? `; the filter leaves ${count}` : ""}`;
    },
    csv: () => {
      const all = shown();
      const { trials, inside } = scene();
      const rows = trials.map((trial) => [num(trial.number), trial.state.replace("TRIAL_STATE_", ""), inside(trial) ? "yes" : "no", ...all.map(({ of }) => cell(of(trial)))]);
      return { name: "parallel-coordinates", header: ["trial", "state", "chosen", ...all.map(({ name }) => name)], rows };
    },
    drag: {
      begin: (x, y, event) => {
        const axis = axisAt(x);
        if (axis) brush = { axis, from: y, before: event.shiftKey ? rule(axis.dimension) : null, moved: false };
        return axis !== undefined;
      },
      move: (_, y) => {
        if (!brush || (!brush.moved && Math.abs(y - brush.from) < LEAST)) return;
        brush.moved = true;
        const { axis, from, before } = brush;
        const [low, high] = [drawn.layout.place(Math.max(y, from)), drawn.layout.place(Math.min(y, from))];
        const next = axis.rule(low, high);
        preview(axis.dimension, before && next ? joined(before, next) : next);
        chart.draw();
      },
      end: () => {
        const ended = brush;
        brush = null;
        if (ended?.moved) choose(ended.axis.dimension, rule(ended.axis.dimension));
      },
      undo: (x) => {
        const axis = axisAt(x);
        if (axis) choose(axis.dimension, null);
      },
    },
    find: ({ x, y }) => {
      const { axes, paths, layout } = drawn;
      let [found, distance] = [/** @type {Path | null} */ (null), LINE];
      for (const path of paths) {
        if (scene().filtered && !path.inside) continue;
        for (const run of path.runs) {
          const away = distanceTo(run, x, y);
          if (away < distance) [found, distance] = [path, away];
        }
      }
      if (!found) return null;
      const { trial, runs } = found;
      const values = axes.slice(0, EXPLAINED).map(({ dimension: { name, of } }) => /** @type {[string, string]} */ ([name, of(trial) === undefined ? "\u2013" : parameter(of(trial))]));
      const nearest = runs.flatMap(pairs).reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      return {
        content: about(num(trial.number), trial.state, values),
        at: [Math.min(nearest[0], layout.width), nearest[1]],
        highlight: { kind: "line", runs: runs.map(pairs) },
        open: () => open(trial),
      };
    },
    build: (colors, { width, height }) => {
      const now = scene();
      const axes = shown().map((dimension) => now.axis(dimension));
      const layout = layoutOf(axes, width, height);
      const paths = now.trials.map((trial) => ({ trial, inside: now.inside(trial), runs: runsOf(trial, axes, layout) }));
      drawn = { axes, paths, layout };
      const pixels = { type: "value", show: false, min: 0 };
      return {
        grid: { left: 0, right: 0, top: 0, bottom: 0, outerBoundsMode: "none" },
        xAxis: { ...pixels, max: width },
        yAxis: { ...pixels, max: height, inverse: true },
        series: [
          {
            id: "lines",
            type: "custom",
            silent: true,
            z: 2,
            data: [[0, 0]],
            renderItem: () => ({ type: "group", children: [...lines(colors, now, paths, brush ? WHILE_DRAGGED : Infinity), ...axes.flatMap((axis, index) => axisMarks(colors, axis, index, layout, rule(axis.dimension)))] }),
          },
        ],
      };
    },
  });
  return chart;
}

/** @typedef {{x: (index: number) => number, y: (place: number) => number, place: (y: number) => number, width: number, gap: number}} Layout */

/**
 * @param {Axis[]} axes
 * @param {number} width
 * @param {number} height
 * @returns {Layout}
 */
function layoutOf(axes, width, height) {
  const gap = axes.length > 1 ? (width - 2 * SIDE) / (axes.length - 1) : 0;
  const lowest = axes.some(({ inactive }) => inactive) ? INACTIVE : 0;
  const length = height - TOP - BOTTOM;
  return {
    x: (index) => SIDE + index * gap,
    y: (place) => TOP + ((1 - place) / (1 - lowest)) * length,
    place: (y) => 1 - ((y - TOP) / length) * (1 - lowest),
    width,
    gap: gap || width - 2 * SIDE,
  };
}

/**
 * @param {Trial} trial
 * @param {Axis[]} axes
 * @param {Layout} layout
 */
function runsOf(trial, axes, layout) {
  /** @type {number[][]} */
  const runs = [];
  /** @type {number[]} */
  let run = [];
  axes.forEach((axis, index) => {
    const place = axis.at(trial);
    if (Number.isNaN(place)) {
      if (run.length > 2) runs.push(run);
      run = [];
    } else run.push(layout.x(index), layout.y(place));
  });
  if (run.length > 2) runs.push(run);
  return runs;
}

/**
 * @param {import("../../chart.js").Colors} colors
 * @param {Scene} scene
 * @param {Path[]} paths
 * @param {number} most lines of trials that the filter leaves
 */
function lines(colors, { paint, count }, paths, most) {
  const shades = paint.colors(colors);
  /** @type {number[][]} */
  const outside = [];
  /** @type {number[][]} */
  const plain = [];
  /** @type {number[][][]} */
  const groups = shades.map(() => []);
  const every = Math.ceil(count / most);
  const everyFaint = Math.ceil((paths.length - count) / FAINT);
  let [within, beyond] = [0, 0];
  for (const { trial, inside, runs } of paths) {
    if (inside ? within++ % every : beyond++ % everyFaint) continue;
    const shade = inside ? paint.of(trial) : 0;
    (!inside ? outside : shade < 0 ? plain : groups[shade]).push(...runs);
  }
  const opacity = count > 1_000 ? 0.4 : count > 200 ? 0.6 : 0.85;
  const strokes = (/** @type {number[][]} */ all, /** @type {object} */ style) => ({ type: "strokes", silent: true, shape: { lines: all }, style: { fill: "none", lineWidth: 1, ...style } });
  return [
    strokes(outside, { stroke: colors.line, opacity: 0.6 }),
    strokes(plain, { stroke: colors.muted, opacity: opacity / 2, lineDash: [3, 3] }),
    ...groups.map((group, index) => strokes(group, { stroke: shades[index], opacity, lineWidth: index === shades.length - 1 && count <= 1_000 ? 1.75 : 1 })),
  ].filter(({ shape }) => shape.lines.length);
}

/**
 * @param {import("../../chart.js").Colors} colors
 * @param {Axis} axis
 * @param {number} index
 * @param {Layout} layout
 * @param {Rule | null} rule
 */
function axisMarks(colors, axis, index, layout, rule) {
  const x = layout.x(index);
  const { name, goal } = axis.dimension;
  const text = (/** @type {string} */ words, /** @type {number} */ left, /** @type {number} */ y, /** @type {object} */ style) => ({ type: "text", silent: true, style: { text: words, x: left, y, fontSize: 11, fontFamily: colors.font, fill: colors.muted, overflow: "truncate", ...style } });
  const line = (/** @type {number} */ from, /** @type {number} */ to) => ({ type: "line", silent: true, shape: { x1: x, x2: x, y1: layout.y(from), y2: layout.y(to) }, style: { stroke: colors.muted, lineWidth: 1 } });
  const room = Math.max(40, layout.gap - 12);
  return [
    line(0, 1),
    ...spans(axis, rule).map(([from, to]) => ({
      type: "rect",
      silent: true,
      shape: { x: x - 5, width: 10, y: layout.y(to), height: Math.max(3, layout.y(from) - layout.y(to)), r: 2 },
      style: { fill: colors.accent, opacity: 0.35, stroke: colors.accent, lineWidth: 1 },
    })),
    ...axis.ticks(axis.inactive ? -1 : 0, 1, 5).flatMap(({ at, text: words }) => [
      { type: "line", silent: true, shape: { x1: x - 3, x2: x + 3, y1: layout.y(at), y2: layout.y(at) }, style: { stroke: colors.muted, lineWidth: 1 } },
      text(words, x + 6, layout.y(at), { verticalAlign: "middle", width: room, stroke: colors.surface, lineWidth: 3, fontStyle: at < 0 ? "italic" : "normal" }),
    ]),
    text(name, x, goal ? 4 : 10, { align: "center", fill: colors.text, fontWeight: 600, fontSize: 12, width: index === 0 ? Math.min(room, 2 * SIDE) : room }),
    ...(goal ? [text(goal === "min" ? "\u2193 better" : "\u2191 better", x, 19, { align: "center", width: room })] : []),
  ];
}

/**
 * Which parts of an axis a rule leaves.
 * @param {Axis} axis
 * @param {Rule | null} rule
 * @returns {[number, number][]}
 */
function spans(axis, rule) {
  if (!rule) return [];
  const around = (/** @type {number} */ place, /** @type {number} */ half) => /** @type {[number, number]} */ ([place - half, place + half]);
  const limited = (/** @type {number} */ place) => Math.min(1, Math.max(0, place));
  const end = (/** @type {number} */ bound) => (bound === -Infinity ? 0 : bound === Infinity ? 1 : limited(axis.curve.at(bound)));
  return [
    ...(rule.ranges ?? []).map((range) => /** @type {[number, number]} */ (range.map(end))),
    ...(rule.choices ?? []).map((choice) => around(axis.place(choice), 0.4 / Math.max(1, axis.places.size))).filter(([from]) => !Number.isNaN(from)),
    ...(rule.inactive && axis.inactive ? [around(axis.place(undefined), 0.03)] : []),
  ];
}

/**
 * What either of two rules leaves.
 * @param {Rule} a
 * @param {Rule} b
 * @returns {Rule}
 */
function joined(a, b) {
  const inactive = Boolean(a.inactive || b.inactive);
  if (a.choices || b.choices) return { choices: [...new Set([...(a.choices ?? []), ...(b.choices ?? [])])], inactive };
  /** @type {[number, number][]} */
  const ranges = [];
  for (const [low, high] of [...(a.ranges ?? []), ...(b.ranges ?? [])].sort((one, other) => one[0] - other[0])) {
    const last = ranges[ranges.length - 1];
    if (last && low <= last[1]) last[1] = Math.max(last[1], high);
    else ranges.push([low, high]);
  }
  return { ranges, inactive };
}

/**
 * @param {number[]} run x, y, x, y, ...
 * @param {number} x
 * @param {number} y
 */
function distanceTo(run, x, y) {
  let least = Infinity;
  for (let index = 2; index < run.length; index += 2) {
    const [x1, y1, x2, y2] = [run[index - 2], run[index - 1], run[index], run[index + 1]];
    if (x < x1 - LINE || x > x2 + LINE) continue;
    const share = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)));
    least = Math.min(least, Math.hypot(x1 + share * (x2 - x1) - x, y1 + share * (y2 - y1) - y));
  }
  return least;
}

/** @param {number[]} run @returns {[number, number][]} */
function pairs(run) {
  return Array.from({ length: run.length / 2 }, (_, index) => [run[2 * index], run[2 * index + 1]]);
}

/** @param {import("../../../types/api.js").Value | undefined} value */
function cell(value) {
  return value === undefined || value === null ? "" : typeof value === "boolean" ? String(value) : value;
}
