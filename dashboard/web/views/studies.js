// All studies: how they are, how far, and how good.

import { api } from "../api.js";
import { el, fill, setText } from "../dom.js";
import { ago, count, gpuHours, measure, num, short } from "../format.js";
import { gently, repeat } from "../live.js";
import { failure, notice, progress, spark, stateBar } from "../parts.js";
import { address, go, keep, onKey } from "../router.js";
import { allOf, badge, endedOf, hasEnded, studyLook } from "../states.js";
import { Table } from "../table.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {{ended: number, steps: {ended: number, value: number}[], asked: number}} Course */

/** Between two readings while something is active, and while nothing is. */
const OFTEN = 1_000;
const SELDOM = 5_000;
/** How many pages of studies are shown; each has 200. */
const PAGES = 10;
/** Questions at the same time about how best values came about, and the time between two about one study. */
const AT_A_TIME = 2;
const COURSE_PAUSE = 3_000;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showStudies(place, { query }, signal) {
  document.title = "Studies \u00b7 Tunesmith";
  /** @type {Map<string, {text: string, study: Study}>} */
  const known = new Map();
  /** @type {Map<string, Course>} */
  const courses = new Map();
  /** @type {Study[]} */
  let studies = [];
  let archived = query.get("archived") === "1";

  const search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search studies", "aria-keyshortcuts": "/", value: query.get("q") ?? "" });
  const old = el("input", { type: "checkbox", checked: archived });
  const number = el("span", { class: "quiet" });
  const content = el("div", {}, notice("loading", "Loading studies\u2026"));
  fill(
    place,
    el("header", { class: "page" }, el("h1", {}, "Studies ", number), el("div", { class: "filters" }, el("label", { class: "check" }, old, "Archived"), search)),
    content,
  );

  /** @type {Table<Study>} */
  const table = new Table({
    label: "Studies",
    rowHeight: 60,
    id: ({ uid }) => uid,
    open: (study) => go(address("studies", short(study.name))),
    sorted: (column, descending) => (keep({ sort: column, down: descending ? "1" : "" }), draw()),
  });
  table.setColumns([
    { id: "name", title: "Study", cell: name, key: ({ name }) => short(name), width: "28%" },
    { id: "state", title: "State", cell: state, key: (study) => studyLook(study).word, width: "9rem" },
    { id: "progress", title: "Trials", cell: trials, key: ({ counts }) => allOf(counts), descending: true, width: "12rem" },
    { id: "best", title: "Best", cell: best, key: ({ best }) => num(best?.value), right: true, width: "9rem" },
    { id: "course", title: "Best so far", cell: (study) => course(study), width: "9rem" },
    { id: "gpu", title: "GPU hours", cell: ({ spending }) => gpuHours(spending?.gpuHours), key: ({ spending }) => spending?.gpuHours ?? 0, descending: true, right: true, width: "7rem" },
    { id: "created", title: "Created", cell: ({ createdAt }) => el("time", { datetime: createdAt, title: createdAt, text: ago(createdAt, Date.now()) }), key: ({ createdAt }) => Date.parse(createdAt ?? ""), descending: true, right: true, width: "8rem" },
  ]);
  table.setSort(query.get("sort") ?? "created", query.get("sort") ? query.get("down") === "1" : true);

  const draw = () => {
    const text = search.value.trim().toLowerCase();
    const found = studies.filter(({ name, spec, creator }) => `${name.slice("studies/".length)} ${spec.message ?? ""} ${creator ?? ""}`.toLowerCase().includes(text));
    setText(number, studies.length ? count(studies.length) : "");
    if (studies.length === 0) return void fill(content, welcome());
    if (found.length === 0) return void fill(content, notice("empty", `No study matches \u201c${search.value.trim()}\u201d`));
    if (!content.contains(table.node)) fill(content, table.node);
    table.setRows(table.ordered(found));
  };
  const drawSoon = gently(() => draw(), 200, signal);

  // How the best values came about, of those studies that are seen.
  const queue = /** @type {Study[]} */ ([]);
  let asking = 0;
  const ask = async () => {
    const study = queue.shift();
    if (!study || asking >= AT_A_TIME || signal.aborted) return;
    asking += 1;
    try {
      const { incumbents = {}, ended } = await api.incumbents(short(study.name), 0, { signal });
      const steps = (incumbents.value ?? []).map((value, index) => ({ value: num(value), ended: num(incumbents.ended?.[index]) }));
      courses.set(study.uid, { ended: num(ended ?? 0), steps, asked: Date.now() });
      const entry = known.get(study.uid);
      // Another object, so that its row is drawn again.
      if (entry) {
        entry.study = { ...entry.study };
        studies = studies.map((other) => (other.uid === study.uid ? entry.study : other));
        drawSoon();
      }
    } catch {
      // There is no picture of it, then; the list itself tells if the coordinator is away.
    } finally {
      asking -= 1;
      void ask();
    }
  };
  /** @param {Study} study */
  function course(study) {
    const last = courses.get(study.uid);
    const ended = endedOf(study.counts);
    if (ended > 0 && ended !== last?.ended && Date.now() - (last?.asked ?? 0) > COURSE_PAUSE && !queue.some(({ uid }) => uid === study.uid)) {
      queue.push(study);
      void ask();
    }
    return spark(last?.steps ?? [], last?.ended ?? 0);
  }

  const again = repeat(
    async () => {
      /** @type {Study[]} */
      const read = [];
      let token;
      for (let page = 0; page < PAGES; page += 1) {
        const { studies: some = [], nextPageToken } = await api.studies({ archived, token }, { signal });
        read.push(...some);
        token = nextPageToken;
        if (!token) break;
      }
      studies = read.map((study) => {
        const text = JSON.stringify(study);
        const before = known.get(study.uid);
        if (before?.text === text) return before.study;
        known.set(study.uid, { text, study });
        return study;
      });
      draw();
      return studies.some(({ state }) => state === "STUDY_STATE_ACTIVE") ? OFTEN : SELDOM;
    },
    (error) => fill(content, failure(error, () => showStudies(place, { path: "/", params: {}, query }, signal))),
    signal,
  );
  search.addEventListener("input", () => (keep({ q: search.value.trim() }), draw()));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") event.preventDefault(), table.focus();
    if (event.key === "Escape") search.blur();
  });
  old.addEventListener("change", () => {
    archived = old.checked;
    keep({ archived: archived ? "1" : "" });
    again();
  });
  onKey("/", () => search.focus(), signal);
  onKey("t", () => table.focus(), signal);
  // Times go on though nothing happens.
  const ticking = setInterval(() => !document.hidden && table.redraw(), 30_000);
  signal.addEventListener("abort", () => clearInterval(ticking));
}

/** @param {Study} study */
function name({ name: resource, spec }) {
  const short_ = short(resource);
  return el("div", { class: "two" }, el("a", { href: address("studies", short_), tabindex: -1, title: short_, text: short_ }), el("span", { class: "quiet", title: spec.message || null, text: spec.message ?? "" }));
}

/** @param {Study} study */
function state(study) {
  return badge(studyLook(study), study.stateReason || study.pendingReason);
}

/** @param {Study} study */
function trials(study) {
  const ended = endedOf(study.counts);
  const budget = num(study.spec.budget?.trials);
  const words = Number.isFinite(budget) ? `${count(ended)} of ${count(budget)}` : count(ended);
  const bar = Number.isFinite(budget) && !hasEnded(study) ? progress(ended, budget, `${words} trials`) : stateBar(study.counts);
  return el("div", { class: "two" }, el("span", { class: "number", text: words }), bar);
}

/** @param {Study} study */
function best({ best: trial, spec, paretoSet }) {
  if (paretoSet?.length) return el("div", { class: "two" }, el("span", { text: `${paretoSet.length} trials` }), el("span", { class: "quiet", text: "Pareto set" }));
  return el("div", { class: "two" }, el("span", { class: "number", text: measure(trial?.value) }), el("span", { class: "quiet", text: spec.objective?.metric ?? "" }));
}

function welcome() {
  return notice("empty", "No studies yet", el("p", {}, "Describe one in a file and run it:"), el("pre", { class: "command", text: "tunesmith run study.yaml" }), el("p", { class: "quiet", text: "It appears here as soon as it is created." }));
}
