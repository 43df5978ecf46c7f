// A new study: a form and the study file side by side. What is changed in one shows in the other; what is wrong stands where it is.

import { api } from "../api.js";
import { attempt } from "../dialog.js";
import { el, fill, setText } from "../dom.js";
import { plural } from "../format.js";
import { Draft } from "../forms/draft.js";
import { editor } from "../forms/editor.js";
import { Fields } from "../forms/fields.js";
import { budget, stopping, strategy, trial } from "../forms/limits.js";
import { about, objectives, space } from "../forms/sections.js";
import { use } from "../later.js";
import { button, failure, notice, uuid } from "../parts.js";
import { address, go } from "../router.js";

/** A study that works wherever there is a worker with a shell. */
const EXAMPLE = `# A small study that works as it is: put in your own space and command.
name: first-study
objective: {metric: loss, goal: minimize}
space:
  lr: {type: float, low: 1e-4, high: 1.0, scale: log}
  width: {type: int, low: 8, high: 256, scale: log2}
strategy: {name: sobol}
budget: {trials: 16, parallel: 2}
trial:
  # Prints one line of JSON for each step.
  command: [sh, -c, 'for step in 1 2 3; do echo "{{\\"step\\": $step, \\"loss\\": $1}}"; done', sh, "{lr}"]
  steps: {name: epoch, max: 3}
`;
/** Names that are tried for a copy. */
const NAMES = 50;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showNew(place, { query }, signal) {
  const [zoom, schedule] = [query.get("zoom"), query.get("schedule")];
  const from = query.get("from") ?? zoom;
  const title = zoom ? `A part of ${zoom}` : schedule ? `Repeat trial ${schedule} of ${from}` : from ? `Clone ${from}` : "New study";
  document.title = `${title} \u00b7 Tunesmith`;
  fill(place, notice("loading", from ? `Loading ${from}\u2026` : "Loading\u2026"));
  /** Where what was written is kept in this tab, so that it is not lost with the page. */
  const kept = `draft ${[from ?? "", query.get("part"), schedule].filter((one) => one !== null).join(" ")}`;
  const draft = new Draft({ changed: () => draw(), signal });
  const fields = new Fields(draft);
  const sections = [about, objectives, space, strategy, stopping, budget, trial].map((make) => make(fields));
  const text = editor({ label: "Study file", write: (now) => draft.write(now) });
  const list = el("ul", { class: "problems", "aria-label": "Problems" });
  const summary = el("div", { class: "draft-summary", role: "status" });
  const paused = el("input", { type: "checkbox" });
  const create = el("button", { type: "button", class: "button primary", text: "Create study", "aria-keyshortcuts": "Control+Enter" });
  const knows = el("input", { type: "checkbox" });
  const form = el("fieldset", { class: "study-form", "aria-label": "Form" }, sections.map(({ node }) => node));
  let shown = false;

  const draw = () => {
    if (!shown) return;
    const checked = draft.checked ?? {};
    const problems = checked.problems ?? [];
    if (!draft.stale) {
      /** @type {Map<number, string>} */
      const wrong = new Map();
      for (const { line = 0, text: what = "" } of problems) wrong.set(line, [wrong.get(line), what].filter(Boolean).join("\n"));
      text.show(draft.text, wrong);
      // A text that cannot be read cannot be changed by what it means.
      form.disabled = problems.length > 0 && !checked.values?.length;
      for (const section of sections) section.draw();
      fields.sweep();
      fields.draw();
      fill(
        list,
        problems.map(({ line = 0, path, text: what = "" }) =>
          el("li", {}, line > 0 && el("button", { type: "button", class: "tool", text: `line ${line}`, on: { click: () => text.goTo(line) } }), el("span", {}, path && el("b", { text: path }), path && " ", what)),
        ),
      );
      knows.checked = from !== null && [...(draft.at(["strategy", "history"])?.inside.values() ?? [])].some((one) => one.text === from);
      try {
        sessionStorage.setItem(kept, draft.text);
      } catch {
        // It is too much to be kept.
      }
    }
    list.hidden = problems.length === 0;
    const how = draft.failure ? draft.failure.message : draft.stale ? "Checking\u2026" : problems.length ? plural(problems.length, "problem") : "";
    const facts = problems.length || draft.failure ? [] : [...(checked.facts ?? []).map(({ title: name, text: what }) => el("span", {}, el("span", { class: "quiet", text: `${name} ` }), what))];
    fill(summary, how && el("span", { class: problems.length || draft.failure ? "problem" : "quiet", text: how }), ...facts, ...(checked.warnings ?? []).map((what) => el("p", { class: "warning", text: what })));
    create.disabled = !draft.fine || sending;
  };

  const bring = async (/** @type {File | undefined} */ file = undefined) => (await use("views/import.js", signal))?.importStudy(file);
  place.addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault(), { signal });
  place.addEventListener(
    "drop",
    (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      void bring(file);
    },
    { signal },
  );
  let sending = false;
  const id = uuid();
  const submit = async () => {
    const { spec } = draft.checked ?? {};
    if (!draft.fine || !spec || sending) return;
    sending = true;
    draw();
    const study = await attempt(() => api.createStudy(spec, id, paused.checked), "");
    sending = false;
    if (!study) return draw();
    try {
      sessionStorage.removeItem(kept);
    } catch {
      // Nothing was kept, then.
    }
    go(address("studies", study.name.slice("studies/".length)));
  };
  create.addEventListener("click", submit);
  place.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && void submit());
  knows.addEventListener("change", () => {
    const names = [...(draft.at(["strategy", "history"])?.inside.values() ?? [])].map((one) => one.text).filter((name) => name !== from);
    if (knows.checked) names.push(String(from));
    draft.edit([names.length ? { path: ["strategy", "history"], set: JSON.stringify(names) } : { path: ["strategy", "history"], remove: true }]);
  });

  const again = () => {
    try {
      sessionStorage.removeItem(kept);
    } catch {
      // Nothing was kept, then.
    }
    void begin();
  };
  const begin = async () => {
    try {
      let written = null;
      try {
        written = sessionStorage.getItem(kept);
      } catch {
        // Nothing is kept here.
      }
      if (written) await draft.begin({ text: written });
      else if (from === null) await draft.begin({ text: EXAMPLE });
      else if (zoom) await draft.begin({ spec: (await api.planZoom(zoom, partOf(query.get("part")), { signal })).spec });
      else await copy(draft, from, schedule, signal);
    } catch (error) {
      if (!signal.aborted) fill(place, failure(error, begin));
      return;
    }
    if (signal.aborted) return;
    fill(
      place,
      el(
        "header",
        { class: "page" },
        el("nav", { class: "path", "aria-label": "Path" }, el("a", { href: "/", text: "Studies" }), from !== null && [" / ", el("a", { href: address("studies", from), text: from })]),
        el(
          "div",
          { class: "title-row" },
          el("h1", { title, text: title }),
          from !== null && !zoom && !schedule && el("label", { class: "check" }, knows, `Knows the trials of ${from} from the start`),
          el("div", { class: "buttons" }, el("label", { class: "check" }, paused, "Paused"), from === null && button("From an exported study\u2026", () => bring()), button("Start over", again), create),
        ),
      ),
      el("div", { class: "draft" }, form, el("section", { class: "draft-text", "aria-label": "Study file" }, summary, text.node, list)),
    );
    setText(summary, "");
    shown = true;
    draw();
    /** @type {HTMLElement | null} */ (form.querySelector("input"))?.focus({ preventScroll: true });
  };
  void begin();
}

/** Which part of a space an address means. @param {string | null} text @returns {import("../../types/api.js").ZoomRequest} */
function partOf(text) {
  try {
    return JSON.parse(text ?? "{}");
  } catch {
    throw new Error("This address does not say which part of the space is meant. Begin anew at the study.");
  }
}

/**
 * Begins with a study of another name, which may repeat one training instead.
 * @param {Draft} draft
 * @param {string} from
 * @param {string | null} schedule the trial whose training it repeats
 * @param {AbortSignal} signal
 */
async function copy(draft, from, schedule, signal) {
  const study = await api.study(from, { signal });
  const { spec } = study;
  /** @type {import("../../types/api.js").Edit[]} */
  const changes = [];
  if (schedule) {
    const module = await use("views/schedule.js", signal);
    if (!module) throw new Error("The coordinator does not answer. Try again in a moment.");
    const { segments } = module;
    changes.push({ path: ["strategy"], set: `{name: replay, segments: [${(await segments(from, study, schedule, signal)).join(", ")}]}` }, { path: ["budget"], remove: true });
  }
  const base = from.replace(/-\d+$/, "").slice(0, 120);
  const first = Number(/-(\d+)$/.exec(from)?.[1] ?? 1);
  for (let number = first + 1; number < first + NAMES; number += 1) {
    await draft.begin({ spec }, [{ path: ["name"], set: JSON.stringify(`${base}-${number}`) }, ...changes]);
    if (!draft.checked?.problems?.some(({ path }) => path === "name")) return;
  }
}
