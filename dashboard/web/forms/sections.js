// The parts of a study file as parts of a form: what it optimises and varies. What is not here stays in the text.

import { el } from "../dom.js";
import { button } from "../parts.js";
import { isList, map, oneLine } from "./draft.js";
import { changedMap, changing } from "./fields.js";

/** @typedef {import("./fields.js").Fields} Fields */
/** @typedef {{node: HTMLElement, draw: () => void}} Section */

/** @type {[string, string][]} */
export const GOALS = [["maximize", "maximize"], ["minimize", "minimize"]];
/** @type {[string, string][]} */
const TYPES = ["float", "int", "categorical", "ordinal", "bool", "constant"].map((type) => [type, type]);
/** @type {[string, string][]} */
const SCALES = ["linear", "log", "log2", "reverse_log"].map((scale) => [scale, scale]);
/** What a parameter of a type begins with. @type {Record<string, Record<string, string>>} */
const BEGINS = { float: { low: "0.0", high: "1.0" }, int: { low: "1", high: "10" }, categorical: { choices: "[a, b]" }, ordinal: { choices: "[1, 2, 4]" }, bool: {}, constant: { value: "1" } };

/**
 * @param {string} title
 * @param {...(Node | false | null)} content
 */
export function section(title, ...content) {
  return el("section", { class: "form-section", "aria-label": title }, el("h2", { text: title }), content);
}

/** @param {Fields} fields @returns {Section} */
export function about(fields) {
  return {
    node: section(
      "Study",
      el("div", { class: "row" }, fields.text({ label: "Name", path: ["name"], hint: "digits-1" }), fields.text({ label: "Project", path: ["project"], hint: "none" }), fields.plain({ label: "Priority", path: ["priority"], hint: "1" })),
      fields.text({ label: "Message", path: ["message"], rows: 2, hint: "What it is about" }),
    ),
    draw() {},
  };
}

/** @param {Fields} fields @returns {Section} */
export function objectives(fields) {
  const { draft } = fields;
  const written = () => draft.at(["objective"]);
  const paths = () => (isList(written()) ? [.../** @type {import("./draft.js").Written} */ (written()).inside.keys()].map((key) => ["objective", key]) : [["objective"]]);
  const rows = changing(
    () => JSON.stringify(paths()),
    () => {
      const all = paths();
      const of = (/** @type {string[]} */ path) =>
        el(
          "div",
          { class: "row" },
          fields.text({ label: "Metric", path: [...path, "metric"], hint: "val_acc" }),
          fields.choice({ label: "Goal", path: [...path, "goal"], choices: GOALS, none: "\u2013" }),
          fields.text({ label: "Value taken", path: [...path, "from"], hint: "last" }),
          all.length > 1 && removal("objective", () => draft.edit([all.length === 2 ? { path: ["objective"], set: oneLine(/** @type {import("./draft.js").Written} */ (draft.at(all[all[0] === path ? 1 : 0]))) } : { path, remove: true }])),
        );
      return all.map(of);
    },
  );
  const add = () => {
    const now = written();
    const next = map([["metric", "other"], ["goal", "minimize"]]);
    if (isList(now)) draft.edit([{ path: ["objective", String(now?.inside.size)], set: next }]);
    else draft.edit([{ path: ["objective"], set: now?.inside.size ? `[${oneLine(now)}, ${next}]` : next }]);
  };
  return { node: section("Objective", rows.node, fields.spot(["objective"]), el("div", { class: "adds" }, button("Add objective", add, "small"))), draw: rows.draw };
}

/** @param {string} what @param {() => void} press */
export function removal(what, press) {
  return el("button", { type: "button", class: "tool remove", "aria-label": `Remove ${what}`, title: `Remove ${what}`, text: "\u00d7", on: { click: press } });
}

/** @param {Fields} fields @returns {Section} */
export function space(fields) {
  const { draft } = fields;
  const names = () => [...(draft.at(["space"])?.inside.keys() ?? [])];
  const typeOf = (/** @type {string} */ name) => draft.at(["space", name, "type"])?.text ?? "";
  const retype = (/** @type {string} */ name, /** @type {string} */ type) => {
    const now = draft.at(["space", name]);
    const has = (/** @type {string} */ key) => now?.inside.has(key) ?? false;
    /** @type {Record<string, string | null>} */
    const changes = { type, low: null, high: null, scale: null, step: null, choices: null, value: null };
    const begin = BEGINS[type] ?? {};
    for (const [key, value] of Object.entries(begin)) {
      if (has(key)) delete changes[key];
      else changes[key] = value;
    }
    // Numbers keep what both kinds of them have.
    if ("low" in begin) delete changes.scale;
    draft.edit([{ path: ["space", name], set: changedMap(now, changes) }]);
  };
  const row = (/** @type {string} */ name) => {
    const path = (/** @type {string} */ key) => ["space", name, key];
    const type = typeOf(name);
    const rename = el("input", { type: "text", "aria-label": "Name of the parameter", value: name, spellcheck: "false", autocomplete: "off" });
    rename.dataset.path = `name of ${name}`;
    rename.addEventListener("change", () => rename.value !== name && draft.edit([{ path: ["space", name], rename: rename.value.trim() }]));
    const number = type === "float" || type === "int";
    const what = `of ${name}`;
    const cells = number
      ? [
          fields.plain({ label: `Low ${what}`, path: path("low"), bare: true, hint: "low" }),
          fields.plain({ label: `High ${what}`, path: path("high"), bare: true, hint: "high" }),
          fields.choice({ label: `Scale ${what}`, path: path("scale"), choices: SCALES.filter(([scale]) => scale !== "log2" || type === "int").slice(1), none: "linear", bare: true }),
          fields.plain({ label: `Step ${what}`, path: path("step"), bare: true, hint: "any" }),
        ]
      : [
          el(
            "div",
            { class: "wide" },
            (type === "categorical" || type === "ordinal") && fields.values({ label: `Choices ${what}`, path: path("choices"), bare: true, hint: "relu, tanh" }),
            type === "constant" && fields.values({ label: `Value ${what}`, path: path("value"), bare: true, as: "value" }),
          ),
        ];
    return el(
      "div",
      { class: "parameter", role: "group", "aria-label": `Parameter ${name}` },
      rename,
      fields.choice({ label: `Type ${what}`, path: path("type"), choices: TYPES, none: "\u2013", bare: true, change: (value) => retype(name, value) }),
      ...cells,
      fields.values({ label: `Condition ${what}`, path: path("when"), as: "map", bare: true, hint: "always" }),
      removal(`parameter ${name}`, () => draft.edit([{ path: ["space", name], remove: true }])),
      fields.spot(["space", name]),
    );
  };
  const rows = changing(
    () => JSON.stringify(names().map((name) => [name, typeOf(name)])),
    () => names().map(row),
  );
  const add = () => {
    const taken = names();
    let number = taken.length + 1;
    while (taken.includes(`parameter_${number}`)) number += 1;
    draft.edit([{ path: ["space", `parameter_${number}`], set: "{type: float, low: 0.0, high: 1.0}" }]);
  };
  const head = el("div", { class: "parameter head", "aria-hidden": "true" }, ["Name", "Type", "Low", "High", "Scale", "Step", "Only if"].map((text) => el("span", { text })));
  return { node: section("Space", head, rows.node, fields.spot(["space"]), el("div", { class: "adds" }, button("Add parameter", add, "small"))), draw: rows.draw };
}
