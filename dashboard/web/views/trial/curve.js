// One metric of one trial, with what is usual among the others behind it.

import { Chart, NEAR } from "../../chart.js";
import { el } from "../../dom.js";
import { measure, num, plural } from "../../format.js";
import { axes, logToggle } from "../../plots.js";
import { bounds } from "../../scales.js";
import { isRunning } from "../../states.js";

/**
 * @param {object} options
 * @param {string} options.metric
 * @param {string} options.step
 * @param {() => {steps: number[], values: number[], band: import("../../../types/api.js").Band | null, state: string, marks: {step: number, text: string}[]}} options.data
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
      const edge = (/** @type {import("../../../types/api.js").Real[] | undefined} */ side) => at.map((step, index) => [step, num(side?.[index])]);
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
