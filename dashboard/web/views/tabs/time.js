// The part of a study's page about time: which attempt ran where and when, how busy that kept the slots, and what is left of the budgets.

import { api } from "../../api.js";
import { attempt } from "../../dialog.js";
import { el, fill, setText } from "../../dom.js";
import { clock, count, day, duration, percent, plural, short } from "../../format.js";
import { gently } from "../../live.js";
import { button } from "../../parts.js";
import { keep, onKey } from "../../router.js";
import { allOf, badge, hasEnded } from "../../states.js";
import { Table } from "../../table.js";
import { Details } from "../details.js";
import { burns, endings } from "./budget.js";
import { burndown } from "./burndown.js";
import { arrange, busy, spans } from "./lanes.js";
import { legend, timeline } from "./timeline.js";

/** @typedef {import("./lanes.js").Span} Span */

/** Between two drawings, and between two looks at a study for what it has spent, in milliseconds. */
const PAUSE = 500;
const LOOK = 5_000;
/** Bars that grow are drawn so often. */
const GROW = 1_000;
const DAY = 86_400_000;

/** @type {import("../study.js").Create} */
export function create({ model, query, href, open, signal }) {
  const details = Details.of(model);
  /** @type {Map<string, string[]>} */
  const gpusOf = new Map();
  /** @type {import("./timeline.js").Arranged} */
  let arranged = { lanes: [], bars: [], from: 0, to: 1, now: 0 };
  /** The study as it was seen last, for what it had spent then: it spends also while nothing of it changes. */
  let spending = { of: model.study, at: Date.now() };
  let seen = model.study;
  let read = 0;

  const chart = timeline({ data: () => arranged, open, signal });
  const budget = burndown({ data: () => budgets(), signal });
  const words = el("p", { class: "words" });
  const note = el("p", { class: "quiet note", role: "status" });
  const more = button("Read more trials", () => void attempt(() => model.more(), ""));
  const ask = () => details.ask([...model.trials.keys()], drawAll);
  const body = el("div");
  /** @type {Map<string, string>} the slot of each attempt */
  let slots = new Map();
  /** @type {Table<Span>} */
  const table = new Table({
    label: "Attempts",
    rowHeight: 32,
    id: ({ id }) => id,
    open: ({ trial }) => open(trial),
    sorted: (column, descending) => {
      keep({ sort: column, down: descending ? "1" : "" });
      drawTable();
    },
  });
  table.setSort(query.get("sort") ?? "from", query.get("sort") ? query.get("down") === "1" : true);
  table.setColumns([
    { id: "trial", title: "Trial", cell: ({ trial }) => el("a", { href: href(trial), tabindex: -1, class: "number", text: String(trial) }), key: ({ trial }) => trial, descending: true, width: "5rem" },
    { id: "attempt", title: "Attempt", cell: ({ attempt: number }) => String(number), key: ({ attempt: number }) => number, right: true, width: "6rem" },
    { id: "state", title: "End", cell: ({ look, outcome }) => badge(look, outcome), key: ({ look }) => look.word, width: "9.5rem" },
    { id: "holder", title: "On", cell: ({ holder }) => holder, key: ({ holder }) => holder, width: "11rem" },
    { id: "slot", title: "Slot", cell: ({ id }) => slots.get(id) ?? "", key: ({ id }) => slots.get(id) ?? "", width: "7rem" },
    { id: "from", title: "From", cell: ({ from }) => (arranged.to - arranged.from < DAY ? clock(from) : day(new Date(from).toISOString())), key: ({ from }) => from, descending: true, width: "11rem" },
    { id: "time", title: "Time", cell: (span) => duration(length(span)), key: length, right: true, descending: true, width: "7rem" },
    { id: "outcome", title: "Outcome", cell: ({ outcome }) => outcome, key: ({ outcome }) => outcome, width: "18rem" },
  ]);

  const known = () => [...model.trials.keys()].filter((number) => details.get(number));
  const wanted = () => [...model.trials.values()].filter(({ startedAt, state }) => startedAt || !/PENDING$/.test(state)).length;
  // Of trials that begin later the attempts are read in a moment, which is not worth a word.
  const isReading = () => !details.settled;
  const arrangeAll = () => {
    const all = known().flatMap((number) => spans(/** @type {import("../../../types/api.js").Trial} */ (model.trials.get(number)), details.get(number)?.attempts ?? []));
    const now = Date.now();
    const { lanes, bars } = arrange(all, gpusOf);
    const from = Math.min(...all.map((span) => span.from));
    const last = Math.max(...all.map(({ to }) => (Number.isNaN(to) ? now : to)));
    // Of a study that is not read as a whole nobody knows here what came after what was read.
    const live = model.complete && model.study !== null && !hasEnded(model.study);
    // What is looked at more closely stays where it is.
    const to = chart.isZoomed ? arranged.to : live ? now : last;
    arranged = all.length ? { lanes, bars, from, to: Math.max(to, from + 1000), now } : { lanes, bars, from: now - 1000, to: now, now };
    slots = new Map();
    for (const { span, lane } of bars) slots.set(span.id, [slots.get(span.id), lanes[lane].name].filter(Boolean).join(", "));
  };
  const drawWords = () => {
    const { lanes, bars, from, to } = arranged;
    const holders = new Set(lanes.map(({ holder }) => holder));
    const gpus = bars.some(({ span }) => span.gpus.length);
    const what = gpus ? plural(lanes.length, "GPU") : plural(lanes.length, "slot");
    const span = `from ${clock(from)} on, for ${duration((to - from) / 1000)}`;
    // While attempts are missing slots look idle that were not.
    setText(words, lanes.length && model.complete && !isReading() ? `${what} of ${holders.size === 1 ? [...holders][0] : plural(holders.size, "worker")} ${lanes.length === 1 ? "was" : "were"} busy ${percent(busy(arranged, from, to))} of the time, ${span}.` : "");
    const all = allOf(model.study?.counts);
    const part = model.complete ? "" : `${count(model.trials.size)} of ${count(all)} trials are shown.`;
    setText(note, [part, isReading() && model.ready ? `Reading attempts: ${count(read)} of ${count(wanted())} trials.` : ""].filter(Boolean).join(" "));
    note.hidden = note.textContent === "";
    more.hidden = model.complete || !model.next;
  };
  const drawTable = () => {
    const all = [...new Set(arranged.bars.map(({ span }) => span))];
    const message = !model.ready ? "Loading attempts\u2026" : all.length ? "" : isReading() ? "Reading attempts\u2026" : "No trial has begun yet.";
    chart.setEmpty(message);
    if (message) {
      if (body.textContent !== message) fill(body, el("p", { class: "table-empty", text: message }));
      return;
    }
    if (!body.contains(table.node)) fill(body, table.node);
    table.setRows(table.ordered(all));
  };
  const budgets = () => {
    const { study } = model;
    if (!study) return { burns: [], endings: [], now: 0, began: 0, note: "" };
    const all = model.complete && model.ready && !isReading();
    const attempts = all ? known().flatMap((number) => details.get(number)?.attempts ?? []) : null;
    const now = Date.now();
    const list = burns({ study: { ...study, spending: spending.of?.spending }, trials: [...model.trials.values()], results: [...model.best, ...model.others], attempts, complete: model.complete, now, asOf: spending.at });
    const unknown = list.filter(({ points }) => points.length < 2).map(({ name }) => name);
    const why = model.complete ? "since the study was paused at some time, or not all attempts are read" : "since not all trials are read";
    return { burns: list, endings: endings(study), now, began: Date.parse(study.createdAt ?? ""), note: unknown.length ? `How ${unknown.join(" and ")} came about is not known here, ${why}.` : "" };
  };
  const drawAll = gently(
    () => {
      read = known().length;
      arrangeAll();
      drawWords();
      drawTable();
      chart.setLegend(legend(arranged.bars));
      if (arranged.bars.length) chart.draw();
      budget.draw();
    },
    PAUSE,
    signal,
  );
  const lookAtWorkers = async () => {
    const { workers = [] } = await api.workers({ signal });
    for (const { name, resources } of workers) gpusOf.set(short(name), (resources?.gpus ?? []).map(({ uuid }) => uuid));
  };
  // Without the order of GPUs they are sorted by name.
  lookAtWorkers().then(drawAll, () => {});
  const timer = setInterval(() => {
    if (!document.hidden && arranged.bars.some(({ span }) => Number.isNaN(span.to))) drawAll();
  }, GROW);
  const looking = setInterval(async () => {
    if (document.hidden || !model.study || hasEnded(model.study)) return;
    const study = await api.study(model.name, { signal }).catch(() => null);
    if (!study) return;
    spending = { of: study, at: Date.now() };
    drawAll();
  }, LOOK);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    clearInterval(looking);
  });
  onKey("t", () => table.focus(), signal);
  return {
    node: el(
      "div",
      { class: "time" },
      el("section", { class: "part" }, words, el("div", { class: "section" }, note, more), chart.node),
      budget.node,
      el("section", { class: "part" }, el("header", { class: "section" }, el("h2", { text: "Attempts" })), body),
    ),
    draw() {
      if (model.study !== seen) spending = { of: (seen = model.study), at: Date.now() };
      if (!model.ready) return drawAll();
      ask();
      drawAll();
    },
    tick() {
      details.age();
      ask();
      table.redraw();
    },
  };
}

/** @param {Span} span seconds that it has taken */
function length({ from, to }) {
  return ((Number.isNaN(to) ? Date.now() : to) - from) / 1000;
}
