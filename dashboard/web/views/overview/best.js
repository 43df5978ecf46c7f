// How the best value of a study came about. Data comes from the model; nothing is asked here.

import { Chart, NEAR } from "../../chart.js";
import { el } from "../../dom.js";
import { duration, gpuHours, measure, plural } from "../../format.js";
import { about, axes, logToggle } from "../../plots.js";
import { bounds } from "../../scales.js";

/** @typedef {{trial: number, ended: number, at: number, value: number, state: string}} Result */

/**
 * A line that stays where it is until the next point. The library's own lines leave out short parts, so that small steps would become slopes.
 * @param {[number, number][]} points
 * @param {number} end
 * @param {string} color
 */
function steps(points, end, color) {
  const path = points.flatMap(([x, y], index) => (index > 0 ? [[x, points[index - 1][1]], [x, y]] : [[x, y]]));
  if (points.length) path.push([end, points[points.length - 1][1]]);
  return {
    id: "best",
    type: "custom",
    silent: true,
    clip: true,
    z: 3,
    renderItem: (/** @type {unknown} */ _, /** @type {{coord: (value: number[]) => number[]}} */ api) => ({
      type: "polyline",
      shape: { points: path.map((point) => api.coord(point)) },
      style: { stroke: color, lineWidth: 2, lineJoin: "round", fill: "none" },
    }),
    data: points.slice(0, 1),
  };
}

/** What the best value so far is drawn against. @typedef {"" | "time" | "gpu"} Against */

/**
 * The best value so far against trials that have ended, against time, or against the GPU hours that were used by then.
 * @param {object} options
 * @param {() => {metric: string, goal: "min" | "max", best: Result[], others: Result[], ended: number, began: number, gpuHours: ((at: number) => number) | null}} options.data
 * @param {Against} options.against
 * @param {(against: Against) => void} options.choose
 * @param {(trial: number) => void} options.open
 * @param {AbortSignal} options.signal
 */
export function bestSoFar({ data, against, choose, open, signal }) {
  let log = false;
  let by = against;
  const axisOf = {
    "": { name: "trials that have ended", format: undefined, after: (/** @type {number} */ x) => plural(x, "trial") },
    time: { name: "time since the start", format: duration, after: duration },
    gpu: { name: "GPU hours used", format: (/** @type {number} */ x) => measure(x), after: (/** @type {number} */ x) => `${gpuHours(x)} GPU hours` },
  };
  const x = (/** @type {Result} */ result) => (by === "time" ? (result.at - data().began) / 1000 : by === "gpu" ? data().gpuHours?.(result.at) ?? NaN : result.ended);
  const gpus = el("option", { value: "gpu", text: "by GPU hours", hidden: true });
  const axis = el("select", { class: "tool", "aria-label": "Best so far against" }, el("option", { value: "", text: "by trial" }), el("option", { value: "time", text: "by time" }), gpus);
  axis.value = by;
  axis.addEventListener("change", () => {
    by = /** @type {Against} */ (axis.value);
    choose(by);
    chart.draw();
  });
  const chart = new Chart({
    title: "Best so far",
    signal,
    controls: [axis, logToggle("Log scale of best so far", signal, (on) => ((log = on), chart.draw()))],
    describe: () => {
      const { metric, best, ended } = data();
      const last = best[best.length - 1];
      return last ? `${metric} ${measure(last.value)} by trial ${last.trial}, after ${plural(ended, "trial")}; ${plural(best.length, "improvement")}` : "no result yet";
    },
    csv: () => {
      const { metric, best, others } = data();
      const all = [...best.map((result) => ({ result, is: "yes" })), ...others.map((result) => ({ result, is: "no" }))].sort((a, b) => a.result.ended - b.result.ended);
      return {
        name: "best-so-far",
        header: ["trial", "ended", "ended_at", "state", metric, "best_so_far"],
        rows: all.map(({ result, is }) => [result.trial, result.ended, new Date(result.at).toISOString(), result.state.replace("TRIAL_STATE_", ""), result.value, is]),
      };
    },
    find: ({ x: left, y: top }, scale) => {
      const { best, others, metric } = data();
      let [nearest, distance, isBest] = [/** @type {Result | null} */ (null), NEAR, false];
      for (const [list, improves] of /** @type {[Result[], boolean][]} */ ([[others, false], [best, true]])) {
        for (const result of list) {
          const away = Math.hypot(scale.x(x(result)) - left, scale.y(result.value) - top);
          if (away <= distance) [nearest, distance, isBest] = [result, away, improves];
        }
      }
      if (!nearest) return null;
      const { trial, state, value } = nearest;
      return {
        content: about(trial, state, [[metric, measure(value)], ["after", axisOf[by].after(x(nearest))]], isBest ? "The best when it ended" : ""),
        at: [scale.x(x(nearest)), scale.y(value)],
        highlight: { kind: "ring", runs: [[[scale.x(x(nearest)), scale.y(value)]]] },
        open: () => open(trial),
      };
    },
    build: (colors) => {
      const { best, others, ended, goal } = data();
      const point = (/** @type {Result} */ result) => [x(result), result.value];
      const last = best[best.length - 1];
      const end = by === "" ? ended : Math.max(0, ...[...best, ...others].map(x).filter(Number.isFinite));
      const { low, high } = bounds(others.map(({ value }) => value).concat(best.map(({ value }) => value)), goal);
      const shown = (/** @type {boolean} */ cut) => others.filter(({ state }) => /EARLY_STOPPED|TIMED_OUT/.test(state) === cut).map(point);
      return {
        ...axes(colors, { ...axisOf[by], min: 0, minInterval: by === "" ? 1 : undefined }, { log, low, high }),
        series: [
          { id: "others", type: "scatter", silent: true, symbolSize: 5, itemStyle: { color: colors.muted, opacity: 0.55 }, data: shown(false), large: others.length > 2000 },
          { id: "cut", type: "scatter", silent: true, symbol: "diamond", symbolSize: 6, itemStyle: { color: colors.cut, opacity: 0.6 }, data: shown(true) },
          steps(best.map((result) => /** @type {[number, number]} */ (point(result))), last ? Math.max(end, x(last)) : 0, colors.accent),
          { id: "improved", type: "scatter", silent: true, z: 4, symbolSize: 7, itemStyle: { color: colors.accent, borderColor: colors.surface, borderWidth: 1.5 }, data: best.map(point) },
        ],
      };
    },
  });
  chart.setLegend([
    { name: "best so far", kind: "best" },
    { name: "result", kind: "other" },
    { name: "stopped early", kind: "cut" },
  ]);
  /** @param {boolean} there whether the study uses GPUs */
  const offerGpus = (there) => {
    gpus.hidden = !there;
  };
  return Object.assign(chart, { offerGpus });
}
