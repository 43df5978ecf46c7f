// The first part of a study's page: how its best value came about, learning curves, and all trials.

import { el } from "../../dom.js";
import { gently } from "../../live.js";
import { bestSoFar, learningCurves } from "../../plots.js";
import { onKey } from "../../router.js";
import { paretoFront } from "../pareto.js";
import { trialTable } from "../trials.js";

/** Between two drawings of charts, which take longer than texts. */
const PAUSE = 500;

/** @type {import("../study.js").Tab} */
export const overview = {
  id: "",
  title: "Overview",
  filtered: true,
  create({ model, query, href, open, signal }) {
    const isLookedAt = (/** @type {{trial: number}} */ { trial }) => model.isLookedAt(trial);
    const best = bestSoFar({
      data: () => ({ metric: model.metric, goal: model.goal, best: model.best, others: model.others.filter(isLookedAt), ended: Math.max(model.ended, model.best[model.best.length - 1]?.ended ?? 0), began: Date.parse(model.study?.createdAt ?? "") }),
      open,
      signal,
    });
    const curves = learningCurves({ data: () => ({ metric: model.metric, goal: model.goal, step: model.step, lines: [...model.lines.values()].filter(isLookedAt), best: model.bestTrial() }), open, signal });
    const front = model.study?.spec.moreObjectives?.length ? paretoFront({ model, query, open, signal }) : null;
    // Its front may be anywhere in a large study.
    if (front) void model.readSample();
    const table = trialTable({ model, query, open: ({ number }) => open(String(number)), href: ({ number }) => href(String(number)) });
    const drawCharts = gently(
      () => {
        front?.draw();
        best.draw();
        curves.draw();
      },
      PAUSE,
      signal,
    );
    onKey("/", () => table.search.focus(), signal);
    onKey("t", () => table.focus(), signal);
    return {
      node: el("div", {}, el("div", { class: "charts" }, front?.node, best.node, curves.node), table.node),
      draw() {
        if (model.ready) {
          best.setEmpty(model.best.length ? "" : "No trial has ended with a result yet.");
          curves.setEmpty(!model.lines.size ? "No trial has reported a value yet." : ![...model.lines.values()].some(isLookedAt) ? "The filter leaves none of the curves." : "");
          drawCharts();
        }
        table.draw();
      },
      tick: table.tick,
    };
  },
};
