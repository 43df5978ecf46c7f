// Learning curves of a study's trials. Data comes from the model; nothing is asked here.

import { Chart, NEAR } from "../../chart.js";
import { count, measure, plural } from "../../format.js";
import { about, axes, logToggle } from "../../plots.js";
import { bounds } from "../../scales.js";
import { counts, isRunning } from "../../states.js";

/** @typedef {{trial: number, state: string, why: string, result: number, steps: number[], values: number[]}} Line */

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
 * @param {import("../../chart.js").Colors} colors
 */
function lookOf(line, best, colors) {
  if (line.trial === best) return { color: colors.accent, width: 2.5, opacity: 1, z: 5 };
  if (isRunning(line.state)) return { color: colors.run, width: 1.5, opacity: 0.9, z: 4 };
  if (line.state.endsWith("FAILED")) return { color: colors.bad, width: 1, opacity: 0.5, z: 2 };
  if (!counts(line.state)) return { color: colors.muted, width: 1, opacity: 0.4, z: 2 };
  if (/EARLY_STOPPED|TIMED_OUT/.test(line.state)) return { color: colors.cut, width: 1, opacity: 0.4, z: 2 };
  return { color: colors.muted, width: 1, opacity: 0.45, z: 3 };
}
