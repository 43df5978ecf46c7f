// The filter of a study's trials as it is seen: a menu with everything that trials can be chosen by, and what is chosen as chips.

import { el, fill } from "../dom.js";
import { count, measure } from "../format.js";
import { use } from "../later.js";
import { button } from "../parts.js";
import { allOf } from "../states.js";
import { dimensionsOf } from "./dimensions.js";
import { inWords } from "./filter.js";

/** @typedef {import("./model.js").StudyModel} StudyModel */
/** @typedef {import("./dimensions.js").Dimension} Dimension */

/** @param {StudyModel} model */
export function filterBar(model) {
  const form = el("div", { class: "menu filter-menu" });
  const menu = el("details", { class: "columns" }, el("summary", { class: "button", text: "Filter" }), form);
  const chips = el("div", { class: "filter-chips", role: "group", "aria-label": "Filter", hidden: true });
  let menuShape = "";
  let chipsShape = "";
  let wanted = true;

  /** @param {Dimension} dimension @param {import("./filter.js").Rule | null} rule */
  const change = (dimension, rule) => model.choose(dimension, rule);

  /** @param {Dimension} dimension */
  const fields = (dimension) => {
    const { name, choices, low, high } = dimension;
    const rule = model.filter.of(dimension);
    const some = (/** @type {import("./filter.js").Rule} */ next) => (next.ranges?.length || next.choices?.length || next.inactive ? next : null);
    const box = (/** @type {string} */ text, /** @type {boolean} */ checked, /** @type {(on: boolean) => void} */ tick) => {
      const input = el("input", { type: "checkbox", checked });
      input.addEventListener("change", () => tick(input.checked));
      return el("label", { class: "check" }, input, text);
    };
    /** @type {HTMLElement[]} */
    let inputs;
    if (choices) {
      inputs = choices.map(String).map((choice) =>
        box(choice, rule?.choices?.includes(choice) ?? false, (on) => {
          const { choices: before = [], inactive } = model.filter.of(dimension) ?? {};
          change(dimension, some({ choices: on ? [...before, choice] : before.filter((one) => one !== choice), inactive }));
        }),
      );
    } else {
      const ends = /** @type {const} */ (["from", "to"]).map((word, side) => {
        const bound = rule?.ranges?.length ? (side ? Math.max : Math.min)(...rule.ranges.map((range) => range[side])) : NaN;
        const least = side ? high : low;
        return el("input", { type: "text", inputmode: "decimal", class: "short", "aria-label": `${name} ${word}`, placeholder: Number.isFinite(least) ? measure(least) : word, value: Number.isFinite(bound) ? String(bound) : null });
      });
      const take = () => {
        const [from, to] = ends.map(({ value }) => (value.trim() === "" ? NaN : Number(value)));
        ends.forEach((input) => input.setAttribute("aria-invalid", String(input.value.trim() !== "" && !Number.isFinite(Number(input.value)))));
        if (ends.some((input) => input.getAttribute("aria-invalid") === "true")) return;
        const { inactive } = model.filter.of(dimension) ?? {};
        const given = !Number.isNaN(from) || !Number.isNaN(to);
        change(dimension, some({ ranges: given ? [[Number.isNaN(from) ? -Infinity : from, Number.isNaN(to) ? Infinity : to]] : [], inactive }));
      };
      for (const input of ends) input.addEventListener("change", take);
      inputs = [el("span", { class: "range" }, ends[0], el("span", { text: " to " }), ends[1])];
    }
    if (dimension.conditional) inputs.push(box("inactive", rule?.inactive ?? false, (on) => change(dimension, some({ ...model.filter.of(dimension), inactive: on }))));
    return el("fieldset", {}, el("legend", { text: name }), inputs);
  };

  const drawMenu = () => {
    const { study } = model;
    // What somebody is about to fill in is left alone.
    if (!study || form.contains(document.activeElement)) return;
    const all = dimensionsOf(study, model.known());
    const now = JSON.stringify([all.map(({ id }) => id), model.filter.text]);
    if (now === menuShape) return;
    menuShape = now;
    fill(form, all.map(fields));
  };

  /** @param {{dimension: Dimension, rule: import("./filter.js").Rule}[]} rules */
  const zoomInto = async (rules) => (await use("views/zoom.js", model.signal))?.zoomInto(model, rules);

  const draw = () => {
    drawMenu();
    const { study, filter } = model;
    if (!study) return;
    if (filter.rules.size) void model.readSample();
    const known = model.known();
    const matching = filter.rules.size ? known.filter((trial) => filter.matches(trial)).length : known.length;
    const now = JSON.stringify([wanted, filter.text, matching, known.length, model.complete]);
    if (now === chipsShape) return;
    chipsShape = now;
    chips.hidden = !wanted || filter.rules.size === 0;
    const at = [...chips.querySelectorAll("button")].indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    fill(
      chips,
      [...filter.rules.values()].map(({ dimension, rule }) => {
        const words = inWords(rule);
        return el("button", { type: "button", class: "chip", "aria-label": `${dimension.name} ${words}: remove the filter`, title: "Remove", on: { click: () => change(dimension, null) } }, el("span", { class: "quiet", text: dimension.name }), " ", el("span", { class: "number", text: words }), el("span", { "aria-hidden": "true", text: "\u00d7" }));
      }),
      el("span", { class: "quiet number", role: "status", text: `${count(matching)} of ${count(known.length)} trials${model.complete ? "" : ` that are read, of ${count(allOf(study.counts))}`}` }),
      button("Clear", () => model.choose(null, null), "small"),
      button("New study here\u2026", () => void zoomInto([...filter.rules.values()]), "small"),
    );
    if (at >= 0) /** @type {HTMLElement | undefined} */ ([...chips.querySelectorAll("button")].at(Math.min(at, chips.querySelectorAll("button").length - 1)))?.focus();
  };

  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !menu.contains(event.relatedTarget)) menu.open = false;
    setTimeout(drawMenu);
  });
  /** @param {boolean} on whether the part that is shown knows of the filter */
  const show = (on) => {
    wanted = on;
    menu.hidden = !on;
  };
  return { menu, chips, draw, show };
}
