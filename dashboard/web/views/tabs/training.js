// The part of a study's page about how its trials are trained: which are stopped early, which go on from rung to rung, which take the place
// of others.

import { el, fill } from "../../dom.js";
import { showLater } from "../../later.js";
import { gently } from "../../live.js";
import { isHalving, isOfPopulation } from "../strategies.js";
import { stopping } from "./stopping.js";

/** Between two drawings, in milliseconds. */
const PAUSE = 500;

/** @type {import("../study.js").Create} */
export function create(context) {
  const { model, signal } = context;
  const rules = stopping(context);
  /** What the strategy does with its trials comes first. @type {{node: HTMLElement, draw: () => void} | null} */
  let staged = null;
  const ofStrategy = el("div");
  const stage = (/** @type {{node: HTMLElement, draw: () => void}} */ part) => {
    staged = part;
    fill(ofStrategy, part.node);
    draw();
  };
  const draw = gently(
    () => {
      const { study } = model;
      if (!study) return;
      staged?.draw();
      rules.draw(draw);
    },
    PAUSE,
    signal,
  );
  const node = el("div", { class: "training" }, ofStrategy, rules.node);
  if (isHalving(model.study)) showLater(ofStrategy, "views/tabs/rungs.js", signal, ({ rungs }) => stage(rungs(context)));
  if (isOfPopulation(model.study)) showLater(ofStrategy, "views/tabs/population.js", signal, ({ population }) => stage(population(context)));
  return { node, draw };
}
