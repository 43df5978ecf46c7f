// The attempts of a study over time, as bars on the slots and GPUs on which they ran.

import { Chart } from "../../chart.js";
import { el } from "../../dom.js";
import { day, duration, percent, plural } from "../../format.js";
import { badge } from "../../states.js";
import { busy } from "./lanes.js";

/** @typedef {import("./lanes.js").Span} Span */
/** @typedef {{lanes: import("./lanes.js").Lane[], bars: import("./lanes.js").Bar[], from: number, to: number, now: number}} Arranged */

/** Heights of lanes in pixels; with many lanes they are as small as they have to be. */
const LANE = 22;
const LEAST_LANE = 4;
const MOST_HEIGHT = 560;
/** What colours mean, in the order of the legend. */
const TONES = { good: "completed", run: "running", cut: "stopped early or timed out", bad: "failed", rest: "resting or interrupted", off: "cancelled" };
/** In milliseconds. */
const HOUR = 3_600_000;
/** What is beside the lanes: the time axis. */
const AXIS = 48;
/** Lanes that are lower have no names, but for the first of each worker. */
const NAMED = 13;

/**
 * @param {object} options
 * @param {() => Arranged} options.data
 * @param {(trial: number) => void} options.open
 * @param {AbortSignal} options.signal
 */
export function timeline({ data, open, signal }) {
  let height = LANE;
  const chart = new Chart({
    title: "Timeline",
    zoom: "x",
    signal,
    describe: () => {
      const { lanes, bars, from, to } = data();
      const attempts = new Set(bars.map(({ span }) => span.id)).size;
      return attempts ? `${plural(attempts, "attempt")} on ${plural(lanes.length, "slot")}, which were busy ${percent(busy({ lanes, bars }, from, to))} of the time` : "nothing has run yet";
    },
    csv: () => {
      const { lanes, bars } = data();
      const time = (/** @type {number} */ at) => (Number.isNaN(at) ? "" : new Date(at).toISOString());
      return {
        name: "timeline",
        header: ["trial", "attempt", "worker", "slot", "handed_out", "started", "ended", "state", "outcome"],
        rows: bars.map(({ span, lane }) => [span.trial, span.attempt, span.holder, lanes[lane].name, time(span.from), time(span.started), time(span.to), span.look.word, span.outcome]),
      };
    },
    find: ({ x, y }, scale) => {
      const { lanes, bars, now } = data();
      const lane = lanes.findIndex((_, index) => Math.abs(scale.y(index) - y) <= height / 2);
      // Of a bar that is thinner than a line the nearest counts.
      let [found, distance] = [/** @type {Span | null} */ (null), 4];
      for (const { span, lane: its } of bars) {
        if (its !== lane) continue;
        const away = Math.max(scale.x(span.from) - x, x - scale.x(end(span, now)), 0);
        if (away < distance) [found, distance] = [span, away];
      }
      if (!found) return null;
      const [from, to] = [scale.x(found.from), scale.x(end(found, now))];
      const { trial } = found;
      return {
        content: about(found, lanes[lane].name, now),
        at: [Math.max(from, Math.min(x, to)), scale.y(lane)],
        highlight: { kind: "bar", width: Math.max(2, height - 4), runs: [[[from, scale.y(lane)], [to, scale.y(lane)]]] },
        open: () => open(trial),
      };
    },
    build: (colors) => {
      const { lanes, bars, from, to, now } = data();
      const rows = Math.max(1, lanes.length);
      height = Math.max(LEAST_LANE, Math.min(LANE, Math.floor(MOST_HEIGHT / rows)));
      chart.setHeight(rows * height + AXIS);
      const label = { color: colors.muted, fontSize: 11 };
      return {
        xAxis: {
          type: "time",
          min: from,
          max: to,
          axisLine: { show: true, onZero: false, lineStyle: { color: colors.line } },
          axisTick: { show: false },
          splitLine: { show: true, lineStyle: { color: colors.line } },
          axisLabel: { ...label, hideOverlap: true },
        },
        yAxis: {
          type: "value",
          inverse: true,
          min: -0.5,
          max: rows - 0.5,
          interval: 0.5,
          axisLine: { show: false },
          axisTick: { show: false },
          splitLine: { show: false },
          axisLabel: { ...label, showMinLabel: false, showMaxLabel: false, hideOverlap: false, rich: { holder: { color: colors.text, fontSize: 11 } }, formatter: (/** @type {number} */ at) => nameOf(lanes[at], height) },
        },
        dataZoom: [{ type: "inside", xAxisIndex: 0, filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false, moveOnMouseWheel: false }],
        series: [painted(bars, lanes, height, now, colors)],
      };
    },
  });
  return chart;
}

/**
 * What the colours of these bars mean.
 * @param {import("./lanes.js").Bar[]} bars
 */
export function legend(bars) {
  const tones = new Set(bars.map(({ span }) => span.look.tone));
  return Object.entries(TONES).filter(([tone]) => tones.has(/** @type {any} */ (tone))).map(([tone, name]) => ({ name, kind: `bar-${tone}` }));
}

/** @param {Span} span @param {number} now */
function end({ to }, now) {
  return Number.isNaN(to) ? now : to;
}

/**
 * @param {import("./lanes.js").Lane | undefined} lane
 * @param {number} height
 */
function nameOf(lane, height) {
  if (!lane) return "";
  // Curly brackets and bars would be taken for styles.
  const plain = (/** @type {string} */ text) => (text.length > 24 ? `${text.slice(0, 23)}\u2026` : text).replace(/[{}|\n]/g, " ");
  const name = height >= NAMED ? plain(lane.name) : "";
  return lane.first ? `{holder|${plain(lane.holder)}}  ${name}` : name;
}

/**
 * What is shown of an attempt under the pointer.
 * @param {Span} span
 * @param {string} lane
 * @param {number} now
 */
function about({ trial, attempt, holder, from, started, to, look, outcome }, lane, now) {
  const row = (/** @type {string} */ name, /** @type {string} */ value) => el("p", { class: "tip-row" }, el("span", { text: name }), el("b", { text: value }));
  return [
    el("p", { class: "tip-title" }, `Trial ${trial}`, badge(look)),
    row("attempt", String(attempt)),
    row("on", `${holder} \u00b7 ${lane}`),
    row("from", day(new Date(from).toISOString())),
    row("for", duration(((Number.isNaN(to) ? now : to) - from) / 1000)),
    ...(started - from > 1000 ? [row("began after", duration((started - from) / 1000))] : []),
    ...(outcome ? [el("p", { class: "tip-why", text: outcome })] : []),
  ];
}

/**
 * All bars as one item: a path for each colour. One element for each of thousands of bars would be slow to zoom.
 * @param {import("./lanes.js").Bar[]} bars
 * @param {import("./lanes.js").Lane[]} lanes
 * @param {number} height of a lane
 * @param {number} now
 * @param {import("../../chart.js").Colors} colors
 */
function painted(bars, lanes, height, now, colors) {
  const tall = height > 8 ? height - 4 : height - 1;
  const tones = { run: colors.run, good: colors.good, cut: colors.cut, bad: colors.bad, rest: colors.rest, wait: colors.muted, off: colors.muted };
  return {
    id: "attempts",
    type: "custom",
    silent: true,
    clip: true,
    data: [[0, 0]],
    renderItem: (/** @type {{coordSys: {x: number, width: number}}} */ { coordSys }, /** @type {{coord: (value: number[]) => number[]}} */ api) => {
      const [left, right] = [coordSys.x, coordSys.x + coordSys.width];
      // Both axes are linear: asking for each bar would take long.
      const [first, second] = [api.coord([now - HOUR, 0]), api.coord([now, 1])];
      const across = (/** @type {number} */ at) => second[0] + ((at - now) * (second[0] - first[0])) / HOUR;
      const down = (/** @type {number} */ lane) => first[1] + lane * (second[1] - first[1]);
      /** @type {Map<string, string[]>} */
      const paths = new Map();
      /** Where the last bar of a lane ends, by lane and colour: of several on one pixel one is enough. @type {Map<string, number>} */
      const drawn = new Map();
      for (const { span, lane } of bars) {
        const [x, y, to] = [across(span.from), down(lane), across(end(span, now))];
        if (to < left || x > right) continue;
        const key = `${lane} ${span.look.tone}`;
        if (to - x < 1 && Math.floor(x) === drawn.get(key)) continue;
        drawn.set(key, Math.floor(x));
        const [a, b] = [Math.max(x, left - 2), Math.min(to, right + 2)];
        // A line between two that follow at once.
        const wide = Math.max(1, b - a - (b - a > 3 ? 1 : 0));
        const list = paths.get(span.look.tone) ?? [];
        paths.set(span.look.tone, list);
        list.push(`M${a.toFixed(1)} ${(y - tall / 2).toFixed(1)}h${wide.toFixed(1)}v${tall}h${(-wide).toFixed(1)}z`);
      }
      const ground = lanes.map((_, lane) => `M${left} ${(down(lane) - tall / 2).toFixed(1)}h${coordSys.width}v${tall}h${-coordSys.width}z`).join("");
      return {
        type: "group",
        children: [
          { type: "path", shape: { pathData: ground }, style: { fill: colors.line, opacity: 0.5 } },
          ...[...paths].map(([tone, list]) => ({ type: "path", shape: { pathData: list.join("") }, style: { fill: tones[/** @type {keyof typeof tones} */ (tone)] } })),
        ],
      };
    },
  };
}
