// Successive halving at a glance: for each bracket the values of all trials at its rungs, and which of them went on to the next.

import { Chart, NEAR } from "../../chart.js";
import { el, fill } from "../../dom.js";
import { count, measure, num, plural } from "../../format.js";
import { about, axes, logToggle } from "../../plots.js";
import { keep } from "../../router.js";
import { bounds } from "../../scales.js";
import { isRunning } from "../../states.js";
import { ladders, wentOn } from "./brackets.js";

/** @typedef {import("./brackets.js").Ladder} Ladder */
/** @typedef {import("./brackets.js").Way} Way */

/** Trials that are drawn in one chart at most: the best, those that run, and a part of the others. */
const DRAWN = 1_500;
/** Share of the room between two rungs that the dots of one rung are spread over, so that they can be told apart. */
const SPREAD = 0.3;

/** @param {import("../study.js").Context} context */
export function rungs({ model, query, href, open, signal }) {
  const by = el("select", { class: "tool", "aria-label": "Trials at rungs by" }, el("option", { value: "", text: "by value" }), el("option", { value: "rank", text: "by rank" }));
  if (query.get("rungs") === "rank") by.value = "rank";
  by.addEventListener("change", () => {
    keep({ rungs: by.value });
    for (const { chart } of shown) chart.draw();
  });
  const node = el("section", { class: "part" });
  const body = el("div", { class: "stack" });
  const title = el("h2", { text: "Rungs" });
  const words = el("p", { class: "quiet note" });
  fill(node, el("header", { class: "section" }, title, el("div", { class: "filters" }, by)), words, body);
  /** @type {Ladder[]} */
  let all = [];
  /** @type {{chart: Chart, table: HTMLElement}[]} */
  let shown = [];
  /** Of each table what it shows, so that it is left alone while nothing has changed. @type {string[]} */
  let shapes = [];

  /** @param {number} index */
  const begin = (index) => {
    const name = all.length > 1 ? `Bracket ${index + 1}` : "Trials by rung";
    const chart = ladder({ title: name, metric: model.metric, step: model.step, goal: () => model.goal, best: () => model.bestTrial(), data: () => all[index], byRank: () => by.value === "rank", open, signal });
    return { chart, table: el("div", { class: "wide" }) };
  };
  return {
    node,
    draw() {
      const { study } = model;
      if (!study || !model.ready) return;
      all = ladders(study, model.trials.values(), model.goal);
      const reduction = study.spec.strategy?.reduction || 3;
      const missing = model.complete ? "" : ` ${count(model.trials.size)} of the trials are read; what is counted here is counted among those.`;
      words.textContent = `A trial that comes to a rung goes on if it is among the best 1 in ${reduction} of those that have come there so far; otherwise it rests, and may be promoted later.${missing}`;
      title.textContent = all.length > 1 ? "Rungs and brackets" : "Rungs";
      if (shown.length !== all.length || !body.firstChild) {
        shown = all.map((_, index) => begin(index));
        shapes = [];
        fill(body, all.length ? shown.flatMap(({ chart, table }) => [chart.node, table]) : el("p", { class: "table-empty", text: "No trial has come to a rung yet." }));
      }
      shown.forEach(({ chart, table }, index) => {
        const shape = JSON.stringify(all[index].columns);
        if (shape !== shapes[index]) fill(table, columnsTable(all[index], { name: chart.title, step: model.step, href }));
        shapes[index] = shape;
        chart.setEmpty(all[index].ways.length ? "" : "No trial of this bracket has come to a rung yet.");
        chart.draw();
      });
    },
  };
}

/**
 * @param {Ladder} ladder
 * @param {{name: string, step: string, href: (trial: number | string) => string}} options
 */
function columnsTable({ columns }, { name, step, href }) {
  const head = [`Rung (${step})`, "Reached", "Went on", "Resting", "Needed to go on", "Best", "By"];
  return el(
    "table",
    { class: "plain", "aria-label": `Rungs: ${name}` },
    el("thead", {}, el("tr", {}, head.map((text, index) => el("th", { scope: "col", class: index > 0 && index < 6 ? "right" : null, text })))),
    el(
      "tbody",
      {},
      columns.map(({ step, reached, went, resting, best, bestTrial, needed }) =>
        el(
          "tr",
          {},
          el("th", { scope: "row", text: measure(step) }),
          [count(reached), count(went), count(resting), Number.isNaN(needed) ? "\u2013" : measure(needed), Number.isNaN(best) ? "\u2013" : measure(best)].map((text) => el("td", { class: "right", text })),
          el("td", {}, Number.isNaN(bestTrial) ? "" : el("a", { href: href(bestTrial), text: `trial ${bestTrial}` })),
        ),
      ),
    ),
  );
}

/**
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.metric
 * @param {string} options.step
 * @param {() => "min" | "max"} options.goal
 * @param {() => number | null} options.best
 * @param {() => Ladder} options.data
 * @param {() => boolean} options.byRank
 * @param {(trial: number) => void} options.open
 * @param {AbortSignal} options.signal
 */
function ladder({ title, metric, step, goal, best, data, byRank, open, signal }) {
  let log = false;
  const height = (/** @type {Way} */ way, /** @type {number} */ index) => (byRank() ? way.ranks[index] : way.values[index]);
  const hasEnd = () => data().ways.some(({ last }) => last === data().columns.length);
  const stepOf = (/** @type {number} */ index) => data().columns[index]?.step ?? data().end;
  const chart = new Chart({
    title,
    height: 320,
    signal,
    controls: [logToggle(`Log scale of ${title}`, signal, (on) => ((log = on), chart.draw()))],
    describe: () => {
      const { columns } = data();
      return columns.map(({ step: at, reached, went }) => `${step} ${at}: ${plural(reached, "trial")}, ${count(went)} went on`).join("; ");
    },
    csv: () => ({
      name: title.toLowerCase().replaceAll(" ", "-"),
      header: ["trial", "state", step, metric, "rank", "went_on"],
      rows: data().ways.flatMap((way) => way.values.flatMap((value, index) => (index <= way.last ? [[way.trial, way.state.replace("TRIAL_STATE_", ""), stepOf(index), value, way.ranks[index], wentOn(way, index) ? "yes" : "no"]] : []))),
    }),
    find: ({ x, y }, scale) => {
      let [found, place, distance] = [/** @type {Way | null} */ (null), 0, NEAR];
      for (const way of chosen(data().ways, best())) {
        way.values.forEach((_, index) => {
          const away = Math.hypot(scale.x(across(way, index)) - x, scale.y(height(way, index)) - y);
          if (away < distance) [found, place, distance] = [way, index, away];
        });
      }
      if (!found) return null;
      const way = /** @type {Way} */ (found);
      const points = way.values.flatMap((_, index) => (index <= way.last && Number.isFinite(height(way, index)) ? [/** @type {[number, number]} */ ([scale.x(across(way, index)), scale.y(height(way, index))])] : []));
      const column = data().columns[place];
      const why = !column ? "Trained to the end" : wentOn(way, place) ? "Went on" : way.state.endsWith("PAUSED") ? "Rests here, and may be promoted" : "Did not go on";
      return {
        content: about(way.trial, way.state, [[metric, measure(way.values[place])], [step, measure(stepOf(place))], ["rank", `${count(way.ranks[place])} of ${count(column?.reached ?? data().ways.filter(({ last }) => last === place).length)}`], ...(column && !Number.isNaN(column.needed) ? [/** @type {[string, string]} */ (["needed", measure(column.needed)])] : [])], why),
        at: [scale.x(across(way, place)), scale.y(height(way, place))],
        highlight: { kind: points.length > 1 ? "line" : "dot", runs: [points] },
        open: () => open(way.trial),
      };
    },
    build: (colors) => {
      const { columns, ways } = data();
      const top = best();
      const drawn = chosen(ways, top);
      const ranks = byRank();
      const { low, high } = ranks ? { low: 0, high: ways.length + 1 } : bounds(ways.flatMap(({ values }) => values), goal());
      const last = columns.length - (hasEnd() ? 0 : 1);
      const name = (/** @type {number} */ at) => (columns[at] ? `${step} ${columns[at].step}\n${plural(columns[at].reached, "trial")}` : at === columns.length && hasEnd() ? `trained to the end\n${plural(ways.filter((way) => way.last === at).length, "trial")}` : "");
      const point = (/** @type {Way} */ way, /** @type {number} */ index) => [across(way, index), height(way, index)];
      /** Dots of those that, at the rung, went on or did not. @param {(way: Way, index: number) => boolean} wanted */
      const dots = (wanted) => drawn.flatMap((way) => way.values.flatMap((_, index) => (index <= way.last && Number.isFinite(height(way, index)) && wanted(way, index) ? [point(way, index)] : [])));
      // Lines are interrupted between trials.
      const lines = (/** @type {(way: Way) => boolean} */ wanted) => drawn.filter(wanted).flatMap((way) => [...way.values.flatMap((_, index) => (index <= way.last && Number.isFinite(height(way, index)) ? [point(way, index)] : [])), [NaN, NaN]]);
      const isBest = (/** @type {Way} */ { trial }) => trial === top;
      const isEnd = (/** @type {number} */ index) => index === columns.length;
      const base = axes(colors, { name: "", min: -0.5, max: last + 0.5, minInterval: 1, format: name }, { log: log && !ranks, low, high });
      return {
        ...base,
        xAxis: { ...base.xAxis, interval: 1, axisLabel: { ...base.xAxis.axisLabel, lineHeight: 15, hideOverlap: false, customValues: Array.from({ length: last + 1 }, (_, index) => index) } },
        yAxis: { ...base.yAxis, inverse: ranks, ...(ranks ? { axisLabel: { ...base.yAxis.axisLabel, showMinLabel: false, showMaxLabel: false } } : {}) },
        series: [
          { id: "paths", type: "line", silent: true, showSymbol: false, lineStyle: { color: colors.muted, width: 1, opacity: 0.4 }, data: lines((way) => way.last > 0 && !isBest(way)) },
          ...columns.flatMap(({ needed, kept }, index) => (Number.isNaN(needed) ? [] : [{ id: `needed-${index}`, type: "line", silent: true, showSymbol: false, z: 4, lineStyle: { color: colors.cut, width: 1.5, type: [4, 3] }, data: [-0.4, 0.4].map((side) => [index + side, ranks ? kept + 0.5 : needed]) }])),
          { id: "rest", type: "scatter", silent: true, z: 5, symbolSize: 7, itemStyle: { color: colors.surface, borderColor: colors.muted, borderWidth: 1.25, opacity: 0.8 }, data: dots((way, index) => !wentOn(way, index) && !isEnd(index) && !isRunning(way.state)) },
          { id: "went", type: "scatter", silent: true, z: 6, symbolSize: 7, itemStyle: { color: colors.good }, data: dots((way, index) => (wentOn(way, index) || isEnd(index)) && !(way.went && index === way.last)) },
          { id: "running", type: "scatter", silent: true, z: 7, symbolSize: 8, itemStyle: { color: colors.run }, data: dots((way, index) => index === way.last && (way.went || isRunning(way.state))) },
          { id: "best", type: "line", silent: true, z: 8, symbol: "circle", symbolSize: 8, lineStyle: { color: colors.accent, width: 2.5 }, itemStyle: { color: colors.accent }, data: lines(isBest) },
        ],
      };
    },
  });
  chart.setLegend([
    { name: "best", kind: "best" },
    { name: "went on", kind: "went" },
    { name: "rests, or did not go on", kind: "rests" },
    { name: "running", kind: "run" },
    { name: "needed to go on", kind: "needed" },
  ]);
  return chart;
}

/**
 * Where a trial stands beside others at the same rung: always the same, and not in a row.
 * @param {Way} way
 * @param {number} index
 */
function across({ trial }, index) {
  return index + SPREAD * (((trial * 0.618034) % 1) - 0.5);
}

/**
 * Those that are drawn: all, or those that came furthest.
 * @param {Way[]} ways
 * @param {number | null} best
 */
function chosen(ways, best) {
  if (ways.length <= DRAWN) return ways;
  return [...ways].sort((a, b) => Number(b.trial === best) - Number(a.trial === best) || b.last - a.last || num(b.trial) - num(a.trial)).slice(0, DRAWN);
}
