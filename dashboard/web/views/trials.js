// The table of a study's trials: every parameter and metric can be a column; filtered by state and text.

import { el, fill } from "../dom.js";
import { between, count, duration, measure, num, parameter } from "../format.js";
import { api } from "../api.js";
import { attempt } from "../dialog.js";
import { firstLine } from "../prose.js";
import { keep } from "../router.js";
import { allOf, badge, isOver, TRIAL_STATES, trialLook } from "../states.js";
import { Table } from "../table.js";
import { chipsOf, give, read, written } from "../tags.js";
import { chosenTrials } from "./chosen.js";
import { ALL } from "./model.js";
import { noteOn } from "./note.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../table.js").Column<Trial>} Column */
/** @typedef {import("./model.js").StudyModel} StudyModel */

/** Parameters that have a column from the start. */
const PARAMETERS = 8;

/**
 * @param {object} options
 * @param {StudyModel} options.model
 * @param {URLSearchParams} options.query
 * @param {(trial: Trial) => void} options.open
 * @param {(trial: Trial) => string} options.href
 */
export function trialTable({ model, query, open, href }) {
  /** @type {Set<string>} */
  const states = new Set((query.get("state") ?? "").split(",").filter(Boolean));
  /** @type {Set<string> | null} as chosen, or null for what is shown from the start */
  let chosen = query.has("columns") ? new Set((query.get("columns") ?? "").split(",").filter(Boolean)) : null;
  let shape = "";

  const search = el("input", { type: "search", placeholder: "Search trials", "aria-label": "Search trials", "aria-keyshortcuts": "/", value: query.get("q") ?? "" });
  const chips = el("div", { class: "chips", role: "group", "aria-label": "States" });
  const chooser = el("div", { class: "menu" });
  const columnsMenu = el("details", { class: "columns" }, el("summary", { class: "button", text: "Columns" }), chooser);
  const note = el("p", { class: "quiet note" });
  const chosenNow = new Set((query.get("chosen") ?? "").split(",").filter((number) => /^\d+$/.test(number)));
  const ticked = chosenTrials({ model, chosen: chosenNow, cleared: () => table.ticked() });
  const body = el("div");
  /** @type {Table<Trial>} */
  const table = new Table({
    label: "Trials",
    rowHeight: 36,
    id: ({ number }) => String(number),
    open,
    sorted: (column, descending) => {
      keep({ sort: column, down: descending ? "1" : "" });
      if (model.complete) return draw();
      relist();
    },
    more: () => void attempt(() => model.more(), ""),
    choice: { chosen: chosenNow, changed: () => ticked.draw(), label: ({ number }) => `Tick trial ${number}` },
    keys: { n: (trial) => editCell(trial, "note"), l: (trial) => editCell(trial, "tags") },
  });
  const set = async (/** @type {Promise<Trial | undefined>} */ work) => {
    const after = await work;
    if (after) model.setTrial(after);
    else table.redraw();
  };
  /** Edits a cell, in a column that is shown for it. @param {Trial} trial @param {string} column */
  const editCell = (trial, column) => {
    const columns = all();
    const shown = chosen ?? usual(columns);
    if (!shown.has(column)) {
      chosen = new Set([...shown, column]);
      keep({ columns: [...chosen].join(",") });
      draw();
    }
    table.edit(trial, column);
  };
  table.setSort(query.get("sort") ?? "number", query.get("sort") ? query.get("down") === "1" : true);
  const node = el("section", { class: "trials" }, el("header", { class: "section" }, el("h2", { text: "Trials" }), chips, el("div", { class: "filters" }, search, columnsMenu)), note, ticked.node, body);

  /** @returns {import("./model.js").Wanted} */
  const wanted = () => ({ order: table.sort.column === "value" ? "value" : table.sort.descending ? "newest" : "number", states: [...states].map((state) => `TRIAL_STATE_${state}`) });
  /** Shows how trials are sorted that the coordinator sorts: by number, or best first, and not worst first. */
  const showOrder = () => {
    const { order } = wanted();
    table.setSort(order === "value" ? "value" : "number", order === "newest" || (order === "value" && model.goal === "max"));
  };
  const relist = () => {
    showOrder();
    void attempt(() => model.list(wanted()), "");
  };
  // The study may have begun to be read in another order than the address asks for.
  const first = wanted();
  if (model.complete) model.wanted = first;
  else if (JSON.stringify(first) !== JSON.stringify(model.wanted)) relist();

  /** All columns that there could be. @returns {Column[]} */
  const all = () => {
    const parameters = (model.study?.spec.space ?? []).filter(({ type }) => type !== "constant");
    /** @type {Set<string>} */
    const metrics = new Set();
    for (const trial of model.trials.values()) for (const metric of Object.keys(trial.metrics ?? {})) metrics.add(metric);
    const sorted = model.complete;
    const objective = model.metric;
    /** @type {Column[]} */
    const columns = [
      { id: "number", title: "Trial", cell: (trial) => el("a", { href: href(trial), tabindex: -1, class: "number", text: String(trial.number) }), key: ({ number }) => num(number), descending: true, width: "5rem" },
      { id: "state", title: "State", cell: ({ state, stateReason, pendingReason }) => badge(trialLook(state), stateReason || pendingReason), key: ({ state }) => (sorted ? trialLook(state).word : state), width: "9.5rem" },
      { id: "value", title: objective, cell: (trial) => value(trial), key: ({ value }) => num(value), descending: model.goal === "max", right: true, width: "7rem" },
      { id: "steps", title: model.step, cell: ({ lastStep }) => measure(lastStep), key: ({ lastStep }) => num(lastStep), right: true, width: "5.5rem" },
      { id: "time", title: "Time", cell: (trial) => duration(time(trial)), key: time, right: true, width: "7rem" },
      ...parameters.map(({ name, type, choices }) => ({
        id: `p:${name}`,
        title: name,
        cell: (/** @type {Trial} */ trial) => parameter(trial.parameters?.[name]),
        key: (/** @type {Trial} */ trial) => key(trial.parameters?.[name]),
        right: type === "float" || type === "int" || (type === "ordinal" && Boolean(choices?.every((choice) => typeof choice === "number"))),
        width: "7rem",
      })),
      ...[...metrics].sort().map((name) => ({ id: `m:${name}`, title: name === objective ? `last ${name}` : name, cell: (/** @type {Trial} */ trial) => measure(trial.metrics?.[name]), key: (/** @type {Trial} */ trial) => num(trial.metrics?.[name]), right: true, width: "7rem" })),
      {
        id: "tags",
        title: "Tags",
        cell: ({ tags }) => chipsOf(tags),
        key: ({ tags }) => written(tags),
        width: "12rem",
        edit: { label: ({ number }) => `Tags of trial ${number}, separated by commas`, value: ({ tags }) => written(tags), save: ({ number }, text) => void set(give(model.name, String(number), read(text))) },
      },
      {
        id: "note",
        title: "Note",
        cell: ({ note }) => el("span", { title: note, text: firstLine(note) }),
        key: ({ note }) => note ?? "",
        width: "14rem",
        edit: {
          label: ({ number }) => `Note on trial ${number}`,
          value: ({ note }) => note ?? "",
          save: ({ number }, text) => void set(attempt(() => api.setNote(model.name, String(number), text), "")),
          // A field of one line would make one line of it.
          elsewhere: (trial) => (trial.note ?? "").includes("\n") && (void set(noteOn(model.name, trial, model.signal)), true),
        },
      },
      { id: "why", title: "Reason", cell: ({ stateReason }) => stateReason ?? "", key: ({ stateReason }) => stateReason ?? "", width: "24rem" },
    ];
    const byServer = new Set(["number", "value"]);
    return sorted ? columns : columns.map((column) => (byServer.has(column.id) ? column : { ...column, key: undefined }));
  };

  /** @param {Column[]} columns */
  const usual = (columns) => {
    const parameters = columns.filter(({ id }) => id.startsWith("p:")).slice(0, PARAMETERS);
    const written = ["tags", "note"].filter((column) => [...model.trials.values()].some((trial) => trial[/** @type {"tags" | "note"} */ (column)]?.length));
    return new Set(["number", "state", "value", "steps", "time", ...parameters.map(({ id }) => id), ...written]);
  };

  /** @param {Column[]} columns */
  const drawColumns = (columns) => {
    const shown = chosen ?? usual(columns);
    const now = JSON.stringify([model.complete, columns.map(({ id }) => id), [...shown]]);
    if (now === shape) return;
    shape = now;
    if (!model.complete) showOrder();
    table.setColumns(columns.filter(({ id }) => id === "number" || shown.has(id)));
    fill(
      chooser,
      columns.slice(1).map((column) => {
        const box = el("input", { type: "checkbox", checked: shown.has(column.id) });
        box.addEventListener("change", () => {
          chosen = new Set(shown);
          if (box.checked) chosen.add(column.id);
          else chosen.delete(column.id);
          keep({ columns: [...chosen].join(",") });
          draw();
          /** @type {HTMLElement | undefined} */ (chooser.querySelectorAll("input")[columns.indexOf(column) - 1])?.focus();
        });
        return el("label", { class: "check" }, box, column.title);
      }),
    );
  };

  let chipsShape = "";
  const drawChips = () => {
    /** @type {Map<string, number>} */
    const numbers = new Map();
    for (const [name, number] of Object.entries(model.study?.counts ?? {})) if (Number(number)) numbers.set(snake(name), Number(number));
    for (const state of states) if (!numbers.has(state)) numbers.set(state, 0);
    const present = TRIAL_STATES.map((state) => state.replace("TRIAL_STATE_", "")).filter((state) => numbers.has(state));
    const now = JSON.stringify([present.map((state) => numbers.get(state)), present, [...states]]);
    if (now === chipsShape) return;
    chipsShape = now;
    const at = [...chips.children].indexOf(/** @type {Element} */ (document.activeElement));
    fill(
      chips,
      present.map((state) => {
        const chip = el("button", { type: "button", class: "chip", "aria-pressed": String(states.has(state)) }, badge(trialLook(state)), el("span", { class: "number", text: count(numbers.get(state)) }));
        chip.addEventListener("click", () => {
          if (!states.delete(state)) states.add(state);
          keep({ state: [...states].join(",") });
          if (model.complete) draw();
          else relist();
        });
        return chip;
      }),
    );
    if (at >= 0) /** @type {HTMLElement | undefined} */ (chips.children[at])?.focus();
  };

  const draw = () => {
    const columns = all();
    drawColumns(columns);
    drawChips();
    const total = allOf(model.study?.counts);
    search.disabled = !model.complete;
    note.hidden = model.complete;
    const filtered = model.filter.rules.size > 0;
    note.textContent = model.complete
      ? ""
      : filtered
        ? `${count(total)} trials, of which those are filtered that are read.`
        : `${count(total)} trials: newest, oldest or best first, and read as you scroll. Search works in studies of up to ${count(ALL)}.`;
    const text = search.value.trim().toLowerCase();
    const rows = model.complete || filtered
      ? table.ordered(
          model.known().filter((trial) => {
            // A trial that was handed out and has not started counts as running.
            const state = trial.state.replace("TRIAL_STATE_", "").replace("LEASED", "RUNNING");
            return (states.size === 0 || states.has(state)) && (text === "" || matches(trial, text)) && model.filter.matches(trial);
          }),
        )
      : /** @type {Trial[]} */ (model.listed.map((number) => model.trials.get(number)).filter(Boolean));
    const message = !model.ready ? "Loading trials\u2026" : model.trials.size === 0 ? "No trials yet" : rows.length === 0 ? "No trial matches" : "";
    if (message) {
      if (body.textContent !== message) fill(body, el("p", { class: "table-empty", text: message }));
      return;
    }
    if (!body.contains(table.node)) fill(body, table.node);
    table.setRows(rows, model.next && !filtered ? Math.max(total, rows.length) : rows.length);
  };
  /** @param {Trial} trial */
  const value = (trial) => {
    const best = num(trial.number) === model.bestTrial();
    return el("span", { class: best ? "best" : null, title: best ? "The best" : null }, measure(trial.value));
  };
  search.addEventListener("input", () => (keep({ q: search.value.trim() }), draw()));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") event.preventDefault(), table.focus();
    if (event.key === "Escape") search.blur();
  });
  columnsMenu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    columnsMenu.open = false;
    columnsMenu.querySelector("summary")?.focus();
  });
  columnsMenu.addEventListener("focusout", (event) => {
    if (event.relatedTarget instanceof Node && !columnsMenu.contains(event.relatedTarget)) columnsMenu.open = false;
  });
  return { node, draw, search, focus: () => table.focus(), tick: () => [...model.trials.values()].some(({ state }) => !isOver(state)) && table.redraw() };
}

/** @param {Trial} trial seconds that it has taken */
export function time({ startedAt, endedAt }) {
  return between(startedAt, endedAt, Date.now());
}

/** @param {unknown} value what a parameter is sorted by */
function key(value) {
  return typeof value === "number" ? value : typeof value === "string" ? value : value === undefined || value === null ? NaN : String(value);
}

/**
 * @param {Trial} trial
 * @param {string} text
 */
function matches(trial, text) {
  const { number, note, stateReason, stoppedBy, parameters, tags = [] } = trial;
  const tag = /^tag:\s*(.*)$/.exec(text)?.[1];
  if (tag !== undefined) return tags.some((one) => one.toLowerCase() === tag);
  const named = Object.entries(parameters ?? {}).map(([name, value]) => `${name}=${value}`);
  return [String(number), note, stateReason, stoppedBy, ...tags, ...named].some((part) => part?.toLowerCase().includes(text));
}

/** @param {string} name such as earlyStopped */
function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
