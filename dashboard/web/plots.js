// What the charts of a study show: how the best value came about, and learning curves. Data comes from the models; nothing is asked here.

import { Chart, NEAR } from "./chart.js";
import { el } from "./dom.js";
import { count, duration, gpuHours, measure, num, plural } from "./format.js";
import { badge, counts, isRunning, trialLook } from "./states.js";

/** @typedef {{trial: number, ended: number, at: number, value: number, state: string}} Result */
/** @typedef {{trial: number, state: string, why: string, result: number, steps: number[], values: number[]}} Line */
/** @typedef {import("./chart.js").Scale} Scale */

/**
 * Axes as all charts have them.
 * @param {import("./chart.js").Colors} colors
 * @param {{name: string, format?: (value: number) => string, min?: number, max?: number, minInterval?: number}} x
 * @param {{log: boolean, low?: number, high?: number}} y
 */
export function axes(colors, x, y) {
  const label = { color: colors.muted, fontSize: 11, hideOverlap: true };
  const line = { lineStyle: { color: colors.line } };
  return {
    xAxis: {
      type: "value",
      name: x.name,
      nameLocation: "middle",
      nameGap: 26,
      nameTextStyle: { color: colors.muted, fontSize: 11 },
      min: x.min,
      max: x.max,
      minInterval: x.minInterval,
      axisLine: { show: true, onZero: false, ...line },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { ...label, formatter: x.format ?? ((/** @type {number} */ value) => measure(value)) },
    },
    yAxis: {
      type: y.log ? "log" : "value",
      scale: true,
      min: y.log ? undefined : y.low,
      max: y.log ? undefined : y.high,
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: line,
      splitNumber: 4,
      axisLabel: { ...label, formatter: (/** @type {number} */ value) => measure(value) },
    },
    dataZoom: [
      { type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, moveOnMouseWheel: false },
      { type: "inside", yAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: false, moveOnMouseMove: false, moveOnMouseWheel: false },
    ],
  };
}

/**
 * Bounds for values of which a few are far away: those would press all others to a line. Undefined where nothing has to be cut off.
 * @param {number[]} values
 * @param {"min" | "max" | null} better values on that side are never cut off
 * @param {number} [reach] how far beyond the others a value may be, in widths of their middle part
 * @returns {{low?: number, high?: number}}
 */
export function bounds(values, better, reach = 3) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length < 8) return {};
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  const spread = at(0.85) - at(0.15);
  if (spread <= 0) return {};
  // Round numbers, so that they look well on the axis.
  const unit = 10 ** Math.floor(Math.log10(spread));
  const [low, high] = [Math.floor((at(0.15) - reach * spread) / unit) * unit, Math.ceil((at(0.85) + reach * spread) / unit) * unit];
  return { low: better !== "min" && sorted[0] < low ? low : undefined, high: better !== "max" && sorted[sorted.length - 1] > high ? high : undefined };
}

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

/** @param {string} label @param {AbortSignal} signal @param {(log: boolean) => void} change */
export function logToggle(label, signal, change) {
  const toggle = el("button", { type: "button", class: "tool", "aria-pressed": "false", "aria-label": label, text: "Log" });
  toggle.addEventListener(
    "click",
    () => {
      const log = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(log));
      change(log);
    },
    { signal },
  );
  return toggle;
}

/**
 * What is shown of a trial under the pointer.
 * @param {number} trial
 * @param {string} state
 * @param {[string, string][]} more
 * @param {string} [why]
 */
export function about(trial, state, more, why) {
  return [
    el("p", { class: "tip-title" }, `Trial ${trial}`, badge(trialLook(state))),
    ...more.map(([name, value]) => el("p", { class: "tip-row" }, el("span", { text: name }), el("b", { text: value }))),
    ...(why ? [el("p", { class: "tip-why", text: why })] : []),
  ];
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

/**
 * Learning curves of many trials, those that were stopped with a mark where.
 * @param {object} options
 * @param {() => {metric: string, goal: "min" | "max", step: string, lines: Line[], best: number | null}} options.data
 * @param {(trial: number) => void} options.open
 * @param {AbortSignal} options.signal
 */
export function learningCurves({ data, open, signal }) {
  let log = false;
  const chart = new Chart({
    title: "Learning curves",
    signal,
    controls: [logToggle("Log scale of learning curves", signal, (on) => ((log = on), chart.draw()))],
    describe: () => {
      const { metric, lines } = data();
      const cut = lines.filter(({ state }) => state.endsWith("EARLY_STOPPED")).length;
      return `${metric} of ${plural(lines.length, "trial")}, ${count(cut)} of them stopped early`;
    },
    csv: () => {
      const { metric, step, lines } = data();
      const rows = lines.flatMap((line) => line.steps.map((at, index) => [line.trial, line.state.replace("TRIAL_STATE_", ""), at, line.values[index]]));
      return { name: "learning-curves", header: ["trial", "state", step, metric], rows };
    },
    find: ({ x: left, y: top }, scale) => {
      const { lines, metric, step } = data();
      let [nearest, distance, place] = [/** @type {Line | null} */ (null), NEAR * NEAR, 0];
      for (const line of lines) {
        for (let index = 0; index < line.steps.length; index += 1) {
          const [a, b] = [scale.x(line.steps[index]) - left, scale.y(line.values[index]) - top];
          const away = a * a + b * b;
          if (away <= distance) [nearest, distance, place] = [line, away, index];
        }
      }
      if (!nearest) return null;
      const { trial, state, why, steps, values } = nearest;
      return {
        content: about(trial, state, [[metric, measure(values[place])], [step, measure(steps[place])]], why),
        at: [scale.x(steps[place]), scale.y(values[place])],
        highlight: { kind: steps.length > 1 ? "line" : "ring", runs: [steps.map((at, index) => [scale.x(at), scale.y(values[index])])] },
        open: () => open(trial),
      };
    },
    build: (colors) => {
      const { lines, goal, best, step } = data();
      const { low, high } = bounds(lines.flatMap(({ values }) => values), goal);
      const series = lines.map((line) => {
        const look = lookOf(line, best, colors);
        return {
          id: `trial-${line.trial}`,
          type: "line",
          silent: true,
          showSymbol: line.steps.length === 1,
          symbolSize: 4,
          z: look.z,
          itemStyle: { color: look.color },
          lineStyle: { color: look.color, width: look.width, opacity: look.opacity },
          data: line.steps.map((at, index) => [at, line.values[index]]),
        };
      });
      const ends = (/** @type {(line: Line) => boolean} */ wanted) => lines.filter(wanted).map((line) => [line.steps[line.steps.length - 1], line.values[line.values.length - 1]]);
      return {
        ...axes(colors, { name: step, min: undefined }, { log, low, high }),
        series: [
          ...series,
          { id: "cut", type: "scatter", silent: true, z: 6, symbol: "diamond", symbolSize: 7, itemStyle: { color: colors.cut }, data: ends(({ state }) => /EARLY_STOPPED|TIMED_OUT/.test(state)) },
          { id: "failed", type: "scatter", silent: true, z: 6, symbol: "path://M0 0L2 2M2 0L0 2", symbolSize: 7, itemStyle: { color: "transparent", borderColor: colors.bad, borderWidth: 2 }, data: ends(({ state }) => state.endsWith("FAILED")) },
          { id: "running", type: "scatter", silent: true, z: 7, symbolSize: 7, itemStyle: { color: colors.run }, data: ends(({ state }) => isRunning(state)) },
        ],
      };
    },
  });
  chart.setLegend([
    { name: "best", kind: "best" },
    { name: "running", kind: "run" },
    { name: "stopped early", kind: "cut" },
    { name: "failed", kind: "bad" },
    { name: "others", kind: "line" },
  ]);
  return chart;
}

/**
 * @param {Line} line
 * @param {number | null} best
 * @param {import("./chart.js").Colors} colors
 */
function lookOf(line, best, colors) {
  if (line.trial === best) return { color: colors.accent, width: 2.5, opacity: 1, z: 5 };
  if (isRunning(line.state)) return { color: colors.run, width: 1.5, opacity: 0.9, z: 4 };
  if (line.state.endsWith("FAILED")) return { color: colors.bad, width: 1, opacity: 0.5, z: 2 };
  if (!counts(line.state)) return { color: colors.muted, width: 1, opacity: 0.4, z: 2 };
  if (/EARLY_STOPPED|TIMED_OUT/.test(line.state)) return { color: colors.cut, width: 1, opacity: 0.4, z: 2 };
  return { color: colors.muted, width: 1, opacity: 0.45, z: 3 };
}

/**
 * One metric of one trial, with what is usual among the others behind it.
 * @param {object} options
 * @param {string} options.metric
 * @param {string} options.step
 * @param {() => {steps: number[], values: number[], band: import("../types/api.js").Band | null, state: string, marks: {step: number, text: string}[]}} options.data
 * @param {AbortSignal} options.signal
 */
export function trialCurve({ metric, step, data, signal }) {
  let log = false;
  const chart = new Chart({
    title: metric,
    height: 220,
    signal,
    controls: [logToggle(`Log scale of ${metric}`, signal, (on) => ((log = on), chart.draw()))],
    describe: () => {
      const { steps, values } = data();
      return steps.length ? `${plural(steps.length, "point")}, the last ${measure(values[values.length - 1])} at ${step} ${steps[steps.length - 1]}` : "no points yet";
    },
    csv: () => {
      const { steps, values } = data();
      return { name: metric, header: [step, metric], rows: steps.map((at, index) => [at, values[index]]) };
    },
    find: ({ x: left }, scale) => {
      const { steps, values, band } = data();
      let [place, distance] = [-1, Infinity];
      steps.forEach((at, index) => {
        const away = Math.abs(scale.x(at) - left);
        if (away < distance) [place, distance] = [index, away];
      });
      if (place < 0 || distance > NEAR * 2) return null;
      const behind = band?.step?.map(Number).findLastIndex((at) => at <= steps[place]) ?? -1;
      const usual = behind >= 0 ? [el("p", { class: "tip-row" }, el("span", { text: "median of others" }), el("b", { text: measure(band?.median?.[behind]) }))] : [];
      return {
        content: [el("p", { class: "tip-title", text: `${step} ${steps[place]}` }), el("p", { class: "tip-row" }, el("span", { text: metric }), el("b", { text: measure(values[place]) })), ...usual],
        at: [scale.x(steps[place]), scale.y(values[place])],
        highlight: { kind: "dot", runs: [[[scale.x(steps[place]), scale.y(values[place])]]] },
      };
    },
    build: (colors) => {
      const { steps, values, band, state, marks } = data();
      const at = (band?.step ?? []).map(Number);
      const edge = (/** @type {import("../types/api.js").Real[] | undefined} */ side) => at.map((step, index) => [step, num(side?.[index])]);
      const low = edge(band?.low);
      const own = isRunning(state) ? colors.run : colors.accent;
      return {
        ...axes(colors, { name: step }, { log, ...bounds(values, null) }),
        series: [
          // A line that is not seen, and what is between it and the next.
          { id: "low", type: "line", silent: true, showSymbol: false, stack: "band", stackStrategy: "all", lineStyle: { opacity: 0 }, data: log ? [] : low },
          { id: "band", type: "line", silent: true, showSymbol: false, stack: "band", stackStrategy: "all", lineStyle: { opacity: 0 }, areaStyle: { color: colors.muted, opacity: 0.14 }, data: log ? [] : at.map((step, index) => [step, num(band?.high?.[index]) - num(band?.low?.[index])]) },
          { id: "median", type: "line", silent: true, showSymbol: false, lineStyle: { color: colors.muted, width: 1.5, type: [4, 4] }, data: edge(band?.median) },
          {
            id: "own",
            type: "line",
            silent: true,
            showSymbol: steps.length < 2,
            symbolSize: 5,
            lineStyle: { color: own, width: 2 },
            itemStyle: { color: own },
            data: steps.map((at, index) => [at, values[index]]),
            markLine: { silent: true, symbol: "none", lineStyle: { color: colors.cut, type: "dashed" }, label: { color: colors.cut, fontSize: 11, formatter: (/** @type {{name: string}} */ { name }) => name, position: "end", distance: 2 }, data: marks.map((mark) => ({ name: mark.text, xAxis: mark.step })) },
          },
        ],
      };
    },
  });
  chart.setLegend([
    { name: "this trial", kind: "best" },
    { name: "median and middle half of the others", kind: "usual" },
  ]);
  return chart;
}
