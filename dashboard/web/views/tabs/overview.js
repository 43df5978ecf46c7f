// The first part of a study's page: how its best value came about, learning curves, and all trials.

import { el } from "../../dom.js";
import { count } from "../../format.js";
import { showLater } from "../../later.js";
import { gently } from "../../live.js";
import { keep, onKey } from "../../router.js";
import { Details } from "../details.js";
import { bestSoFar } from "../overview/best.js";
import { learningCurves } from "../overview/curves.js";
import { trialTable } from "../trials.js";
import { amountAt, usage } from "./budget.js";

/** Between two drawings of charts, which take longer than texts. */
const PAUSE = 500;

/** @type {import("../study.js").Create} */
export function create({ model, query, href, open, signal }) {
  const isLookedAt = (/** @type {{trial: number}} */ { trial }) => model.isLookedAt(trial);
  /** @type {{node: HTMLElement, draw: () => void} | null} */
  let front = null;
  const details = Details.of(model);
  let against = /** @type {import("../overview/best.js").Against} */ (["time", "gpu"].find((one) => one === query.get("best")) ?? "");
  /** GPU hours by time; only known once the attempts of all trials are. @type {[number, number][]} */
  let used = [];
  const began = () => Date.parse(model.study?.createdAt ?? "");
  const best = bestSoFar({
    data: () => ({
      metric: model.metric,
      goal: model.goal,
      best: model.best,
      others: model.others.filter(isLookedAt),
      ended: Math.max(model.ended, model.best[model.best.length - 1]?.ended ?? 0),
      began: began(),
      gpuHours: (at) => amountAt(used, at),
    }),
    against,
    choose: (chosen) => {
      against = chosen;
      keep({ best: chosen });
      drawCharts();
    },
    open,
    signal,
  });
  /** What there is to be said while GPU hours are not known. */
  const readUsage = () => {
    const trials = [...model.trials.keys()];
    details.ask(trials, drawCharts);
    used = usage(trials.flatMap((number) => details.get(number)?.attempts ?? []), ({ gpus }) => gpus?.length ?? 0, began(), Date.now());
    return details.settled ? "" : `Reading attempts: ${count(details.known.size)} of ${count(trials.length)} trials.`;
  };
  const curves = learningCurves({ data: () => ({ metric: model.metric, goal: model.goal, step: model.step, lines: [...model.lines.values()].filter(isLookedAt), best: model.bestTrial() }), open, signal });
  const table = trialTable({ model, query, open: ({ number }) => open(String(number)), href: ({ number }) => href(String(number)) });
  const drawCharts = gently(
    () => {
      front?.draw();
      best.offerGpus(usesGpus(model));
      const none = model.best.length ? "" : "No trial has ended with a result yet.";
      best.setEmpty(none || (against === "gpu" ? readUsage() : ""));
      best.draw();
      curves.draw();
    },
    PAUSE,
    signal,
  );
  const charts = el("div", { class: "charts" }, best.node, curves.node);
  if (model.study?.spec.moreObjectives?.length) {
    // Its front may be anywhere in a large study.
    void model.readSample();
    const place = el("figure", { class: "chart" });
    charts.prepend(place);
    charts.classList.add("led");
    showLater(place, "views/pareto.js", signal, ({ paretoFront }) => {
      const chart = paretoFront({ model, query, open, signal });
      place.replaceWith(chart.node);
      front = chart;
      if (model.ready) drawCharts();
    });
  }
  onKey("/", () => table.search.focus(), signal);
  onKey("t", () => table.focus(), signal);
  return {
    node: el("div", {}, charts, table.node),
    draw() {
      if (model.ready) {
        curves.setEmpty(!model.lines.size ? "No trial has reported a value yet." : ![...model.lines.values()].some(isLookedAt) ? "The filter leaves none of the curves." : "");
        drawCharts();
      }
      table.draw();
    },
    tick: table.tick,
  };
}

/**
 * Whether the GPU hours of all results can be told.
 * @param {import("../model.js").StudyModel} model
 */
function usesGpus({ study, complete }) {
  return complete && (Boolean(study?.spec.trial?.resources?.gpus) || Boolean(study?.spending?.gpuHours));
}
