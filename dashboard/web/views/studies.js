// All studies: how they are, how far, and how good.

import { api } from "../api.js";
import { el, fill, setText } from "../dom.js";
import { ago, count, gpuHours, measure, num, short } from "../format.js";
import { gently, repeat } from "../live.js";
import { button, failure, notice, spark, stateBar } from "../parts.js";
import { firstLine } from "../prose.js";
import { address, go, keep, onKey } from "../router.js";
import { allOf, badge, endedOf, hasEnded, studyLook } from "../states.js";
import { Table } from "../table.js";
import { MOST } from "./listed.js";

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
  /** The project whose studies are shown; all if empty. */
  let project = query.get("project") ?? "";
  const projects = el("select", { "aria-label": "Project", hidden: true });
  const grouped = el("input", { type: "checkbox", checked: query.get("group") === "project" });
  const groupedLabel = el("label", { class: "check", hidden: true }, grouped, "By project");
  const number = el("span", { class: "quiet" });
  /** Names of studies that are ticked. */
  const chosen = new Set((query.get("chosen") ?? "").split(",").filter(Boolean));
  const ticked = el("div", { class: "chosen", role: "group", "aria-label": "Ticked studies" });
  const content = el("div", {}, notice("loading", "Loading studies\u2026"));
  fill(
    place,
    el("header", { class: "page" }, el("h1", {}, "Studies ", number), el("div", { class: "filters" }, projects, groupedLabel, el("label", { class: "check" }, old, "Archived"), search, el("a", { class: "button primary", href: "/new", "aria-keyshortcuts": "n", text: "New study" }))),
    ticked,
    content,
  );
  const drawTicked = () => {
    keep({ chosen: [...chosen].join(",") });
    ticked.hidden = chosen.size === 0;
    const compare = button(`Compare (${chosen.size})`, () => go(`/compare?studies=${[...chosen].map(encodeURIComponent).join(",")}`), "primary");
    compare.disabled = chosen.size < 2 || chosen.size > MOST;
    if (chosen.size > MOST) compare.title = `Up to ${MOST} can be compared`;
    const clear = () => {
      chosen.clear();
      for (const { table } of groups.values()) table.ticked();
      drawTicked();
    };
    fill(ticked, el("span", { text: `${chosen.size === 1 ? "1 study" : `${chosen.size} studies`} ticked` }), compare, button("Clear", clear));
  };
  drawTicked();

  let sort = { column: query.get("sort") ?? "created", descending: query.get("sort") ? query.get("down") === "1" : true };
  /** A table for each project, or one for all. @type {Map<string, {table: Table<Study>, node: HTMLElement}>} */
  const groups = new Map();
  /** @param {string | null} group the project; null for all */
  const makeTable = (group) => {
    /** @type {Table<Study>} */
    const table = new Table({
      label: group === null ? "Studies" : group ? `Studies of ${group}` : "Studies without a project",
      rowHeight: 60,
      id: ({ name }) => short(name),
      open: (study) => go(address("studies", short(study.name))),
      sorted: (column, descending) => {
        sort = { column, descending };
        keep({ sort: column, down: descending ? "1" : "" });
        for (const other of groups.values()) other.table.setSort(column, descending);
        draw();
      },
      choice: { chosen, changed: drawTicked, label: ({ name }) => `Tick ${short(name)}` },
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
    table.setSort(sort.column, sort.descending);
    const title = group === null ? null : el("h2", {}, group ? el("a", { href: `/?project=${encodeURIComponent(group)}`, text: group }) : "No project");
    return { table, node: el("section", { class: "project", "aria-label": group === null ? "All studies" : group || "No project" }, title, table.node) };
  };
  let shapeOfProjects = "";
  const drawProjects = () => {
    const all = [...new Set(studies.map(({ spec }) => spec.project ?? "").filter(Boolean))].sort();
    if (project && !all.includes(project)) all.push(project);
    projects.hidden = all.length === 0;
    groupedLabel.hidden = all.length === 0 || project !== "";
    const now = JSON.stringify([all, project]);
    if (now === shapeOfProjects) return;
    shapeOfProjects = now;
    fill(projects, el("option", { value: "", text: "All projects" }), all.map((one) => el("option", { value: one, text: one })));
    projects.value = project;
  };

  const draw = () => {
    drawProjects();
    const text = search.value.trim().toLowerCase();
    const found = studies.filter(({ name, spec, creator }) => (project === "" || spec.project === project) && `${name.slice("studies/".length)} ${spec.project ?? ""} ${spec.message ?? ""} ${creator ?? ""}`.toLowerCase().includes(text));
    setText(number, studies.length ? count(studies.length) : "");
    if (studies.length === 0) return void fill(content, welcome());
    if (found.length === 0) return void fill(content, notice("empty", text ? `No study matches \u201c${search.value.trim()}\u201d` : `No study of the project ${project}`));
    const apart = grouped.checked && !groupedLabel.hidden;
    const of = (/** @type {Study} */ { spec }) => spec.project ?? "";
    // Those without a project come last.
    const wanted = apart ? [...new Set(found.map(of))].sort((a, b) => Number(a === "") - Number(b === "") || a.localeCompare(b)) : [null];
    for (const key of groups.keys()) if (!wanted.some((group) => keyOf(group) === key)) groups.delete(key);
    const shown = wanted.map((group) => {
      let known = groups.get(keyOf(group));
      if (!known) groups.set(keyOf(group), (known = makeTable(group)));
      known.table.setRows(known.table.ordered(group === null ? found : found.filter((study) => of(study) === group)));
      return known.node;
    });
    if (shown.length !== content.children.length || shown.some((node, index) => content.children[index] !== node)) fill(content, shown);
  };
  const tables = () => [...groups.values()].map(({ table }) => table);
  const drawSoon = gently(() => draw(), 200, signal);

  // How the best values came about, of those studies that are seen.
  const queue = /** @type {Study[]} */ ([]);
  let asking = 0;
  const ask = async () => {
    if (asking >= AT_A_TIME || signal.aborted) return;
    const study = queue.shift();
    if (!study) return;
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
      const before = studies;
      studies = read.map((study) => {
        // The time for which it is active grows, and is not shown here.
        const text = JSON.stringify({ ...study, spending: { ...study.spending, wallTime: "" } });
        const entry = known.get(study.uid);
        if (entry?.text === text) return entry.study;
        known.set(study.uid, { text, study });
        return study;
      });
      if (studies.length === 0 || studies.length !== before.length || studies.some((study, index) => study !== before[index])) draw();
      return studies.some(({ state }) => state === "STUDY_STATE_ACTIVE") ? OFTEN : SELDOM;
    },
    (error) => fill(content, failure(error, () => showStudies(place, { path: "/", params: {}, query }, signal))),
    signal,
  );
  search.addEventListener("input", () => (keep({ q: search.value.trim() }), draw()));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") event.preventDefault(), tables()[0]?.focus();
    if (event.key === "Escape") search.blur();
  });
  old.addEventListener("change", () => {
    archived = old.checked;
    keep({ archived: archived ? "1" : "" });
    again();
  });
  onKey("/", () => search.focus(), signal);
  projects.addEventListener("change", () => {
    project = projects.value;
    keep({ project });
    draw();
  });
  grouped.addEventListener("change", () => {
    keep({ group: grouped.checked ? "project" : "" });
    draw();
  });
  onKey("t", () => tables()[0]?.focus(), signal);
  onKey("n", () => go("/new"), signal);
  // Times go on though nothing happens.
  const ticking = setInterval(() => !document.hidden && tables().forEach((table) => table.redraw()), 30_000);
  signal.addEventListener("abort", () => clearInterval(ticking));
}

/** The key of a project's table; null is that of all. @param {string | null} group */
const keyOf = (group) => (group === null ? "all" : `project ${group}`);

/** @param {Study} study */
function name({ name: resource, spec }) {
  const short_ = short(resource);
  return el("div", { class: "two" }, el("span", {}, el("a", { href: address("studies", short_), tabindex: -1, title: short_, text: short_ }), spec.project && el("span", { class: "of-project", title: "Project", text: spec.project })), el("span", { class: "quiet", title: spec.message || null, text: firstLine(spec.message) }));
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
  return el("div", { class: "two" }, el("span", { class: "number", text: words }), stateBar(study.counts, hasEnded(study) ? 0 : budget));
}

/** @param {Study} study */
function best({ best: trial, spec, paretoSet }) {
  if (paretoSet?.length) return el("div", { class: "two" }, el("span", { text: `${paretoSet.length} trials` }), el("span", { class: "quiet", text: "Pareto set" }));
  return el("div", { class: "two" }, el("span", { class: "number", text: measure(trial?.value) }), el("span", { class: "quiet", text: spec.objective?.metric ?? "" }));
}

function welcome() {
  return notice("empty", "No studies yet", el("p", {}, "Describe one here, or in a file, and run it:"), el("div", { class: "buttons" }, el("a", { class: "button primary", href: "/new", text: "New study" })), el("pre", { class: "command", text: "tunesmith run study.yaml" }), el("p", { class: "quiet", text: "It appears here as soon as it is created." }));
}
