// Whether a study's decisions follow from what is stored: its proposals and judgements are made again, and compared.

import { api } from "../api.js";
import { ask, frame } from "../dialog.js";
import { el } from "../dom.js";
import { count, num, parameter, plural } from "../format.js";
import { facts } from "../parts.js";
import { address } from "../router.js";
import { steadily, task } from "../task.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").ReplayDifference} ReplayDifference */
/** @typedef {import("../../types/api.js").DecisionDifference} DecisionDifference */
/** @typedef {{next: number, same: number, notProposed: number, sameDecisions: number, differences: ReplayDifference[], decisionDifferences: DecisionDifference[]}} Outcome */

/** Differences that are listed of each kind. */
const LISTED = 200;

/**
 * @param {string} name
 * @param {number} trials
 */
export async function replay(name, trials) {
  /** @type {Outcome} */
  const all = { next: 0, same: 0, notProposed: 0, sameDecisions: 0, differences: [], decisionDifferences: [] };
  const outcome = await task({
    title: `Replay ${name}`,
    body: [el("p", { text: "Each trial is proposed again from what is stored, and each rule judges again. Where all is the same, the study\u2019s decisions follow from what is stored, and anybody can repeat them. Nothing is changed." })],
    action: "Replay",
    work: async (tell, signal) => {
      do {
        tell(Math.max(0, all.next - 1), trials, "trials proposed again");
        const { next } = all;
        const some = await steadily(() => api.replay(name, next, { signal }), signal);
        all.same += num(some.same ?? 0);
        all.notProposed += num(some.notProposed ?? 0);
        all.sameDecisions += num(some.sameDecisions ?? 0);
        all.differences.push(...(some.differences ?? []));
        all.decisionDifferences.push(...(some.decisionDifferences ?? []));
        all.next = num(some.nextTrial ?? 0);
      } while (all.next > 0);
      tell(trials, trials, "trials proposed again");
      return all;
    },
  });
  if (outcome) await show(name, outcome);
}

/** @param {string} name @param {Outcome} outcome */
async function show(name, { same, notProposed, sameDecisions, differences, decisionDifferences }) {
  const wrong = [differences.length && plural(differences.length, "proposal"), decisionDifferences.length && plural(decisionDifferences.length, "judgement")].filter(Boolean);
  const figures = [
    ["Proposals that are the same", same],
    ["Proposals that differ", differences.length],
    ["Judgements that are the same", sameDecisions],
    ["Judgements that differ", decisionDifferences.length],
    ["Trials that people or programs chose", notProposed],
  ];
  const body = [
    el("p", { class: wrong.length ? "problem" : "replay-same", text: wrong.length ? `${name} has ${wrong.join(" and ")} that its history does not give.` : "The decisions follow from what is stored." }),
    facts(figures.map(([what, number]) => [String(what), el("span", { class: number ? "number" : "number quiet", text: count(number) })])),
    wrong.length ? el("p", { class: "quiet", text: "A trial that was retried by hand, or another version of Tunesmith, explains differences." }) : "",
    differences.length ? list("Proposals that differ", name, differences, proposal) : "",
    decisionDifferences.length ? list("Judgements that differ", name, decisionDifferences, judgement) : "",
  ];
  const dialog = frame(`Replay of ${name}`, body, [el("button", { type: "submit", value: "", class: "button", autofocus: true, text: "Close" })]);
  dialog.classList.add("wide");
  dialog.addEventListener("click", (event) => event.target instanceof Element && event.target.closest("a") && dialog.close(""));
  await ask(dialog);
}

/**
 * @template {{trial: import("../../types/api.js").Long}} T
 * @param {string} title
 * @param {string} study
 * @param {T[]} all
 * @param {(one: T) => (Node | string)[]} cells
 */
function list(title, study, all, cells) {
  const rows = all.slice(0, LISTED).map((one) => el("tr", {}, el("th", { scope: "row" }, el("a", { href: address("studies", study, "trials", String(one.trial)), text: `Trial ${one.trial}` })), cells(one).map((cell) => el("td", {}, cell))));
  return el(
    "div",
    { class: "replay-list", tabindex: 0, role: "region", "aria-label": title },
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: title }), el("th", { scope: "col", text: "Stored" }), el("th", { scope: "col", text: "Now" }))), el("tbody", {}, rows)),
    all.length > LISTED && el("p", { class: "quiet", text: `The first ${LISTED} of ${count(all.length)}.` }),
  );
}

/** Parameters of both sides; those that differ stand out. @param {ReplayDifference} difference */
function proposal({ stored, again, reason }) {
  const side = (/** @type {ReplayDifference["stored"]} */ values, /** @type {ReplayDifference["stored"]} */ others) =>
    values
      ? el(
          "dl",
          { class: "replay-side" },
          Object.keys(values)
            .sort()
            .map((name) => el("div", { class: others && JSON.stringify(values[name]) === JSON.stringify(others[name]) ? "same" : "differs" }, el("dt", { text: name }), el("dd", { class: "number", title: String(values[name]), text: exactly(values[name], others?.[name]) }))),
        )
      : el("p", { text: "nothing" });
  return [side(stored, again), el("div", {}, side(again, stored), reason ? el("p", { class: "quiet", text: reason }) : null)];
}

/** A value as short as it can be told from another. @param {unknown} value @param {unknown} other */
function exactly(value, other) {
  const text = parameter(value);
  return text === parameter(other) && value !== other ? String(value) : text;
}

/** @param {DecisionDifference} difference */
function judgement({ stored, again }) {
  const side = (/** @type {DecisionDifference["stored"]} */ decision) => (decision ? `${decision.text ?? ""} (${decision.rule})` : "no judgement");
  return [side(stored), side(again)];
}
