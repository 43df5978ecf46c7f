// Early stopping in one study: what each rule did, what it saves and loses on what is stored, which judgements there were, and what other
// rules would have done.

import { api } from "../../api.js";
import { el, fill, setText } from "../../dom.js";
import { clock, count, day, duration, gpuHours, measure, num } from "../../format.js";
import { button } from "../../parts.js";
import { keep } from "../../router.js";
import { hasEnded } from "../../states.js";
import { Table } from "../../table.js";
import { Details } from "../details.js";
import { isOfPopulation } from "../strategies.js";
import { options } from "./rules.js";
import { tryForm } from "./trying.js";

/** @typedef {import("../../../types/api.js").Rule} Rule */
/** @typedef {import("../../../types/api.js").Backtest} Backtest */
/** @typedef {import("../../../types/api.js").Decision} Decision */
/** @typedef {{id: string, trial: number, decision: Decision}} Judgement */
/** What a rule would have done: null while that is asked, a text if it was refused. @typedef {Backtest | string | null} Tried */

const DAY = 86_400_000;

/** @param {import("../study.js").Context} context */
export function stopping({ model, query, href, open, signal }) {
  const details = Details.of(model);
  /** By rule, in their order. @type {Tried[]} */
  let tried = [];
  /** The rules that `tried` is about, and when it was asked. */
  let asked = "";
  let askedAt = 0;

  const rules = () => model.study?.spec.earlyStopping ?? [];
  const note = el("p", { class: "quiet note" });
  const again = button("Judge again", () => void judge());
  const body = el("div");
  const title = el("h3", { text: "Judgements" });
  const judgements = el("div");
  /** @type {Table<Judgement>} */
  const table = new Table({
    label: "Judgements",
    rowHeight: 32,
    id: ({ id }) => id,
    open: ({ trial }) => open(trial),
    sorted: (column, descending) => {
      keep({ sort: column, down: descending ? "1" : "" });
      drawJudgements();
    },
  });
  table.setSort(query.get("sort") ?? "at", query.get("sort") ? query.get("down") === "1" : true);
  const time = (/** @type {Judgement} */ { decision }) => Date.parse(decision.decidedAt ?? "");
  table.setColumns([
    { id: "trial", title: "Trial", cell: ({ trial }) => el("a", { href: href(trial), tabindex: -1, class: "number", text: String(trial) }), key: ({ trial }) => trial, descending: true, width: "5rem" },
    { id: "at", title: "When", cell: (row) => (Date.now() - time(row) < DAY ? clock(row.decision.decidedAt) : day(row.decision.decidedAt)), key: time, descending: true, width: "11rem" },
    { id: "rule", title: "Rule", cell: ({ decision }) => `${decision.rule}${decision.shadow ? " (only noted)" : ""}`, key: ({ decision }) => `${decision.rule} ${decision.shadow ?? ""}`, width: "12rem" },
    { id: "step", title: "Step", cell: ({ decision }) => measure(decision.step), key: ({ decision }) => num(decision.step), right: true, width: "5rem" },
    { id: "value", title: "Value", cell: ({ decision }) => measure(decision.value), key: ({ decision }) => num(decision.value), right: true, width: "6.5rem" },
    { id: "reference", title: "Against", cell: ({ decision }) => measure(decision.reference), key: ({ decision }) => num(decision.reference), right: true, width: "6.5rem" },
    { id: "why", title: "Why", cell: ({ decision }) => el("span", { title: decision.text ?? "", text: decision.text ?? "" }), key: ({ decision }) => decision.text ?? "", width: "30rem" },
  ]);

  /** Asks what each rule would have done, one after the other: the coordinator computes one at a time. */
  const judge = async () => {
    const wanted = rules();
    const key = JSON.stringify(wanted);
    asked = key;
    tried = wanted.map(() => null);
    again.disabled = true;
    draw();
    for (const [index, rule] of wanted.entries()) {
      /** @type {Tried} */
      let answer;
      try {
        answer = await api.backtest(model.name, [rule], { signal });
      } catch (error) {
        answer = error instanceof Error ? error.message : String(error);
      }
      if (signal.aborted || asked !== key) return;
      tried[index] = answer;
      draw();
    }
    askedAt = Date.now();
    again.disabled = false;
    draw();
  };

  /** What has really been stopped by a rule: judgements that were carried out. @param {number} index */
  const stoppedBy = (index) => {
    const { rule, shadow } = rules()[index];
    if (shadow) return [];
    return [...model.trials.values()].filter((trial) => trial.stoppedBy === rule && (details.get(num(trial.number))?.decisions ?? []).some((decision) => !decision.shadow && (decision.ruleIndex ?? 0) === index));
  };

  const drawRules = () => {
    const list = rules();
    if (!list.length) {
      if (!body.firstChild) fill(body, el("p", { class: "table-empty", text: "This study has no early-stopping rules. Below you can find out what one would have saved." }));
      return;
    }
    const max = num(model.study?.spec.trial?.steps?.max);
    // What a population replaces it trains all the same.
    const isReplaced = isOfPopulation(model.study);
    // Of a study that has ended it is not kept what its rules had done: that is in the numbers.
    const live = model.study !== null && !hasEnded(model.study);
    const gpus = tried.some((one) => one && typeof one === "object" && one.gpuSeconds);
    const rows = list.map((rule, index) => {
      const stopped = stoppedBy(index);
      const saved = stopped.reduce((sum, { lastStep }) => sum + Math.max(0, max - num(lastStep ?? 0)), 0);
      const answer = tried[index] ?? null;
      const name = el("th", { scope: "row" }, rule.rule, rule.shadow && el("span", { class: "label shadow", text: "only notes" }), el("div", { class: "quiet small", text: options(rule, model.metric) }));
      const really = rule.shadow || !model.complete ? ["\u2013", "\u2013"] : !details.settled ? ["\u2026", "\u2026"] : [count(stopped.length), Number.isNaN(max) || isReplaced ? "\u2013" : count(saved)];
      return el("tr", {}, name, really.map((text) => el("td", { class: "right", text })), answerCells(answer, gpus), live && el("td", { class: "quiet small", text: whatItDid(model.study?.stopperNotes?.[index] ?? "") }));
    });
    const step = model.step;
    const group = (/** @type {string} */ text, /** @type {number} */ span) => el("th", { scope: "colgroup", colspan: span, class: "group", text });
    const names = ["Stopped", `${step}s saved`, "Would stop", `${step}s saved`, "Time saved", ...(gpus ? ["GPU hours saved"] : []), "Best lost"];
    fill(
      body,
      el(
        "div",
        { class: "wide", tabindex: 0, role: "region", "aria-label": "Early-stopping rules" },
        el(
          "table",
          { class: "plain", "aria-label": "Rules" },
          el("thead", {}, el("tr", {}, el("td"), group("Really", 2), group("On what is stored, alone", names.length - 2), live && el("td")), el("tr", {}, el("th", { scope: "col", text: "Rule" }), names.map((text) => el("th", { scope: "col", class: "right", text })), live && el("th", { scope: "col", text: "So far" }))),
          el("tbody", {}, rows),
        ),
      ),
    );
  };
  let rulesShape = "";
  const drawNote = () => {
    const parts = [];
    if (rules().length && askedAt) parts.push(`Judged on what was stored at ${clock(askedAt)}: each rule alone, as if it had stopped.`);
    if (rules().some(({ shadow }) => !shadow)) parts.push("A trial that was really stopped counts only up to there, so that a rule which stops has little left to save.");
    if (!model.complete) parts.push("Of a study of so many trials, those that were really stopped are not all read.");
    setText(note, parts.join(" "));
    note.hidden = !parts.length;
    again.hidden = !rules().length || (model.study !== null && hasEnded(model.study) && !tried.some((one) => typeof one === "string"));
  };
  const drawJudgements = () => {
    const own = rules().length;
    const rows = [...model.trials.keys()].flatMap((trial) =>
      (details.get(trial)?.decisions ?? []).flatMap((decision, index) => ((decision.ruleIndex ?? 0) < own ? [judgementOf(trial, index, decision)] : [])),
    );
    title.hidden = !own;
    const message = rows.length || !own ? "" : details.settled ? "No rule has said \u201cstop\u201d so far." : "Reading judgements\u2026";
    if (!rows.length) {
      if (judgements.textContent !== message) fill(judgements, message && el("p", { class: "table-empty", text: message }));
      return;
    }
    if (!judgements.contains(table.node)) fill(judgements, table.node);
    table.setRows(table.ordered(rows));
  };

  const other = tryForm({ model, query, href, signal });
  const draw = () => {
    other.draw();
    // Rows are only made anew where they say something else: somebody may be selecting them.
    const shape = JSON.stringify([rules(), model.study?.stopperNotes, tried, model.study?.state, details.settled, [...rules().keys()].map((index) => stoppedBy(index).length), model.complete]);
    if (shape !== rulesShape) drawRules();
    rulesShape = shape;
    drawNote();
    drawJudgements();
  };
  return {
    node: el(
      "section",
      { class: "part" },
      el("header", { class: "section" }, el("h2", { text: "Early stopping" }), el("div", { class: "filters" }, again)),
      note,
      body,
      other.node,
      title,
      judgements,
    ),
    /** @param {() => void} changed */
    draw(changed) {
      if (model.ready) {
        const all = rules().some(({ shadow }) => shadow);
        if (rules().length) details.ask([...model.trials.values()].filter(({ stoppedBy }) => all || stoppedBy).map(({ number }) => num(number)), changed);
        if (asked !== JSON.stringify(rules()) && rules().length) void judge();
      }
      draw();
    },
  };
}

/** Judgements as they were made, so that rows stay the same objects. @type {WeakMap<Decision, Judgement>} */
const made = new WeakMap();

/**
 * @param {number} trial
 * @param {number} index
 * @param {Decision} decision
 */
function judgementOf(trial, index, decision) {
  const judgement = made.get(decision) ?? { id: `${trial}.${index}`, trial, decision };
  made.set(decision, judgement);
  return judgement;
}

/** @param {string} text what a rule says of itself, without which rule it is */
function whatItDid(text) {
  return text.replace(/^rule \d+, [^:]*: /, "");
}

/**
 * @param {Tried} answer
 * @param {boolean} gpus
 */
function answerCells(answer, gpus) {
  if (answer === null || typeof answer === "string") return [el("td", { class: answer === null ? "quiet" : "problem", colspan: gpus ? 5 : 4, text: answer ?? "is judged\u2026" })];
  const lost = answer.bestLost ? `${measure(answer.bestLost.value)}, number ${count(answer.bestLostRank)} of ${count(answer.ranked)}` : "none";
  const cells = [`${count((answer.stops ?? []).length)} of ${count(answer.trials)}`, count(answer.stepsSaved), duration(answer.secondsSaved ?? 0), ...(gpus ? [gpuHours((answer.gpuSecondsSaved ?? 0) / 3600)] : []), lost];
  return cells.map((text) => el("td", { class: "right", text }));
}
