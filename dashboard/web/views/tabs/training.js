// The part of a study's page about how its trials are trained: which are stopped early, which go on from rung to rung, which take the place
// of others.

import { el, fill } from "../../dom.js";
import { gently } from "../../live.js";
import { POPULATION } from "./lineage.js";
import { population } from "./population.js";
import { rungs } from "./rungs.js";
import { stopping } from "./stopping.js";

/** Between two drawings, in milliseconds. */
const PAUSE = 500;

/** Strategies whose trials are compared at rungs, rest there and go on. */
const HALVING = /^(asha|hyperband|bohb)$/;

/** @param {import("../../../types/api.js").Study} study */
const strategyOf = ({ spec }) => spec.strategy?.name ?? "";

/** @type {import("../study.js").Tab} */
export const training = {
  id: "training",
  title: "Training",
  applies: (study) => Boolean(study.spec.earlyStopping?.length) || HALVING.test(strategyOf(study)) || POPULATION.test(strategyOf(study)),
  create(context) {
    const { model, signal } = context;
    const node = el("div", { class: "training" });
    const rules = stopping(context);
    /** What the strategy does with its trials comes first. @type {{node: HTMLElement, draw: () => void}[]} */
    let staged = [];
    const draw = gently(
      () => {
        const { study } = model;
        if (!study) return;
        if (!node.firstChild) {
          if (HALVING.test(strategyOf(study))) staged = [rungs(context)];
          if (POPULATION.test(strategyOf(study))) staged = [population(context)];
          fill(node, ...staged.map((part) => part.node), rules.node);
        }
        for (const part of staged) part.draw();
        rules.draw(draw);
      },
      PAUSE,
      signal,
    );
    return { node, draw };
  },
};
