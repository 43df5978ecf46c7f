// The part of a study's page about its parameters: which values lead to good results, alone, in pairs and all together.

import { fillLegend } from "../../chart.js";
import { el } from "../../dom.js";
import { count } from "../../format.js";
import { gently } from "../../live.js";
import { notice } from "../../parts.js";
import { keep } from "../../router.js";
import { allOf } from "../../states.js";
import { NUMBER, objectivesOf, parametersOf } from "../dimensions.js";
import { axesMenu } from "../parameters/axesmenu.js";
import { dotChart } from "../parameters/dotchart.js";
import { expected } from "../parameters/expected.js";
import { heatMap } from "../parameters/heat.js";
import { importance } from "../parameters/importance.js";
import { isLost, PAINT_BY_STATE, paintByPlace } from "../parameters/marks.js";
import { parallel } from "../parameters/parallel.js";
import { Scene } from "../parameters/scene.js";
import { choice, labelled, whenSeen } from "../parameters/shown.js";

/** @typedef {import("../../../types/api.js").Trial} Trial */
/** @typedef {import("../dimensions.js").Dimension} Dimension */

/** Between two drawings while much happens, in milliseconds. */
const PAUSE = 500;
/** Axes of parallel coordinates that are shown from the start. */
const AXES = 12;

/** @type {import("../study.js").Create} */
export function create({ model, query, href, open, signal }) {
  const { study } = model;
  if (!study) throw new Error("a part is made after its study was read");
  const varied = parametersOf(study);
  const objectives = objectivesOf(study);
  const openTrial = (/** @type {Trial} */ { number }) => open(String(number));
  let metric = query.get("objective") ?? "";
  let log = query.get("log") === "1";
  /** @type {Scene | null} */
  let drawn = null;
  const scene = () => (drawn ??= new Scene(model, metric, log));
  const all = () => scene().dimensions;
  const named = (/** @type {string} */ id) => all().find((one) => one.id === id);

  const objective = choice({ label: "Objective", id: "objective", query, options: () => objectives.map(({ name }) => ({ id: name, name })), usual: () => objectives[0].name, changed: (id) => ((metric = id), (drawn = null), redraw()) });
  objective.node.hidden = objectives.length < 2;
  const logButton = el("button", { type: "button", class: "tool", "aria-pressed": String(log), "aria-label": "Log scale of the objective", text: "Log" });
  logButton.addEventListener("click", () => {
    log = !log;
    drawn = null;
    logButton.setAttribute("aria-pressed", String(log));
    keep({ log: log ? "1" : "" });
    redraw();
  });

  const matters = importance({ model, query, signal });

  // All together.
  const menu = axesMenu({ all, usual: () => [...varied.slice(0, AXES), ...objectives], query, changed: () => redraw() });
  const together = parallel({
    scene,
    shown: menu.shown,
    rule: (dimension) => model.filter.of(dimension),
    preview: (dimension, rule) => model.filter.set(dimension, rule),
    choose: (dimension, rule) => model.choose(dimension, rule),
    open: openTrial,
    controls: [menu.node],
    signal,
  });

  // Each alone.
  const colour = choice({
    label: "Colour of slices",
    id: "colour",
    query,
    options: () => [
      { id: "order", name: "coloured by order" },
      { id: "state", name: "coloured by state" },
    ],
    usual: () => "order",
    changed: () => redraw(),
  });
  const paintOfSlices = () => (colour.value === "state" ? PAINT_BY_STATE : paintByPlace(scene().axis(NUMBER)));
  const legend = el("ul", { class: "legend" });
  const slices = varied.map((dimension) =>
    dotChart({
      title: dimension.name,
      file: `slice-${dimension.name}`,
      height: 210,
      model,
      scene,
      shown: () => ({ x: dimension, y: scene().objective, paint: paintOfSlices(), colour: NUMBER }),
      lost: true,
      open: openTrial,
      signal,
    }),
  );

  // In pairs.
  const options = () => all().map(({ id, name, kind }) => ({ id, name: kind === "number" ? "trial number" : name }));
  const pick = (/** @type {string} */ label, /** @type {string} */ id, /** @type {() => string} */ usual) => choice({ label, id, query, options, usual, changed: () => redraw() });
  const [across, up, third] = [pick("Scatter: x axis", "x", () => varied[0]?.id ?? NUMBER.id), pick("Scatter: y axis", "y", () => varied[1]?.id ?? "value"), pick("Scatter: colour", "z", () => "value")];
  const scatter = dotChart({
    title: "Scatter",
    file: "scatter",
    height: 320,
    model,
    scene,
    shown: () => {
      const colour = named(third.value) ?? scene().objective;
      const paint = colour.id === scene().objective.id ? scene().paint : paintByPlace(scene().axis(colour));
      return { x: named(across.value) ?? NUMBER, y: named(up.value) ?? scene().objective, paint, colour };
    },
    legend: true,
    named: true,
    open: openTrial,
    controls: [labelled("x", across.node), labelled("y", up.node), labelled("colour", third.node)],
    signal,
  });
  const map = varied.length > 1 ? heatMap({ model, query, scene, varied, changed: () => redraw(), open: openTrial, signal }) : null;

  const ofModel = expected({ model, query, log: () => log, href, signal });
  const how = "Drag along an axis to choose trials, with Shift to add a range; a double click on it clears. Drag in the charts below to zoom in. A click opens the trial.";
  const note = el("p", { class: "quiet hint", text: how });
  const node = varied.length
    ? el(
        "div",
        {},
        el("header", { class: "section" }, note, el("div", { class: "filters" }, objective.node, logButton)),
        el("div", { class: "charts" }, matters.node),
        el("div", { class: "charts" }, together.node),
        el("section", { "aria-label": "Slices" }, el("header", { class: "section" }, el("h2", { text: "Each parameter alone" }), legend, el("div", { class: "filters" }, colour.node)), el("div", { class: "slices" }, slices.map(({ chart }) => chart.node))),
        el("section", { "aria-label": "Pairs" }, el("header", { class: "section" }, el("h2", { text: "Two at a time" })), el("div", { class: "charts" }, scatter.chart.node, map?.chart.node)),
        ofModel.node,
      )
    : notice("empty", "No parameter of this study varies");
  const seen = [
    whenSeen(matters.node, matters.draw, signal),
    whenSeen(
      together.node,
      () => {
        together.setLegend(scene().paint.legend);
        together.setEmpty(scene().trials.length ? "" : "No trials yet.");
        together.draw();
      },
      signal,
    ),
    ...[...slices, scatter, ...(map ? [map] : [])].map((one) => whenSeen(one.chart.node, one.draw, signal)),
    ofModel.sought ? () => ofModel.applies() && ofModel.draw() : whenSeen(ofModel.node, ofModel.draw, signal),
  ];
  const redraw = gently(
    () => {
      drawn = null;
      for (const pick of [objective, across, up, third]) pick.draw();
      menu.draw();
      ofModel.node.hidden = !ofModel.applies();
      fillLegend(legend, [...paintOfSlices().legend, ...(scene().trials.some(isLost) ? [{ name: "failed", kind: "bad" }] : [])]);
      for (const draw of seen) draw();
    },
    PAUSE,
    signal,
  );
  if (!model.complete) void model.readSample();
  return {
    node,
    draw() {
      if (!model.ready || !varied.length) return;
      const known = model.known().length;
      if (!model.complete) note.textContent = `The charts show ${count(known)} of ${count(allOf(model.study?.counts))} trials: the best, and the first. ${how}`;
      redraw();
    },
  };
}
