// What several charts have: their axes, a switch to a logarithmic scale, and what they say of a trial.

import { el } from "./dom.js";
import { measure } from "./format.js";
import { badge, trialLook } from "./states.js";

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
