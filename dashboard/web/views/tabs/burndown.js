// Budgets over time: which share of each is used, when it will be used up, and the numbers beneath.

import { Chart, NEAR as REACH } from "../../chart.js";
import { el, fill } from "../../dom.js";
import { day, percent } from "../../format.js";
import { NEAR } from "./budget.js";

/** @typedef {import("./budget.js").Burn} Burn */
/** @typedef {import("./budget.js").Ending} Ending */

/** How far ahead a projection is drawn, in times of what has passed. */
const AHEAD = 1;

/**
 * @param {object} options
 * @param {() => {burns: Burn[], endings: Ending[], now: number, began: number, note: string}} options.data
 * @param {AbortSignal} options.signal
 */
export function burndown({ data, signal }) {
  const share = (/** @type {Burn} */ { limit }, /** @type {number} */ used) => (100 * used) / limit;
  const chart = new Chart({
    title: "Budget used",
    height: 220,
    signal,
    describe: () => data().burns.map(({ name, used, limit, words }) => `${name} ${percent(used / limit)}, ${words}`).join("; "),
    csv: () => ({ name: "budget", header: ["budget", "time", "used", "limit"], rows: data().burns.flatMap(({ id, points, limit }) => points.map(([at, used]) => [id, new Date(at).toISOString(), used, limit])) }),
    find: ({ x, y }, scale) => {
      let [found, point, distance] = [/** @type {Burn | null} */ (null), /** @type {[number, number]} */ ([0, 0]), REACH];
      for (const burn of data().burns) {
        for (const [at, used] of burn.points) {
          const away = Math.hypot(scale.x(at) - x, scale.y(share(burn, used)) - y);
          if (away < distance) [found, point, distance] = [burn, [at, used], away];
        }
      }
      if (!found) return null;
      const [at, used] = point;
      return {
        content: [
          el("p", { class: "tip-title", text: found.name }),
          el("p", { class: "tip-row" }, el("span", { text: "used" }), el("b", { text: `${found.show(used)} of ${found.show(found.limit)}` })),
          el("p", { class: "tip-row" }, el("span", { text: "by" }), el("b", { text: day(new Date(at).toISOString()) })),
        ],
        at: [scale.x(at), scale.y(share(found, used))],
        highlight: { kind: "dot", runs: [[[scale.x(at), scale.y(share(found, used))]]] },
      };
    },
    build: (colors) => {
      const { burns, now, began } = data();
      const label = { color: colors.muted, fontSize: 11, hideOverlap: true };
      const soonest = Math.max(0, ...burns.map(({ soon }) => soon * 1000).filter(Number.isFinite));
      const last = Math.max(...burns.flatMap(({ points }) => points.slice(-1).map(([at]) => at)), began + 1000);
      const to = soonest > 0 ? now + Math.min(soonest * 1.05, AHEAD * (now - began)) : last;
      return {
        xAxis: { type: "time", min: began, max: to, axisLine: { show: true, onZero: false, lineStyle: { color: colors.line } }, axisTick: { show: false }, splitLine: { show: false }, axisLabel: label },
        yAxis: { type: "value", min: 0, max: 100, interval: 20, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: colors.line } }, axisLabel: { ...label, formatter: "{value}\u202f%" } },
        dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, moveOnMouseWheel: false }],
        series: burns.flatMap((burn, index) => {
          const color = colors.series[index];
          const end = [burn.points[burn.points.length - 1]?.[0] ?? now, share(burn, burn.used)];
          const line = { type: "line", silent: true, showSymbol: false, itemStyle: { color } };
          return [
            {
              ...line,
              id: burn.id,
              lineStyle: { color, width: 2 },
              data: burn.points.map(([at, used]) => [at, share(burn, used)]),
              markLine: index === 0 ? { silent: true, symbol: "none", lineStyle: { color: colors.cut, type: "dashed", width: 1 }, label: { color: colors.cut, fontSize: 11, position: "insideStartTop", formatter: percent(NEAR) }, data: [{ yAxis: NEAR * 100 }] } : undefined,
            },
            { ...line, id: `${burn.id} ahead`, lineStyle: { color, width: 1.5, type: [4, 4] }, data: burn.soon > 0 ? [end, [now + burn.soon * 1000, 100]] : [] },
            { id: `${burn.id} now`, type: "scatter", silent: true, symbolSize: 7, itemStyle: { color }, data: [end] },
          ];
        }),
      };
    },
  });
  const rows = el("tbody");
  const note = el("p", { class: "quiet note" });
  const head = ["Budget", "Used", "", "Committed", "Left", "Of", ""];
  const table = el("table", { class: "plain", "aria-label": "Budgets" }, el("thead", {}, el("tr", {}, head.map((text, index) => el("th", { scope: "col", class: index > 0 && index < 6 ? "right" : null, text: text || (index === 2 ? "%" : "When") })))), rows);
  const others = el("tbody");
  const otherTable = el("table", { class: "plain", "aria-label": "Other ends" }, el("thead", {}, el("tr", {}, ["Also ends by", "Now", "At", "How it stands"].map((text, index) => el("th", { scope: "col", class: index === 1 || index === 2 ? "right" : null, text })))), others);
  const empty = el("p", { class: "table-empty", text: "This study has no budget: it goes on until somebody stops it. A budget can be given at any time, of trials, time, GPU hours or cost." });
  const body = el("div", { class: "stack" });
  const node = el("section", { class: "part" }, el("header", { class: "section" }, el("h2", { text: "Budget" })), body);
  let shape = "";
  return {
    node,
    draw() {
      const { burns, endings, note: text } = data();
      const now = [...burns.map(({ id, soon }) => `${id} ${soon > 0}`), ...endings.map(({ id }) => id)].join();
      if (now !== shape || !body.firstChild) {
        shape = now;
        fill(body, burns.length ? table : null, endings.length ? otherTable : null, burns.length ? [note, chart.node] : null, burns.length || endings.length ? null : empty);
        const ahead = burns.some(({ soon }) => soon > 0) ? [{ name: "at the present rate", kind: "usual" }] : [];
        chart.setLegend([...burns.map(({ name }, index) => ({ name, kind: `series-${index + 1}` })), ...ahead]);
        chart.setEmpty("");
      }
      fill(
        others,
        endings.map(({ name, now, end, words }) => el("tr", {}, el("th", { scope: "row", text: name }), el("td", { class: "right", text: now }), el("td", { class: "right", text: end }), el("td", { text: words }))),
      );
      if (!burns.length) return;
      fill(
        rows,
        burns.map((burn) => {
          const amount = (/** @type {number} */ value) => (Number.isNaN(value) ? "\u2013" : `${burn.show(value)}${burn.unit && burn.show(value) !== "\u2013" ? `\u202f${burn.unit}` : ""}`);
          const near = burn.used + (burn.committed || 0) >= NEAR * burn.limit;
          return el(
            "tr",
            {},
            el("th", { scope: "row", text: burn.name }),
            el("td", { class: "right", text: amount(burn.used) }),
            el("td", { class: near ? "right tone-cut" : "right", text: percent(burn.used / burn.limit) }),
            el("td", { class: "right", text: amount(burn.committed) }),
            el("td", { class: "right", text: amount(burn.left) }),
            el("td", { class: "right", text: amount(burn.limit) }),
            el("td", { text: burn.words }),
          );
        }),
      );
      note.textContent = text;
      note.hidden = !text;
      chart.draw();
    },
  };
}
