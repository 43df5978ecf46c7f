// Which parameters matter, as the coordinator computes it: a bar for each, with how far the trees of its forest agree, and whether any of it is to be
// trusted.

import { api } from "../../api.js";
import { Chart } from "../../chart.js";
import { el, fill, setText } from "../../dom.js";
import { count, num, plural } from "../../format.js";
import { gently } from "../../live.js";
import { keep } from "../../router.js";
import { endedOf } from "../../states.js";

/** @typedef {import("../../../types/api.js").Importance} Answer */
/** @typedef {{name: string, share: number, deviation: number, active: number, together: boolean}} Row */

/** Between two questions while results come in, in milliseconds: each takes the coordinator up to a second. */
const PAUSE = 5_000;
/** Bars of parameters, and of pairs. */
const BARS = 12;
const PAIRS = 5;
/** Pairs with less are left out: there are many, and most do nothing. */
const LEAST = 0.01;
/** Below this share explained, bars are drawn faintly and said to be noise. */
const TRUSTED = 0.2;
/** Height of a bar with its space, and of axis and edges, in pixels. */
const ROW = 24;
const EDGES = 40;
/** Of a chart that has nothing to show: with fewer results the coordinator says nothing. */
const LOW = 2 * ROW;
const LEAST_RESULTS = 20;

/** The values of "Importance among" with the share of the results that the coordinator is asked about. */
const AMONG = /** @type {const} */ ({ "": undefined, half: 0.5, best: 0.25, tenth: 0.1 });

const percent = (/** @type {number} */ share) => `${share > 0 && share < 0.005 ? "<\u202f1" : Math.round(share * 100)}\u202f%`;

/**
 * @param {object} options
 * @param {{name: string, study: import("../../../types/api.js").Study | null, ended: number}} options.model
 * @param {URLSearchParams} options.query how the view's address was when it was opened
 * @param {AbortSignal} options.signal
 */
export function importance({ model, query, signal }) {
  /** @type {Answer | null} */
  let answer = null;
  let asked = "";

  const metrics = () => [model.study?.spec.objective, ...(model.study?.spec.moreObjectives ?? [])].map((objective) => objective?.metric ?? "");
  const among = el("select", { class: "tool", "aria-label": "Importance among" }, el("option", { value: "", text: "among all results" }), ["half", "quarter", "tenth"].map((part) => el("option", { value: part === "quarter" ? "best" : part, text: `among the best ${part}` })));
  const of = el("select", { class: "tool", "aria-label": "Importance for" }, metrics().map((metric, index) => el("option", { value: index === 0 ? "" : metric, text: `for ${metric}` })));
  const wanted = query.get("among") ?? "";
  among.value = Object.hasOwn(AMONG, wanted) ? wanted : "";
  of.value = metrics().includes(query.get("matters") ?? "") ? (query.get("matters") ?? "") : "";
  of.hidden = metrics().length < 2;
  const said = el("p", { class: "note", "aria-live": "polite" });
  const metric = () => answer?.metric || of.value || metrics()[0];
  const varied = (model.study?.spec.space ?? []).filter(({ type }) => type !== "constant").length;
  const places = Math.min(BARS, varied) + Math.min(PAIRS, (varied * (varied - 1)) / 2);
  // As high as it may become: what is below is not to move under somebody's pointer.
  const height = (places + 1) * ROW + EDGES;
  const trusted = () => num(answer?.explained ?? 0) >= TRUSTED;

  /** @returns {Row[]} */
  const rows = () => {
    const single = (answer?.parameters ?? []).slice(0, BARS).map(({ parameter, share, deviation, active }) => ({ name: parameter, share: num(share ?? 0), deviation: num(deviation ?? 0), active: num(active ?? 0), together: false }));
    const pairs = (answer?.pairs ?? [])
      .map(({ first, second, share, deviation }) => ({ name: `${first} \u00d7 ${second}`, share: num(share ?? 0), deviation: num(deviation ?? 0), active: 0, together: true }))
      .filter(({ share }) => share >= LEAST)
      .slice(0, PAIRS);
    return [...single, ...pairs];
  };

  const chart = new Chart({
    title: "What matters",
    height: endedOf(model.study?.counts) < LEAST_RESULTS ? LOW : height,
    signal,
    controls: [among, of],
    describe: () => (answer ? rows().map(({ name, share, deviation }) => `${name} ${percent(share)} \u00b1 ${percent(deviation)}`).join(", ") : "not known yet"),
    csv: () => ({
      name: `importance-${metric()}${among.value ? `-${among.value}` : ""}`,
      header: ["parameter", "with", "share", "deviation", "active"],
      rows: [
        ...(answer?.parameters ?? []).map(({ parameter, share, deviation, active }) => [parameter, "", num(share ?? 0), num(deviation ?? 0), num(active ?? 0)]),
        ...(answer?.pairs ?? []).map(({ first, second, share, deviation }) => [first, second, num(share ?? 0), num(deviation ?? 0), ""]),
      ],
    }),
    find: ({ x, y }, scale) => {
      const all = rows();
      const place = all.findIndex((_, index) => Math.abs(scale.y(index) - y) <= ROW / 2);
      if (place < 0 || x < scale.x(0)) return null;
      const { name, share, deviation, active, together } = all[place];
      const row = (/** @type {string} */ what, /** @type {string} */ is) => el("p", { class: "tip-row" }, el("span", { text: what }), el("b", { text: is }));
      const partly = !together && active < num(answer?.results ?? 0);
      return {
        content: [
          el("p", { class: "tip-title", text: name }),
          row(together ? "together, beyond each alone" : "alone", `${percent(share)} \u00b1 ${percent(deviation)}`),
          ...(partly ? [row("active in", plural(active, "result")), el("p", { class: "tip-why", text: "Its share is of the differences where it is active." })] : []),
        ],
        at: [scale.x(share), scale.y(place)],
      };
    },
    build: (colors) => bars(colors, rows(), places, trusted()),
  });
  chart.setLegend([
    { name: "alone", kind: "alone" },
    { name: "two together, beyond each alone", kind: "together" },
    { name: "standard deviation over trees", kind: "whisker" },
  ]);

  const tell = () => {
    if (!answer) return;
    const { explained = 0, results = 0, best = 0, ended = 0 } = answer;
    const some = num(best) < num(results);
    const differences = some ? `the differences among the best ${count(best)} of ${plural(num(results), "result")}` : `the differences among ${plural(num(results), "result")}`;
    const sample = num(results) < num(ended) * 0.5 && num(ended) > 5_000 ? ` A sample of ${plural(num(ended), "ended trial")}.` : "";
    const words = trusted() ? `A forest of trees explains ${percent(num(explained))} of ${differences} that it has not seen.` : `A forest of trees explains only ${percent(num(explained))} of ${differences}: take the bars for noise.`;
    setText(said, words + sample);
    said.classList.toggle("tone-cut", !trusted());
  };

  const show = () => {
    chart.setEmpty("");
    chart.setHeight(height);
    tell();
    chart.draw();
  };
  const ask = async () => {
    const question = `${among.value} ${of.value} ${model.ended}`;
    if (question === asked) return;
    asked = question;
    try {
      const found = await api.importance(model.name, { metric: of.value, quantile: AMONG[/** @type {keyof typeof AMONG} */ (among.value)] }, { signal });
      // Somebody has asked for something else meanwhile.
      if (asked !== question) return;
      answer = found;
      show();
    } catch (error) {
      if (signal.aborted || asked !== question) return;
      const away = /** @type {any} */ (error).away === true;
      // Asked again with the next result, or when the coordinator is back.
      if (away) asked = "";
      if (away && answer) return;
      answer = null;
      fill(said);
      chart.setHeight(LOW);
      chart.setEmpty(error instanceof Error ? error.message : String(error));
    }
  };
  const askSoon = gently(() => void ask(), PAUSE, signal);
  const chosen = () => {
    keep({ among: among.value, matters: of.value });
    void ask();
  };
  among.addEventListener("change", chosen);
  of.addEventListener("change", chosen);
  return { node: el("div", { class: "importance" }, chart.node, said), draw: askSoon };
}

/**
 * @param {import("../../chart.js").Colors} colors
 * @param {Row[]} rows
 * @param {number} places for rows
 * @param {boolean} trusted
 */
function bars(colors, rows, places, trusted) {
  const most = Math.max(0.1, ...rows.map(({ share, deviation }) => share + deviation));
  const label = { color: colors.muted, fontSize: 11 };
  return {
    grid: { left: 8, right: 56, top: 4, bottom: 8, outerBoundsMode: "same" },
    xAxis: { type: "value", min: 0, max: Math.min(1, Math.ceil(most * 10) / 10), axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: colors.line } }, axisLabel: { ...label, formatter: percent } },
    yAxis: {
      type: "value",
      inverse: true,
      // From whole number to whole number, so that there is a label for each bar.
      min: -1,
      max: places,
      interval: 1,
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: {
        color: colors.text,
        fontSize: 12,
        width: 180,
        overflow: "truncate",
        formatter: (/** @type {number} */ value) => rows[value]?.name ?? "",
      },
    },
    series: [
      {
        id: "bars",
        type: "custom",
        silent: true,
        data: rows.map(({ share }, index) => [share, index]),
        renderItem: (/** @type {{dataIndex: number}} */ { dataIndex }, /** @type {{coord: (value: number[]) => number[]}} */ api) => {
          const { share, deviation, together } = rows[dataIndex];
          const [left, middle] = api.coord([0, dataIndex]);
          const x = (/** @type {number} */ value) => api.coord([Math.min(1, Math.max(0, value)), dataIndex])[0];
          const [low, high] = [x(share - deviation), x(share + deviation)];
          const whisker = (/** @type {number[]} */ [x1, y1, x2, y2]) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colors.text, lineWidth: 1 } });
          return {
            type: "group",
            children: [
              { type: "rect", shape: { x: left, y: middle - 6, width: Math.max(1, x(share) - left), height: 12, r: 2 }, style: { fill: together ? colors.series[1] : colors.accent, opacity: trusted ? 0.85 : 0.3 } },
              whisker([low, middle, high, middle]),
              whisker([low, middle - 4, low, middle + 4]),
              whisker([high, middle - 4, high, middle + 4]),
              { type: "text", style: { x: Math.max(high, x(share)) + 8, y: middle, text: percent(share), fill: colors.text, fontSize: 12, verticalAlign: "middle" } },
            ],
          };
        },
      },
    ],
  };
}
