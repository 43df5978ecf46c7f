// A table of any length: only the rows that are seen exist. Sorted by its columns, walked through with the arrow keys.

import { el, fill } from "./dom.js";

/**
 * @template T
 * @typedef {object} Column
 * @property {string} id
 * @property {string} title
 * @property {(row: T) => Node | string} cell
 * @property {((row: T) => number | string)=} key what it is sorted by; without it the column is not sorted
 * @property {boolean=} right whether it has numbers
 * @property {boolean=} descending whether the largest comes first when it is sorted by this for the first time
 * @property {string=} width such as "12rem"
 */

/** Rows that are there beyond those that are seen, on each side. */
const MARGIN = 8;

/**
 * @template T
 */
export class Table {
  /**
   * @param {object} options
   * @param {string} options.label
   * @param {number} options.rowHeight in pixels
   * @param {(row: T) => string} options.id
   * @param {(row: T) => void} options.open
   * @param {(column: string, descending: boolean) => void} options.sorted told when a person sorts
   * @param {() => void} [options.more] told when the end is near
   */
  constructor({ label, rowHeight, id, open, sorted, more }) {
    this.rowHeight = rowHeight;
    this.id = id;
    this.open = open;
    this.sorted = sorted;
    this.more = more;
    /** @type {Column<T>[]} */
    this.columns = [];
    /** @type {T[]} */
    this.rows = [];
    /** @type {string | null} */
    this.focused = null;
    this.sort = { column: "", descending: false };
    this.total = 0;
    /** @type {Map<string, {row: T, node: HTMLTableRowElement}>} */
    this.nodes = new Map();
    this.head = el("tr");
    this.body = el("tbody");
    this.before = el("tbody", { "aria-hidden": "true", class: "gap" }, el("tr", {}, el("td")));
    this.after = el("tbody", { "aria-hidden": "true", class: "gap" }, el("tr", {}, el("td")));
    this.columnsElement = el("colgroup");
    this.table = el("table", { "aria-label": label }, this.columnsElement, el("thead", {}, this.head), this.before, this.body, this.after);
    this.table.style.setProperty("--row", `${rowHeight}px`);
    this.node = el("div", { class: "table", on: { scroll: () => this.#draw() } }, this.table);
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("click", (event) => this.#click(event));
    this.body.addEventListener("focusin", (event) => {
      const row = event.target instanceof Element ? event.target.closest("tr") : null;
      if (row?.dataset.id !== undefined) this.#focus(row.dataset.id, false);
    });
    new ResizeObserver(() => this.#draw()).observe(this.node);
  }

  /** @param {Column<T>[]} columns */
  setColumns(columns) {
    this.columns = columns;
    this.nodes.clear();
    this.body.replaceChildren();
    fill(
      this.columnsElement,
      columns.map((column) => {
        const node = el("col");
        if (column.width) node.style.width = column.width;
        return node;
      }),
    );
    this.#drawHead();
    this.#draw();
  }

  /**
   * @param {string} column
   * @param {boolean} descending
   */
  setSort(column, descending) {
    this.sort = { column, descending };
    this.#drawHead();
  }

  /**
   * The rows in their order; of those that are the same objects as before nothing is drawn again.
   * @param {T[]} rows
   * @param {number} [total] how many there are, if not all are here
   */
  setRows(rows, total = rows.length) {
    this.rows = rows;
    this.total = total;
    this.table.setAttribute("aria-rowcount", String(total + 1));
    this.#draw();
  }

  /** Draws all rows again, for what they show but do not have, such as the time. */
  redraw() {
    this.nodes.clear();
    this.#draw();
  }

  /**
   * Rows in the order of the column that the table is sorted by. Texts are compared as people do; what is no number comes last.
   * @param {T[]} rows
   */
  ordered(rows) {
    const column = this.columns.find(({ id }) => id === this.sort.column);
    const key = column?.key;
    if (!key) return rows;
    const sign = this.sort.descending ? -1 : 1;
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    return rows
      .map((row) => ({ row, key: key(row) }))
      .sort((a, b) => {
        if (typeof a.key === "string" || typeof b.key === "string") return sign * compare(String(a.key), String(b.key));
        const [left, right] = [Number.isNaN(a.key), Number.isNaN(b.key)];
        if (left || right) return Number(left) - Number(right);
        return sign * (a.key - b.key);
      })
      .map(({ row }) => row);
  }

  /** Moves the keyboard to the table. */
  focus() {
    const known = this.rows.some((row) => this.id(row) === this.focused);
    const id = known ? this.focused : this.rows.length ? this.id(this.rows[0]) : null;
    if (id !== null) this.#focus(id, true);
  }

  #drawHead() {
    fill(
      this.head,
      this.columns.map((column) => {
        const is = this.sort.column === column.id;
        const order = is ? (this.sort.descending ? "descending" : "ascending") : null;
        const title = column.key
          ? el(
              "button",
              { type: "button", class: "sort", on: { click: () => this.#sortBy(column) } },
              column.title,
              el("span", { class: "arrow", "aria-hidden": "true", text: is ? (this.sort.descending ? "\u2193" : "\u2191") : "" }),
            )
          : column.title;
        return el("th", { scope: "col", class: column.right ? "right" : null, "aria-sort": order }, title);
      }),
    );
  }

  /** @param {Column<T>} column */
  #sortBy(column) {
    const is = this.sort.column === column.id;
    this.setSort(column.id, is ? !this.sort.descending : Boolean(column.descending));
    const buttons = [...this.head.querySelectorAll("button")];
    buttons.find((button) => button.firstChild?.textContent === column.title)?.focus();
    this.sorted(this.sort.column, this.sort.descending);
  }

  #draw() {
    const { rowHeight, rows } = this;
    // Only the height of rows counts; that of the head is small.
    const height = Math.max(this.node.clientHeight, rowHeight);
    const first = Math.max(0, Math.floor(this.node.scrollTop / rowHeight) - MARGIN);
    const last = Math.min(rows.length, Math.ceil((this.node.scrollTop + height) / rowHeight) + MARGIN);
    let focusedAt = -1;
    if (this.focused !== null) focusedAt = rows.findIndex((row) => this.id(row) === this.focused);
    const hasFocus = this.body.contains(document.activeElement);
    /** @type {Map<string, {row: T, node: HTMLTableRowElement}>} */
    const nodes = new Map();
    const wanted = [];
    for (let index = first; index < last; index += 1) {
      const row = rows[index];
      const id = this.id(row);
      let known = this.nodes.get(id);
      if (!known) known = { row, node: this.#row(row, id) };
      else if (known.row !== row) {
        this.#cells(known.node, row);
        known.row = row;
      }
      known.node.setAttribute("aria-rowindex", String(index + 2));
      known.node.tabIndex = index === (focusedAt >= 0 ? focusedAt : 0) ? 0 : -1;
      nodes.set(id, known);
      wanted.push(known.node);
    }
    this.nodes = nodes;
    // Nodes that stay where they are are not touched, so that nothing under the pointer or with the focus is lost.
    let at = this.body.firstChild;
    for (const node of wanted) {
      if (at === node) at = at.nextSibling;
      else this.body.insertBefore(node, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    if (hasFocus && !this.body.contains(document.activeElement) && focusedAt >= first && focusedAt < last) wanted[focusedAt - first].focus({ preventScroll: true });
    space(this.before, first * rowHeight);
    space(this.after, (rows.length - last) * rowHeight);
    if (this.more && last >= rows.length - MARGIN && rows.length < this.total) this.more();
  }

  /**
   * @param {T} row
   * @param {string} id
   */
  #row(row, id) {
    const node = el("tr", { "data-id": id });
    this.#cells(node, row);
    return node;
  }

  /**
   * @param {HTMLTableRowElement} node
   * @param {T} row
   */
  #cells(node, row) {
    fill(
      node,
      this.columns.map((column) => el("td", { class: column.right ? "right" : null }, column.cell(row))),
    );
  }

  /**
   * @param {string} id
   * @param {boolean} move
   */
  #focus(id, move) {
    this.focused = id;
    if (move) {
      const index = this.rows.findIndex((row) => this.id(row) === id);
      const head = this.head.offsetHeight;
      const top = index * this.rowHeight;
      if (top < this.node.scrollTop) this.node.scrollTop = top;
      else if (top + this.rowHeight + head > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + this.rowHeight + head - this.node.clientHeight;
      this.#draw();
      this.nodes.get(id)?.node.focus({ preventScroll: true });
      this.nodes.get(id)?.node.scrollIntoView({ block: "nearest" });
    } else {
      for (const [other, { node }] of this.nodes) node.tabIndex = other === id ? 0 : -1;
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!(event.target instanceof HTMLTableRowElement) || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = this.rows.findIndex((row) => this.id(row) === this.focused);
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight) - 1);
    const moves = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: this.rows.length - 1 };
    if (event.key === "Enter" && index >= 0) {
      event.preventDefault();
      this.open(this.rows[index]);
    } else if (event.key in moves && this.rows.length) {
      event.preventDefault();
      const wanted = moves[/** @type {keyof typeof moves} */ (event.key)];
      this.#focus(this.id(this.rows[Math.min(this.rows.length - 1, Math.max(0, wanted))]), true);
    }
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = event.target instanceof Element ? event.target : null;
    if (!target || target.closest("a, button") || getSelection()?.toString()) return;
    const id = target.closest("tr")?.dataset.id;
    const row = id === undefined ? undefined : this.nodes.get(id)?.row;
    if (row) this.open(row);
  }
}

/**
 * @param {HTMLElement} gap
 * @param {number} height
 */
function space(gap, height) {
  gap.hidden = height <= 0;
  const cell = gap.querySelector("td");
  if (cell) cell.style.height = `${Math.max(0, height)}px`;
}
