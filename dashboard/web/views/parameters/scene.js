// What all charts of parameters look at: the trials, which of them the filter leaves, and the objective. Computed once for each drawing.

import { Axis, dimensionsOf, objectivesOf } from "../dimensions.js";
import { paintByRank } from "./marks.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../dimensions.js").Dimension} Dimension */

export class Scene {
  /**
   * @param {import("../model.js").StudyModel} model
   * @param {string} metric of the objective; the first one's if there is no such
   * @param {boolean} log whether objectives lie on a logarithmic scale
   */
  constructor(model, metric, log) {
    if (!model.study) throw new Error("the study is not read yet");
    this.study = model.study;
    this.log = log;
    this.trials = model.known();
    this.dimensions = dimensionsOf(this.study, this.trials);
    const objectives = objectivesOf(this.study);
    this.objective = objectives.find(({ name }) => name === metric) ?? objectives[0];
    this.filter = model.filter;
    /** @type {Map<string, Axis>} */
    this.axes = new Map();
    this.paint = paintByRank(this.objective, this.trials);
    /** Those that the filter leaves; null if all. @type {Set<Trial> | null} */
    this.left = null;
    this.refilter();
  }

  /** Looks anew at what the filter leaves. */
  refilter() {
    const { filter, trials } = this;
    this.left = filter.rules.size ? new Set(trials.filter((trial) => filter.matches(trial))) : null;
  }

  get filtered() {
    return this.left !== null;
  }

  get count() {
    return this.left?.size ?? this.trials.length;
  }

  /** Whether the filter leaves a trial. */
  get inside() {
    const { left } = this;
    return (/** @type {Trial} */ trial) => left === null || left.has(trial);
  }

  /** @param {Dimension} dimension */
  axis(dimension) {
    let axis = this.axes.get(dimension.id);
    if (!axis) {
      axis = new Axis(dimension, this.trials, { log: this.log && dimension.kind === "objective" });
      this.axes.set(dimension.id, axis);
    }
    return axis;
  }
}
