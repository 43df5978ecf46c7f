// What a trial used of its machine over time, attempt by attempt: processor, memory, GPUs, as small charts below each other on one axis of time.

import { Chart } from "../../chart.js";
import { el, fill } from "../../dom.js";
import { bytes, duration } from "../../format.js";

/** @typedef {import("../../../types/api.js").Attempt} Attempt */
/** @typedef {import("../../../types/api.js").UsageSeries} Series */
/** @typedef {{title: string, unit: string, of: (series: Series) => number[], show: (value: number) => string, full?: number}} Kind */

/** @type {Kind[]} */
const KINDS = [
  { title: "GPU busy", unit: "percent", of: ({ gpuPercent = [] }) => gpuPercent, show: (value) => `${Math.round(value)}\u202f%`, full: 100 },
  { title: "GPU memory", unit: "bytes", of: ({ gpuMemoryBytes = [] }) => gpuMemoryBytes.map(Number), show: (value) => size(value) },
  { title: "Processor", unit: "cores", of: ({ cpuMillis = [] }) => cpuMillis.map((millis) => millis / 1000), show: (value) => `${Number(value.toPrecision(2))}` },
  { title: "Memory", unit: "bytes", of: ({ memoryBytes = [] }) => memoryBytes.map(Number), show: (value) => size(value) },
];

/** @param {number} value */
const size = (value) => (value > 0 ? bytes(value) : "0");

/**
 * @param {{trial: string, signal: AbortSignal}} options
 */
export function usagePanel({ trial, signal }) {
  /** @type {Attempt[]} */
  let attempts = [];
  /** @type {{kind: Kind, chart: Chart}[]} */
  let charts = [];
  const which = el("select", { class: "tool", "aria-label": "Attempt whose use of the machine is shown" });
  const place = el("div", { class: "charts small" });
  const node = el("section", { hidden: true, "aria-labelledby": "usage-title" }, el("div", { class: "section" }, el("h2", { id: "usage-title", text: "Use of the machine" }), which), place);
  const shown = () => attempts.find(({ attempt }) => String(attempt) === which.value) ?? attempts[attempts.length - 1];

  const draw = () => {
    const series = shown()?.usage ?? {};
    const kinds = KINDS.filter((kind) => kind.of(series).length > 0);
    if (kinds.length !== charts.length || kinds.some((kind, index) => charts[index].kind !== kind)) {
      charts = kinds.map((kind) => ({ kind, chart: small(kind, trial, () => shown()?.usage ?? {}, signal) }));
      fill(place, charts.map(({ chart }) => chart.node));
    }
    for (const { chart } of charts) chart.draw();
  };
  which.addEventListener("change", draw);
  return {
    node,
    /** @param {Attempt[] | undefined} all */
    setAttempts(all = []) {
      attempts = all.filter(({ usage }) => usage?.seconds?.length);
      node.hidden = attempts.length === 0;
      const names = attempts.map(({ attempt }) => String(attempt));
      if (names.join() !== [...which.options].map(({ value }) => value).join()) {
        const followed = which.selectedIndex === which.options.length - 1;
        const before = which.value;
        fill(which, names.map((name) => el("option", { value: name, text: `attempt ${name}` })));
        which.value = followed || !names.includes(before) ? (names[names.length - 1] ?? "") : before;
      }
      which.hidden = names.length < 2;
      if (attempts.length) draw();
    },
  };
}

/**
 * @param {Kind} kind
 * @param {string} trial
 * @param {() => Series} series
 * @param {AbortSignal} signal
 */
function small({ title, unit, of, show, full }, trial, series, signal) {
  const seconds = () => series().seconds ?? [];
  const chart = new Chart({
    title,
    height: 120,
    signal,
    describe: () => {
      const values = of(series());
      return values.length ? `${show(values[values.length - 1])} at last, ${show(Math.max(...values))} at most` : "not known";
    },
    csv: () => ({ name: `trial-${trial}-${title.toLowerCase().replace(" ", "-")}`, header: ["seconds", unit], rows: seconds().map((at, index) => [at, of(series())[index]]) }),
    find: ({ x }, scale) => {
      const at = seconds();
      if (at.length === 0) return null;
      const place = at.reduce((best, second, index) => (Math.abs(scale.x(second) - x) < Math.abs(scale.x(at[best]) - x) ? index : best), 0);
      const value = of(series())[place];
      return {
        content: [el("p", { class: "tip-title", text: duration(at[place]) }), el("p", { class: "tip-row" }, el("span", { text: title }), el("b", { text: show(value) }))],
        at: [scale.x(at[place]), scale.y(value)],
        highlight: { kind: "dot", runs: [[[scale.x(at[place]), scale.y(value)]]] },
      };
    },
    build: (colors) => {
      const values = of(series());
      const label = { color: colors.muted, fontSize: 11, hideOverlap: true };
      const most = values.length ? Math.max(...values) : 0;
      // Sizes are read in powers of two; at others the library's round numbers are none.
      const top = full ?? (unit === "bytes" && most > 0 ? 2 ** Math.ceil(Math.log2(most * 1.05)) : undefined);
      const zoom = { type: "inside", filterMode: "none", moveOnMouseMove: false, moveOnMouseWheel: false };
      return {
        grid: { left: 8, right: 20, top: 8, bottom: 4, outerBoundsMode: "same" },
        xAxis: { type: "value", min: 0, max: seconds()[seconds().length - 1] || undefined, splitNumber: 4, axisLine: { lineStyle: { color: colors.line } }, axisTick: { show: false }, splitLine: { show: false }, axisLabel: { ...label, formatter: (/** @type {number} */ value) => (value === 0 ? "0" : duration(value)) } },
        yAxis: { type: "value", min: 0, max: top, interval: top && top / 2, splitNumber: 2, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: colors.line } }, axisLabel: { ...label, formatter: show } },
        dataZoom: [
          { ...zoom, xAxisIndex: 0, zoomOnMouseWheel: "ctrl" },
          { ...zoom, yAxisIndex: 0, zoomOnMouseWheel: false },
        ],
        series: [{ id: "used", type: "line", silent: true, showSymbol: values.length < 2, symbolSize: 5, lineStyle: { color: colors.accent, width: 1.5 }, itemStyle: { color: colors.accent }, areaStyle: { color: colors.accent, opacity: 0.1 }, data: seconds().map((at, index) => [at, values[index]]) }],
      };
    },
  });
  chart.setEmpty("");
  return chart;
}
