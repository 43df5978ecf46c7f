// What the model of a study's strategy expects along each parameter, how promising it takes that to be, and where the point lies that was chosen.

import { api, ApiError } from "../../api.js";
import { Chart, NEAR } from "../../chart.js";
import { el, fill } from "../../dom.js";
import { measure, num, parameter, plural } from "../../format.js";
import { keep } from "../../router.js";
import { Axis, objectivesOf, parametersOf } from "../dimensions.js";
import { axes } from "./marks.js";

/** @typedef {import("../../../types/api.js").Slices} Slices */
/** @typedef {import("../../../types/api.js").Slice} Slice */
/** @typedef {import("../dimensions.js").Dimension} Dimension */

/** Values of each parameter. */
const POINTS = 60;
/** Reasons for which there is nothing to be shown, and nothing wrong. */
const CALM = ["NO_RESULT", "NO_MODEL"];
/** Height that the acquisition has beneath, and room for the names of values beside both. */
const BELOW = 48;
const LEFT = 56;
/** Of an acquisition that is a logarithm, what lies further than that below its largest value is all the same. */
const DEEP = 10;
/** In the address: through the point that would be proposed next. */
const NEXT = "next";

/**
 * @param {object} options
 * @param {import("../model.js").StudyModel} options.model
 * @param {URLSearchParams} options.query
 * @param {() => boolean} options.log
 * @param {(trial: string) => string} options.href
 * @param {AbortSignal} options.signal
 */
export function expected({ model, query, log, href, signal }) {
  // A trial's number, the next proposal, or the best trial if empty.
  let through = /^([1-9]\d*|next)$/.test(query.get("through") ?? "") ? String(query.get("through")) : "";
  let metric = "";
  /** @type {Slices | null} */
  let slices = null;
  /** @type {Chart[]} */
  let charts = [];
  let asked = false;
  // Somebody comes to see this.
  const sought = query.has("through");
  let arrived = false;
  let round = 0;
  let ofCharts = new AbortController();

  const isTrial = () => through !== "" && through !== NEXT;
  const point = el(
    "select",
    { class: "tool", "aria-label": "Through" },
    [["", "Through the best trial"], [NEXT, "Through the next proposal"], ["trial", "Through trial\u2026"]].map(([value, text]) => el("option", { value, text, selected: value === (isTrial() ? "trial" : through) })),
  );
  const number = el("input", { type: "text", inputmode: "numeric", class: "short", "aria-label": "Through trial", placeholder: "number", value: isTrial() ? through : "" });
  number.hidden = !isTrial();
  const objective = el("select", { class: "tool", "aria-label": "Objective of the model" });
  const again = el("button", { type: "button", class: "tool", text: "Ask again" });
  const note = el("p", { class: "quiet note", role: "status" });
  const grid = el("div", { class: "slices" });
  const node = el(
    "section",
    { class: "expected", "aria-label": "Model" },
    el("header", { class: "section" }, el("h2", { text: "What the model expects" }), el("div", { class: "filters" }, objective, point, number, again)),
    note,
    grid,
  );
  node.hidden = true;

  const ask = async () => {
    const mine = ++round;
    note.textContent = "The model is asked\u2026";
    again.disabled = true;
    try {
      const answer = await api.slice(model.name, { points: POINTS, ...(isTrial() ? { trial: through } : through ? { next: true } : {}) }, { signal });
      if (mine === round) show(answer);
    } catch (error) {
      if (signal.aborted || mine !== round) return;
      ofCharts.abort();
      slices = null;
      charts = [];
      fill(grid);
      const text = error instanceof Error ? error.message : String(error);
      note.textContent = error instanceof ApiError && CALM.includes(error.reason) ? `Nothing to show yet: ${text}.` : text;
    } finally {
      if (mine === round) again.disabled = false;
    }
  };

  /** @param {Slices} answer */
  const show = (answer) => {
    const { study } = model;
    if (!study) return;
    slices = answer;
    const metrics = answer.slices?.[0]?.objectives?.map((one) => one.metric) ?? [];
    if (!metrics.includes(metric)) metric = metrics[0] ?? "";
    objective.hidden = metrics.length < 2;
    fill(objective, metrics.map((one) => el("option", { value: one, selected: one === metric, text: one })));
    const words = isTrial() ? `when trial ${through} was proposed` : "now";
    const here = isTrial() ? `trial ${through}` : through ? "next proposal" : "best trial";
    fill(
      note,
      `The model of ${answer.strategy} ${words}, from ${plural(num(answer.results ?? 0), "result")}. Each chart goes through `,
      isTrial() ? el("a", { href: href(through), text: here }) : `the ${here}`,
      ": its other parameters stay as they are there. Beneath, how promising each value is.",
      answer.chosen && !through ? ` Next would be tried: ${Object.entries(answer.chosen).map(([name, value]) => `${name} ${parameter(value)}`).join(", ")}.` : "",
    );
    ofCharts.abort();
    ofCharts = new AbortController();
    const ofThese = AbortSignal.any([signal, ofCharts.signal]);
    const dimensions = new Map(parametersOf(study).map((one) => [one.name, one]));
    const objectives = objectivesOf(study);
    charts = (answer.slices ?? []).flatMap((slice) => {
      const along = dimensions.get(slice.parameter);
      return along ? [sliceChart({ slice, along, point: answer.parameters?.[slice.parameter], chosen: through ? undefined : answer.chosen?.[slice.parameter], here, of: () => objectives.find(({ name }) => name === metric) ?? objectives[0], isLog: answer.acquisition?.startsWith("log_") ?? false, log, signal: ofThese })] : [];
    });
    fill(grid, charts.map((chart) => chart.node));
    for (const chart of charts) chart.draw();
    if (sought && !arrived) node.scrollIntoView();
    arrived = true;
  };

  const askFor = () => {
    number.hidden = point.value !== "trial";
    const text = number.hidden ? point.value : number.value.trim();
    const isNone = !number.hidden && !/^[1-9]\d*$/.test(text);
    number.setAttribute("aria-invalid", String(isNone && text !== ""));
    if (isNone) return;
    through = text;
    keep({ through });
    void ask();
  };
  point.addEventListener("change", () => {
    askFor();
    if (!number.hidden) number.focus();
  });
  number.addEventListener("change", askFor);
  again.addEventListener("click", askFor);
  objective.addEventListener("change", () => {
    metric = objective.value;
    for (const chart of charts) chart.draw();
  });
  return {
    node,
    sought,
    /** Whether the study's strategy has such a model. */
    applies: () => [model.study?.spec.strategy?.name, model.study?.spec.strategy?.sampler].includes("gp") || /\bgp\b/.test(model.study?.strategyNote ?? ""),
    draw() {
      if (!asked) {
        asked = true;
        void ask();
      }
      if (slices) for (const chart of charts) chart.draw();
    },
  };
}

/**
 * @param {object} options
 * @param {Slice} options.slice
 * @param {Dimension} options.along
 * @param {import("../../../types/api.js").Value | undefined} options.point where the slice goes through
 * @param {import("../../../types/api.js").Value | undefined} options.chosen the same of the next proposal, if that is another point
 * @param {string} options.here what the slice goes through
 * @param {() => Dimension} options.of the objective
 * @param {boolean} options.isLog whether the acquisition is a logarithm
 * @param {() => boolean} options.log
 * @param {AbortSignal} options.signal
 */
function sliceChart({ slice, along, point, chosen, here, of, isLog, log, signal }) {
  const values = slice.values ?? [];
  const promise = (slice.acquisition ?? []).map(num);
  const best = promise.reduce((most, value, index) => (value > promise[most] || Number.isNaN(promise[most]) ? index : most), 0);
  const x = new Axis(along, []);
  const places = values.map((value) => x.place(value));
  const read = () => {
    const objective = of();
    const found = slice.objectives?.find(({ metric }) => metric === objective.name);
    const [mean, low, high] = [found?.mean, found?.low, found?.high].map((list) => (list ?? []).map(num));
    return { objective, mean, low, high, y: new Axis({ ...objective, goal: null }, [], { log: log(), values: [...low, ...high].filter(Number.isFinite) }) };
  };
  const chart = new Chart({
    title: `Expected over ${along.name}`,
    height: 248,
    signal,
    describe: () => {
      const { objective, mean } = read();
      return `expected ${objective.name} from ${measure(Math.min(...mean))} to ${measure(Math.max(...mean))}; most promising at ${parameter(values[best])}; the ${here} has ${parameter(point)}${chosen === undefined ? "" : `; the next proposal ${parameter(chosen)}`}`;
    },
    csv: () => {
      const { objective, mean, low, high } = read();
      return { name: `model-${along.name}`, header: [along.name, `${objective.name} mean`, "low", "high", "acquisition"], rows: values.map((value, index) => [String(value), mean[index], low[index], high[index], promise[index]]) };
    },
    find: ({ x: left }, scale) => {
      let [place, distance] = [-1, NEAR * (along.choices ? 3 : 1)];
      places.forEach((at, index) => {
        const away = Math.abs(scale.x(at) - left);
        if (away < distance) [place, distance] = [index, away];
      });
      if (place < 0) return null;
      const { objective, mean, low, high, y } = read();
      const row = (/** @type {string} */ name, /** @type {string} */ text) => el("p", { class: "tip-row" }, el("span", { text: name }), el("b", { text }));
      return {
        content: [
          el("p", { class: "tip-title", text: `${along.name} ${parameter(values[place])}` }),
          row(`expected ${objective.name}`, measure(mean[place])),
          row("one deviation", `${measure(low[place])} to ${measure(high[place])}`),
          row("acquisition", measure(promise[place])),
        ],
        at: [scale.x(places[place]), scale.y(y.curve.at(mean[place]))],
        highlight: { kind: "dot", runs: [[[scale.x(places[place]), scale.y(y.curve.at(mean[place]))]]] },
      };
    },
    build: (colors, frame) => {
      const { mean, low, high, y } = read();
      const at = (/** @type {number[]} */ list) => list.map((value, index) => [places[index], y.curve.at(value)]);
      const most = Math.max(...promise.filter(Number.isFinite));
      const least = Math.max(Math.min(...promise.filter(Number.isFinite)), isLog ? most - DEEP : -Infinity);
      const lift = (/** @type {number} */ value) => (most > least ? Math.max(0, (value - least) / (most - least)) : 0.5);
      const both = axes(colors, frame, x, y);
      const under = { gridIndex: 1, type: "value", show: false, axisPointer: { show: false } };
      const [marked, next] = [x.place(point), chosen === undefined ? NaN : x.place(chosen)];
      const band = along.choices ? low.map((_, index) => [[places[index], y.curve.at(low[index])], [places[index], y.curve.at(high[index])]]) : null;
      return {
        ...both,
        grid: [
          { left: LEFT, right: 20, top: 12, bottom: BELOW + 44, outerBoundsMode: "none" },
          { left: LEFT, right: 20, bottom: 4, height: BELOW, outerBoundsMode: "none" },
        ],
        xAxis: [both.xAxis, { ...under, min: both.xAxis.min, max: both.xAxis.max }],
        yAxis: [both.yAxis, { ...under, min: 0, max: 1.1 }],
        dataZoom: [],
        series: [
          {
            id: "band",
            type: "custom",
            silent: true,
            clip: true,
            z: 2,
            data: [[0, 0]],
            renderItem: (/** @type {unknown} */ _, /** @type {{coord: (place: number[]) => number[]}} */ api) =>
              band
                ? { type: "group", children: band.map((ends) => ({ type: "polyline", silent: true, shape: { points: ends.map((end) => api.coord(end)) }, style: { stroke: colors.accent, opacity: 0.5, lineWidth: 6 } })) }
                : { type: "polygon", silent: true, shape: { points: [...at(high), ...at(low).reverse()].map((place) => api.coord(place)) }, style: { fill: colors.accent, opacity: 0.15 } },
          },
          {
            id: "mean",
            type: "line",
            silent: true,
            showSymbol: Boolean(along.choices),
            symbolSize: 8,
            lineStyle: { color: colors.accent, width: along.choices ? 0 : 2 },
            itemStyle: { color: colors.accent },
            data: at(mean),
            markLine: { silent: true, symbol: "none", animation: false, label: { show: false }, data: [...line(marked, colors.text, "dashed"), ...line(next, colors.cut, "solid")] },
          },
          along.choices ? bars(promise.map((value, index) => [places[index], lift(value)]), colors.cut) : { id: "promise", type: "line", silent: true, xAxisIndex: 1, yAxisIndex: 1, showSymbol: false, lineStyle: { color: colors.cut, width: 1.5 }, areaStyle: { color: colors.cut, opacity: 0.25 }, data: promise.map((value, index) => [places[index], lift(value)]) },
          { id: "next", type: "scatter", silent: true, xAxisIndex: 1, yAxisIndex: 1, symbol: "diamond", symbolSize: 9, itemStyle: { color: colors.cut, borderColor: colors.surface, borderWidth: 1 }, data: promise.length ? [[places[best], lift(promise[best])]] : [] },
        ],
      };
    },
  });
  chart.setEmpty("");
  chart.setLegend([
    { name: "expected, \u00b1 one deviation", kind: "best" },
    { name: here, kind: "here" },
    ...(chosen === undefined ? [] : [{ name: "next proposal", kind: "chosen" }]),
    { name: "how promising, most at the mark", kind: "cut" },
  ]);
  return chart;
}

/**
 * A line upright at a place, if there is one.
 * @param {number} place
 * @param {string} color
 * @param {string} type
 */
const line = (place, color, type) => (Number.isFinite(place) ? [{ xAxis: place, lineStyle: { color, type } }] : []);

/**
 * Bars beneath; those of the library would move the axis.
 * @param {number[][]} tops
 * @param {string} color
 */
function bars(tops, color) {
  return {
    id: "promise",
    type: "custom",
    silent: true,
    xAxisIndex: 1,
    yAxisIndex: 1,
    data: [[0, 0]],
    renderItem: (/** @type {unknown} */ _, /** @type {{coord: (place: number[]) => number[]}} */ api) => ({
      type: "group",
      children: tops.map(([place, height]) => {
        const [[x, y], [, bottom]] = [api.coord([place, height]), api.coord([place, 0])];
        return { type: "rect", silent: true, shape: { x: x - 8, y, width: 16, height: bottom - y }, style: { fill: color, opacity: 0.6 } };
      }),
    }),
  };
}
