// Things side by side: a column for each of them, rows in groups. What is the same in all of them steps back, the best of a row is marked.

import { el } from "./dom.js";

/**
 * A row: what each thing has there. Texts are compared as they are shown.
 * @typedef {object} Row
 * @property {string} name
 * @property {(string | Node | null)[]} cells
 * @property {string[]} [same] what is compared instead of the texts, where cells are more than texts
 * @property {number[]} [values] by which the best is found
 * @property {"min" | "max"} [goal]
 * @property {boolean} [plain] whether differences mean nothing there, such as of names
 */

/**
 * @param {string} label
 * @param {{key: string, head: Node[]}[]} things
 * @param {{title: string, rows: Row[]}[]} groups
 * @param {boolean} different whether only rows are shown in which they differ
 */
export function sideBySide(label, things, groups, different) {
  const body = groups.flatMap(({ title, rows }) => {
    const shown = rows.filter((row) => row.cells.some((cell) => cell !== null && cell !== "") && (!different || row.plain || differs(row)));
    if (shown.length === 0) return [];
    return [
      el(
        "tbody",
        {},
        el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: things.length + 1, text: title })),
        shown.map((row) => {
          const best = bestOf(row);
          return el(
            "tr",
            { class: differs(row) || row.plain ? "differs" : "same" },
            el("th", { scope: "row", title: row.name, text: row.name }),
            row.cells.map((cell, index) => el("td", { class: best.has(index) ? "best" : null, title: best.has(index) ? "The best of them" : null }, cell ?? "\u2013")),
          );
        }),
      ),
    ];
  });
  return el(
    "div",
    { class: "table side-by-side", tabindex: 0, role: "region", "aria-label": label },
    el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, el("td"), things.map(({ head }) => el("th", { scope: "col" }, head)))), body),
  );
}

/** @param {Row} row */
function differs({ cells, same }) {
  const texts = same ?? cells.map((cell) => (cell instanceof Node ? (cell.textContent ?? "") : (cell ?? "")));
  return texts.some((text) => text !== texts[0]);
}

/** @param {Row} row @returns {Set<number>} columns with the best value; none if all have it */
function bestOf({ values, goal }) {
  const found = (values ?? []).filter(Number.isFinite);
  if (!goal || !values || found.length < 2) return new Set();
  const best = goal === "max" ? Math.max(...found) : Math.min(...found);
  const columns = values.flatMap((value, index) => (value === best ? [index] : []));
  return new Set(columns.length === values.length ? [] : columns);
}
