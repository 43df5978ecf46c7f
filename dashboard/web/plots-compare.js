// Charts of a few things with a colour for each: curves of trials, best values of studies. Data comes from the views; nothing is asked here.

import { Chart, NEAR } from "./chart.js";
import { el } from "./dom.js";
import { measure } from "./format.js";
import { axes, logToggle } from "./plots.js";
import { bounds } from "./scales.js";

/** One of the things that are compared: its colour goes by its place. @typedef {{name: string, x: number[], y: number[], open?: () => void}} Curve */

/** Colours that there are; further lines are dashed. */
const COLORS = 6;

/**
 * @param {object} options
 * @param {string} options.title
 * @param {() => {curves: Curve[], metric: string, x: string, format?: (x: number) => string, goal: "min" | "max", steps: boolean}} options.data `steps` if
 *   a value stays until the next
 * @param {HTMLElement[]} [options.controls]
 * @param {AbortSignal} options.signal
 */
export function overlaid({ title, data, controls = [], signal }) {
  let log = false;
  const chart = new Chart({
    title,
    height: 320,
    signal,
    controls: [...controls, logToggle(`Log scale of ${title.toLowerCase()}`, signal, (on) => ((log = on), chart.draw()))],
    describe: () => {
      const { curves, metric } = data();
      return `${metric}: ${curves.map(({ name, y }) => `${name} ${y.length ? measure(y[y.length - 1]) : "nothing"}`).join(", ")}`;
    },
    csv: () => {
      const { curves, metric, x } = data();
      return { name: title.toLowerCase().replaceAll(" ", "-"), header: ["name", x, metric], rows: curves.flatMap(({ name, x: at, y }) => at.map((place, index) => [name, place, y[index]])) };
    },
    find: ({ x: left, y: top }, scale) => {
      const { curves, metric, x, format = measure } = data();
      let [nearest, distance, place] = [/** @type {Curve | null} */ (null), NEAR * NEAR, 0];
      for (const curve of curves) {
        for (let index = 0; index < curve.x.length; index += 1) {
          const away = (scale.x(curve.x[index]) - left) ** 2 + (scale.y(curve.y[index]) - top) ** 2;
          if (away <= distance) [nearest, distance, place] = [curve, away, index];
        }
      }
      if (!nearest) return null;
      const { name, x: at, y, open } = nearest;
      const row = (/** @type {string} */ what, /** @type {string} */ value) => el("p", { class: "tip-row" }, el("span", { text: what }), el("b", { text: value }));
      return {
        content: [el("p", { class: "tip-title", text: name }), row(metric, measure(y[place])), row(x, format(at[place]))],
        at: [scale.x(at[place]), scale.y(y[place])],
        highlight: { kind: "dot", runs: [[[scale.x(at[place]), scale.y(y[place])]]] },
        open,
      };
    },
    build: (colors) => {
      const { curves, x, format, goal, steps } = data();
      return {
        ...axes(colors, { name: x, format }, { log, ...bounds(curves.flatMap(({ y }) => y), goal) }),
        series: curves.map(({ x: at, y }, index) => {
          const color = colors.series[index % COLORS];
          return {
            id: `curve-${index}`,
            type: "line",
            step: steps ? "end" : undefined,
            silent: true,
            showSymbol: at.length === 1,
            symbolSize: 5,
            itemStyle: { color },
            lineStyle: { color, width: 2, type: index < COLORS ? "solid" : [5, 4] },
            data: at.map((place, point) => [place, y[point]]),
          };
        }),
      };
    },
  });
  return chart;
}

/** The class that gives the n-th thing its colour in texts and legends. @param {number} index */
export function kindOf(index) {
  return `series-${(index % COLORS) + 1}${index < COLORS ? "" : " dashed"}`;
}
