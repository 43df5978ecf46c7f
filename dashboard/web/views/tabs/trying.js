// What other rules would have saved: a form for them, alone or together, and which trials they would have stopped.

import { api } from "../../api.js";
import { el, fill, setText } from "../../dom.js";
import { count, duration, measure, num } from "../../format.js";
import { button } from "../../parts.js";
import { keep } from "../../router.js";
import { badge, trialLook } from "../../states.js";
import { baselineChoice } from "./baseline.js";
import { inWords, RULES, ruleOf } from "./rules.js";

/** @typedef {import("../../../types/api.js").Backtest} Backtest */
/** @typedef {import("../model.js").StudyModel} StudyModel */
/** @typedef {{name: string, options: string}} Written a rule as it is written */

/** Stopped trials that are listed below an answer: those that came to most in the end. */
const LISTED = 20;
/** Rules that are tried together: as many as a study may have. */
const TOGETHER = 8;

/**
 * @param {{model: StudyModel, query: URLSearchParams, href: (trial: number | string) => string, signal: AbortSignal}} options
 */
export function tryForm({ model, query, href, signal }) {
  const problem = el("p", { class: "problem", id: "rule-problem", role: "alert" });
  const answer = el("div", { class: "answer", "aria-live": "polite" });
  const submit = el("button", { type: "submit", class: "button", text: "Try it" });
  const another = button("And another rule", () => {
    add({ name: RULES[0], options: "" }).rule.focus();
    drawLines();
  });
  const rows = el("div", { class: "tries" });
  /** @type {ReturnType<typeof line>[]} */
  let lines = [];
  let made = 0;
  const add = (/** @type {Written} */ written) => {
    const one = line({
      model,
      id: `rule-options${made ? `-${made}` : ""}`,
      written,
      remove: () => {
        lines = lines.filter((other) => other !== one);
        drawLines();
        lines[lines.length - 1].rule.focus();
      },
    });
    made += 1;
    lines.push(one);
    return one;
  };
  const drawLines = () => {
    lines.forEach((one, index) => one.number(index, lines.length));
    another.hidden = lines.length >= TOGETHER;
    submit.textContent = lines.length > 1 ? "Try them together" : "Try it";
    fill(rows, lines.map(({ node }) => node));
  };

  let round = 0;
  const ask = async () => {
    const mine = ++round;
    for (const { field } of lines) field.setAttribute("aria-invalid", "false");
    setText(problem, "");
    submit.disabled = true;
    fill(answer, el("p", { class: "quiet", text: lines.length > 1 ? "They are tried on all stored curves\u2026" : "It is tried on all stored curves\u2026" }));
    let at = lines[0];
    try {
      const wanted = lines.map((one) => {
        at = one;
        return ruleOf(one.rule.value, one.field.value);
      });
      const [first, ...more] = lines.map(({ rule, field }) => ({ name: rule.value, options: field.value.trim() }));
      keep({ rule: first.name, with: first.options, and: more.map(({ name, options }) => `${name} ${options}`.trim()).join(";") });
      const tried = await api.backtest(model.name, wanted, { signal });
      if (mine === round) fill(answer, inWords(tried, { step: model.step }).map((text) => el("p", { text })), stopsTable(tried, href, lines.length > 1));
    } catch (error) {
      if (signal.aborted || mine !== round) return;
      fill(answer);
      const text = error instanceof Error ? error.message : String(error);
      setText(problem, text);
      // The coordinator names the rule that it refuses by its place.
      at = lines[Number(/early_stopping\[(\d+)\]/.exec(text)?.[1] ?? lines.indexOf(at))] ?? at;
      at.field.setAttribute("aria-invalid", "true");
      at.field.focus();
    } finally {
      submit.disabled = false;
    }
  };

  const given = query.get("rule") ?? "";
  const known = RULES.includes(given);
  add({ name: known ? given : RULES[0], options: query.get("with") ?? "" });
  for (const text of (query.get("and") ?? "").split(";").filter(Boolean).slice(0, TOGETHER - 1)) {
    const [name, ...options] = text.trim().split(" ");
    if (RULES.includes(name)) add({ name, options: options.join(" ") });
  }
  drawLines();
  if (known) void ask();
  const form = el("form", { class: "try-form", on: { submit: (/** @type {Event} */ event) => (event.preventDefault(), void ask()) } }, rows, el("div", { class: "buttons" }, submit, another));
  return {
    node: el("div", { class: "trying" }, el("h3", { text: "What would other rules have saved?" }), form, problem, answer),
    draw: () => lines.forEach(({ draw }) => draw()),
  };
}

/**
 * One rule with its options.
 * @param {{model: StudyModel, id: string, written: Written, remove: () => void}} options
 */
function line({ model, id, written, remove }) {
  const rule = el("select", { class: "input", "aria-label": "Rule" }, RULES.map((name) => el("option", { value: name, text: name, selected: name === written.name })));
  const field = el("input", { type: "text", class: "input", id, "aria-describedby": "rule-problem", autocomplete: "off", spellcheck: "false", value: written.options });
  const baseline = baselineChoice({ model, field });
  const against = el("label", { class: "against" }, el("span", { class: "quiet", text: "against" }), baseline.node);
  const draw = () => {
    against.hidden = rule.value !== "below_baseline";
    field.placeholder = against.hidden ? "warmup_steps=5 min_trials=3" : "tolerance=0.02 warmup_steps=5";
    baseline.draw();
  };
  rule.addEventListener("change", draw);
  draw();
  const away = button("Leave out", remove);
  const node = el("div", { class: "try", role: "group" }, rule, against, el("label", { for: id, class: "quiet", text: "with" }), field, away);
  return {
    node,
    rule,
    field,
    draw,
    /** @param {number} index @param {number} all */
    number(index, all) {
      node.setAttribute("aria-label", `Rule ${index + 1}`);
      away.hidden = all < 2;
    },
  };
}

/**
 * @param {Backtest} tried
 * @param {(trial: number | string) => string} href
 * @param {boolean} several whether several rules were tried
 */
function stopsTable({ stops = [] }, href, several) {
  if (!stops.length) return [];
  const rank = (/** @type {{rank?: unknown}} */ stop) => Number(stop.rank ?? 0) || Infinity;
  const rows = [...stops].sort((a, b) => rank(a) - rank(b) || num(a.trial) - num(b.trial)).slice(0, LISTED);
  const head = ["Trial", "Stopped at step", "Value there", "In the end", "Rank", "Steps saved", "Time saved", "State", ...(several ? ["Rule"] : [])];
  const more = stops.length - rows.length;
  return [
    el(
      "table",
      { class: "plain", "aria-label": "Trials that would have been stopped" },
      el("thead", {}, el("tr", {}, head.map((text, index) => el("th", { scope: "col", class: index > 0 && index < 7 ? "right" : null, text })))),
      el(
        "tbody",
        {},
        rows.map((stop) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, el("a", { href: href(String(stop.trial)), text: String(stop.trial) })),
            [measure(stop.decision?.step), measure(stop.value), measure(stop.finalValue), Number(stop.rank ?? 0) ? count(stop.rank) : "\u2013", count(stop.stepsSaved), duration(stop.secondsSaved ?? 0)].map((text) => el("td", { class: "right", text })),
            el("td", {}, badge(trialLook(stop.state ?? ""))),
            several && el("td", { text: stop.decision?.rule ?? "" }),
          ),
        ),
      ),
    ),
    more > 0 && el("p", { class: "quiet", text: `${count(more)} more, none of them better in the end.` }),
  ].filter((one) => one !== false);
}
