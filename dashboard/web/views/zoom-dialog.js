// A new study over a part of another one's space: what it has is asked of the coordinator, shown, and created when it is wanted.

import { api } from "../api.js";
import { carryOut, say } from "../dialog.js";
import { el, fill } from "../dom.js";
import { count, num, parameter } from "../format.js";
import { gently } from "../live.js";
import { uuid } from "../parts.js";
import { address, go } from "../router.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../../types/api.js").Zoom} Zoom */
/** @typedef {import("../../types/api.js").ZoomRequest} ZoomRequest */

/** Between two questions while somebody types, in milliseconds. */
const PAUSE = 250;
/** How much wider than the trials the space is at first, in percent of each range. */
const MARGIN = 10;

/** @param {import("../../types/api.js").Parameter} parameter */
function domain({ type, low, high, choices, value, scale }) {
  if (type === "bool") return "false, true";
  if (type === "float" || type === "int") return `${parameter(num(low))} to ${parameter(num(high))}${scale && scale !== "linear" ? `, ${scale.replace("_", " ")}` : ""}`;
  return type === "constant" ? `always ${parameter(value)}` : (choices ?? []).map(parameter).join(", ");
}

/**
 * @param {object} options
 * @param {string} options.name of the study
 * @param {Study} options.study
 * @param {() => ZoomRequest} options.request which part; throws what is wrong with what was written
 * @param {string[]} [options.said] what else there is to know of it
 * @param {HTMLElement} [options.choices] where the part is chosen; asked about anew at each change in it
 */
export async function zoomDialog({ name, study, request, said = [], choices }) {
  const before = new Map((study.spec.space ?? []).map((one) => [one.name, domain(one)]));
  const ending = new AbortController();
  /** @type {Promise<Zoom>} */
  let plan = ask();
  // Without a choice there is nothing that could be mended in the dialog.
  if (!choices) {
    try {
      await plan;
    } catch (error) {
      return say(error instanceof Error ? error.message : String(error), "failed");
    }
  }
  const called = el("input", { type: "text", id: "zoom-name", required: true, spellcheck: "false" });
  const trials = el("input", { type: "text", inputmode: "numeric", id: "zoom-trials", class: "short", placeholder: "no limit" });
  const space = el("tbody");
  const notes = el("div", { class: "plan-notes", role: "status" });
  const file = el("a", { href: "/new", text: "Change it as a study file first", on: { click: (/** @type {Event} */ event) => /** @type {HTMLElement} */ (event.target).closest("dialog")?.close?.("") } });
  async function ask() {
    return api.planZoom(name, request(), { signal: ending.signal });
  }
  /** What was proposed, which is put in place of itself only. */
  let [proposed, budget] = ["", ""];
  /** @param {HTMLInputElement} input @param {string} last @param {string} now */
  const propose = (input, last, now) => {
    if (input.value === last) input.value = now;
    return now;
  };
  const draw = async () => {
    const mine = plan;
    try {
      const { spec, notes: left = [], taken, trials: around = [] } = await mine;
      if (mine !== plan) return;
      proposed = propose(called, proposed, spec.name);
      budget = propose(trials, budget, spec.budget?.trials === undefined ? "" : String(spec.budget.trials));
      fill(
        space,
        (spec.space ?? []).map((one) => {
          const [now, was] = [domain(one), before.get(one.name)];
          return el("tr", {}, el("th", { scope: "row", text: one.name }), el("td", { class: now === was ? "quiet number" : "number", text: now }), el("td", { class: "quiet number", text: now === was ? "" : `was ${was}` }));
        }),
      );
      const places = around.length ? [`It lies around trial${around.length === 1 ? "" : "s"} ${around.slice(0, 8).join(", ")}${around.length > 8 ? ` and ${count(around.length - 8)} more` : ""}.`] : [];
      const knows = num(taken) ? `It knows ${count(taken)} finished trial${num(taken) === 1 ? "" : "s"} of ${name} from the start.` : `It knows no trial of ${name}: none lies here.`;
      fill(notes, [...places, ...said, knows, ...left].map((text) => el("p", { class: "quiet", text })));
      file.setAttribute("href", `${address("new")}?${new URLSearchParams({ zoom: name, part: JSON.stringify(request()) })}`);
    } catch (error) {
      if (mine !== plan || ending.signal.aborted) return;
      fill(notes, el("p", { class: "problem", text: error instanceof Error ? error.message : String(error) }));
    }
  };
  const again = () => {
    plan = ask();
    plan.catch(() => {}); // draw says it
    void draw();
  };
  choices?.addEventListener("input", gently(again, PAUSE, ending.signal));
  void draw();
  let [id, sent] = [uuid(), ""];
  const created = await carryOut({
    title: `New study over a part of ${name}`,
    body: [
      choices ?? "",
      el("div", { class: "fields" }, el("label", { for: "zoom-name", text: "Name" }), called, el("label", { for: "zoom-trials", text: "Trials" }), trials),
      el("div", { class: "plan", tabindex: 0, role: "region", "aria-label": "Its space" }, el("table", {}, space)),
      notes,
      el("p", {}, file),
    ],
    action: "Create and start",
    work: async () => {
      // What was typed last may not have been asked about yet.
      plan = ask();
      await draw();
      const { spec } = await plan;
      const limit = trials.value.trim();
      if (limit && !/^[1-9]\d*$/.test(limit)) throw new Error(`trials is ${limit}; give a whole number from 1, or nothing for no limit`);
      const { trials: _, ...rest } = spec.budget ?? {};
      const wanted = { ...spec, name: called.value.trim(), budget: limit ? { ...rest, trials: limit } : rest };
      // The same id must not come with other content.
      if (sent && sent !== JSON.stringify(wanted)) id = uuid();
      sent = JSON.stringify(wanted);
      return api.createStudy(wanted, id);
    },
  });
  ending.abort();
  if (created) go(address("studies", created.spec.name));
}

/**
 * Asks which part of a study is to be looked at more closely, around which trials.
 * @param {string} name
 * @param {Study} study
 * @param {string} [trial] the one to begin with
 */
export async function zoomAround(name, study, trial) {
  const several = Boolean(study.spec.moreObjectives?.length);
  const option = (/** @type {string} */ value, /** @type {string} */ text, /** @type {Node | null} */ input) => el("div", { class: "option" }, el("input", { type: "radio", name: "zoom-around", id: `zoom-${value}`, value, checked: value === (trial ? "trial" : "best") }), el("label", { for: `zoom-${value}`, text }), input);
  const best = el("input", { type: "text", inputmode: "numeric", class: "short", "aria-label": "Number of best trials", placeholder: "a tenth" });
  const around = el("input", { type: "text", inputmode: "numeric", class: "short", "aria-label": "Number of the trial", value: trial ?? (study.best ? String(study.best.number) : "") });
  const margin = el("input", { type: "text", inputmode: "decimal", class: "short", id: "zoom-margin", value: String(MARGIN) });
  const choices = el(
    "fieldset",
    { class: "options", "aria-label": "Where" },
    option("best", several ? "Around the trials of its Pareto set" : "Around so many of its best trials", several ? null : best),
    option("trial", "Around the trial", around),
    el("div", { class: "option" }, el("label", { for: "zoom-margin", text: "Wider on each side by, in percent of each range" }), margin),
  );
  // Who writes a number means the choice that it belongs to.
  for (const [input, value] of /** @type {[HTMLInputElement, string][]} */ ([[best, "best"], [around, "trial"]])) {
    input.addEventListener("input", () => (/** @type {HTMLInputElement} */ (choices.querySelector(`#zoom-${value}`)).checked = true), { capture: true });
  }
  const whole = (/** @type {HTMLInputElement} */ input, /** @type {string} */ what) => {
    const text = input.value.trim();
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${what} is ${text || "missing"}; give a whole number from 1`);
    return Number(text);
  };
  const request = () => {
    const share = Number(margin.value) / 100;
    if (!margin.value.trim() || !(share >= 0 && share <= 1)) throw new Error(`the percentage is ${margin.value.trim() || "missing"}; give a number from 0 to 100`);
    if (/** @type {HTMLInputElement} */ (choices.querySelector("#zoom-trial")).checked) return { margin: share, aroundTrial: String(whole(around, "the trial")) };
    return { margin: share, ...(best.value.trim() ? { best: whole(best, "the number of best trials") } : {}) };
  };
  await zoomDialog({ name, study, request, choices });
}
