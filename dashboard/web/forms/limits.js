// The parts of a study file as parts of a form: how trials are chosen, stopped and run, and what it may all cost.

import { el } from "../dom.js";
import { button } from "../parts.js";
import { changedMap, changing } from "./fields.js";
import { GOALS, removal, section } from "./sections.js";

/** @typedef {import("./fields.js").Fields} Fields */
/** @typedef {import("./sections.js").Section} Section */
/** How a key of an option is written: "plain" a number or the like, "text", "yes" or no, or one of some words. @typedef {"plain" | "text" | "yes" | "list" | [string, string][]} Kind */
/** @typedef {{key: string, label: string, kind: Kind, hint?: string}} Option */

/** @param {...string} words @returns {[string, string][]} */
const words = (...words) => words.map((word) => [word, word]);

/** @type {[string, string][]} */
const STRATEGIES = words("manual", "grid", "random", "sobol", "gp", "tpe", "cmaes", "evolution", "nsga2", "asha", "hyperband", "bohb", "pbt", "pb2", "replay");
/** @type {Option[]} */
const HALVING = [
  { key: "min_steps", label: "First rung at step", kind: "plain", hint: "1" },
  { key: "reduction", label: "One in so many goes on", kind: "plain", hint: "3" },
  { key: "brackets", label: "Brackets", kind: "plain" },
  { key: "sampler", label: "Points chosen by", kind: words("random", "sobol", "gp", "tpe") },
];
/** @type {Option[]} */
const POPULATION = [
  { key: "population", label: "Population", kind: "plain", hint: "16" },
  { key: "interval", label: "Compared every so many steps", kind: "plain" },
  { key: "exploit", label: "Replaced by", kind: words("truncation", "tournament") },
];
/** Main options by strategy. @type {Record<string, Option[]>} */
const OPTIONS = {
  grid: [
    { key: "points", label: "Values of each number", kind: "plain", hint: "10" },
    { key: "shuffle", label: "In random order", kind: "yes" },
  ],
  gp: [{ key: "acquisition", label: "Acquisition", kind: words("log_ei", "ei", "ucb") }],
  asha: HALVING,
  hyperband: HALVING,
  bohb: HALVING,
  pbt: [...POPULATION, { key: "resample", label: "Chance of a new draw", kind: "plain", hint: "0.25" }],
  pb2: POPULATION,
};

/** @type {Option} */
const METRIC = { key: "metric", label: "Metric", kind: "text", hint: "the objective's" };
/** @type {Option} */
const GOAL = { key: "goal", label: "Goal", kind: GOALS };
/** @type {Option} */
const WARMUP = { key: "warmup_steps", label: "Not before step", kind: "plain", hint: "0" };
/** @type {Option} */
const OTHERS = { key: "min_trials", label: "Other trials needed", kind: "plain", hint: "5" };
/** Options by rule. @type {Record<string, Option[]>} */
const RULES = {
  median: [METRIC, GOAL, WARMUP, OTHERS],
  percentile: [METRIC, GOAL, { key: "keep", label: "Kept, in percent", kind: "plain" }, WARMUP, OTHERS],
  threshold: [METRIC, { key: "above", label: "Stops above", kind: "plain" }, { key: "below", label: "Stops below", kind: "plain" }, { key: "after_step", label: "After step", kind: "plain" }],
  plateau: [METRIC, GOAL, { key: "patience", label: "Steps without improvement", kind: "plain", hint: "10" }, { key: "min_delta", label: "Counts from", kind: "plain", hint: "0" }, WARMUP],
  diverging: [METRIC, GOAL, { key: "patience", label: "Reports in a row", kind: "plain", hint: "3" }, { key: "factor", label: "Times its range", kind: "plain", hint: "1" }],
  below_baseline: [METRIC, GOAL, { key: "trial", label: "Curve of trial", kind: "plain", hint: "the best" }, { key: "constant", label: "Or this value", kind: "plain" }, { key: "tolerance", label: "Tolerated", kind: "plain", hint: "0" }, WARMUP],
  asha: [METRIC, GOAL, { key: "min_steps", label: "First rung at step", kind: "plain", hint: "1" }, { key: "reduction", label: "One in so many goes on", kind: "plain", hint: "3" }, { key: "brackets", label: "Brackets", kind: "plain", hint: "1" }],
  curve: [METRIC, GOAL, { key: "probability", label: "Below this probability", kind: "plain", hint: "0.05" }, WARMUP, { ...OTHERS, label: "Whole trials needed", hint: "4" }],
  wilcoxon: [METRIC, GOAL, { key: "p", label: "Below this p-value", kind: "plain", hint: "0.1" }, { key: "min_steps", label: "Steps in common", kind: "plain", hint: "5" }],
};
/** What a rule cannot be without. @type {Record<string, Record<string, string>>} */
const RULE_BEGINS = { percentile: { keep: "25" }, threshold: { above: "10" } };

/**
 * @param {Fields} fields
 * @param {string[]} path
 * @param {Option} option
 */
function option(fields, path, { key, label, kind, hint }) {
  const place = { label, path: [...path, key], hint };
  if (kind === "plain") return fields.plain(place);
  if (kind === "text") return fields.text(place);
  if (kind === "list") return fields.values(place);
  if (kind === "yes") return fields.box(place);
  return fields.choice({ ...place, choices: kind, none: "\u2013" });
}

/** @param {Fields} fields @returns {Section} */
export function strategy(fields) {
  const { draft } = fields;
  // It may be written as a name alone.
  const name = () => draft.at(["strategy", "name"])?.text ?? draft.at(["strategy"])?.text ?? "";
  const rows = changing(name, () => [el("div", { class: "row" }, (OPTIONS[name()] ?? []).map((one) => option(fields, ["strategy"], one)))]);
  const choose = (/** @type {string} */ to) => {
    // Options of the strategy before mean nothing to another one.
    const edits = (OPTIONS[name()] ?? []).filter(({ key }) => !(OPTIONS[to] ?? []).some((other) => other.key === key) && draft.at(["strategy", key])).map(({ key }) => ({ path: ["strategy", key], remove: /** @type {const} */ (true) }));
    draft.edit([...edits, to ? { path: ["strategy", "name"], set: to } : { path: ["strategy", "name"], remove: true }]);
  };
  const which = fields.choice({ label: "Strategy", path: ["strategy", "name"], choices: STRATEGIES, none: "auto", change: choose, read: name });
  return {
    node: section(
      "Strategy",
      el("div", { class: "row" }, which, fields.plain({ label: "Seed", path: ["strategy", "seed"], hint: "drawn" }), fields.plain({ label: "Share at random", path: ["strategy", "random_share"], hint: "0" }), fields.values({ label: "Knows trials of", path: ["strategy", "history"], hint: "other studies" })),
      rows.node,
      fields.spot(["strategy"]),
    ),
    draw: rows.draw,
  };
}

/** @param {Fields} fields @returns {Section} */
export function stopping(fields) {
  const { draft } = fields;
  const all = () => [...(draft.at(["early_stopping"])?.inside ?? [])];
  const ruleOf = (/** @type {string} */ index) => draft.at(["early_stopping", index, "rule"])?.text ?? "";
  const choose = (/** @type {string} */ index, /** @type {string} */ rule) => {
    const now = draft.at(["early_stopping", index]);
    const fits = new Set(["rule", "shadow", ...(RULES[rule] ?? []).map(({ key }) => key)]);
    /** @type {Record<string, string | null>} */
    const changes = Object.fromEntries([...(now?.inside.keys() ?? [])].filter((key) => !fits.has(key)).map((key) => [key, null]));
    draft.edit([{ path: ["early_stopping", index], set: changedMap(now, { ...changes, rule, ...RULE_BEGINS[rule] }) }]);
  };
  const rows = changing(
    () => JSON.stringify(all().map(([index]) => ruleOf(index))),
    () =>
      all().map(([index]) => {
        const path = ["early_stopping", index];
        return el(
          "div",
          { class: "row rule", role: "group", "aria-label": `Rule ${Number(index) + 1}` },
          fields.choice({ label: "Rule", path: [...path, "rule"], choices: words(...Object.keys(RULES)), none: "\u2013", change: (rule) => choose(index, rule) }),
          (RULES[ruleOf(index)] ?? []).map((one) => option(fields, path, one)),
          fields.box({ label: "Only note", path: [...path, "shadow"] }),
          removal(`rule ${Number(index) + 1}`, () => draft.edit([{ path, remove: true }])),
          fields.spot(path),
        );
      }),
  );
  const add = () => draft.edit([{ path: ["early_stopping", String(all().length)], set: "{rule: median, warmup_steps: 5}" }]);
  return { node: section("Early stopping", rows.node, fields.spot(["early_stopping"]), el("div", { class: "adds" }, button("Add rule", add, "small"))), draw: rows.draw };
}

/** @param {Fields} fields @returns {Section} */
export function budget(fields) {
  const of = (/** @type {string} */ label, /** @type {string} */ key, hint = "no limit") => fields.plain({ label, path: ["budget", key], hint });
  const improvement = (/** @type {string} */ label, /** @type {string} */ key, hint = "\u2013") => fields.plain({ label, path: ["budget", "no_improvement", key], hint });
  return {
    node: section(
      "Budget",
      el("div", { class: "row" }, of("Trials", "trials"), of("At the same time", "parallel"), of("Time", "wall_time", "such as 4h"), of("GPU hours", "gpu_hours"), of("Cost", "cost"), of("Failures", "failures"), of("Ends at value", "target", "\u2013")),
      el("p", { class: "quiet help", text: "Ends when going on is not worth it:" }),
      el("div", { class: "row" }, improvement("Patience, in results", "patience"), improvement("Counts from", "min_delta", "0"), improvement("Expected gain below", "gain_below"), improvement("Confidence", "confidence", "0.95"), fields.box({ label: "Only note", path: ["budget", "no_improvement", "shadow"] })),
      fields.spot(["budget"]),
    ),
    draw() {},
  };
}

/** @param {Fields} fields @returns {HTMLElement} */
export function runtime(fields) {
  return fields.plain({ label: "Longest run", path: ["trial", "max_runtime"], hint: "such as 30m" });
}

/** @type {[string, string][]} */
const SOURCES = [["regex", "matching lines"], ["file", "a JSON file"]];

/** @param {Fields} fields @returns {Section} */
export function trial(fields) {
  const { draft } = fields;
  const is = () => draft.at(["trial"]) !== undefined;
  const source = () => ["regex", "file"].find((key) => draft.at(["trial", "metrics", key])) ?? "";
  const choose = (/** @type {string} */ to) => draft.edit([to ? { path: ["trial", "metrics"], set: to === "regex" ? '{regex: "loss=(?P<loss>NUMBER)"}' : "{file: metrics.jsonl}" } : { path: ["trial", "metrics"], remove: true }]);
  const of = (/** @type {string} */ label, /** @type {string[]} */ path, /** @type {string} */ hint = "") => fields.plain({ label, path: ["trial", ...path], hint });
  const parts = changing(
    () => JSON.stringify([is(), source()]),
    () => {
      if (!is()) return [el("p", { class: "quiet help", text: "Without a command, trials are run by programs that ask for them." }), el("div", { class: "adds" }, button("Run by workers", () => draft.edit([{ path: ["trial", "command"], set: '[python3, train.py, "{args}"]' }]), "small"))];
      return [
        el("div", { class: "row" }, fields.lines({ label: "Command, one argument a line", path: ["trial", "command"], rows: 4 })),
        el(
          "div",
          { class: "row" },
          fields.choice({ label: "Metrics from", path: ["trial", "metrics"], choices: SOURCES, none: "JSON lines", change: choose, read: source }),
          source() === "regex" && fields.lines({ label: "Expressions, one a line", path: ["trial", "metrics", "regex"], rows: 2 }),
          source() === "file" && fields.text({ label: "File", path: ["trial", "metrics", "file"] }),
          fields.text({ label: "A step is called", path: ["trial", "steps", "name"], hint: "step" }),
          of("Last step", ["steps", "max"]),
          runtime(fields),
          of("Tries after a crash", ["retries"], "0"),
          fields.text({ label: "Folder", path: ["trial", "workdir"], hint: "one of its own" }),
        ),
        el("div", { class: "row" }, of("GPUs", ["resources", "gpus"], "0"), of("Memory of each", ["resources", "gpu_memory"], "such as 40GiB"), of("CPUs", ["resources", "cpus"], "any"), of("Memory", ["resources", "memory"], "such as 16GiB"), fields.values({ label: "Labels", path: ["trial", "resources", "labels"], as: "map", hint: "zone: north" })),
        fields.spot(["trial"]),
      ];
    },
  );
  return { node: section("Trial", parts.node), draw: parts.draw };
}
