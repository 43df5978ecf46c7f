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
 * @property {boolean=} quiet whether its title is for screen readers only
 * @property {{value: (row: T) => string, save: (row: T, text: string) => void, label: (row: T) => string, elsewhere?: (row: T) => boolean}=} edit how its cells are edited where they are;
 *   `elsewhere` begins to edit one that is not, and says that it did
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
   * @param {{chosen: Set<string>, changed: () => void, label: (row: T) => string}} [options.choice] rows that are ticked, by their ids, and what to do when
   *   somebody ticks one, by its box or by the space bar
   * @param {Record<string, (row: T) => void>} [options.keys] what further keys do with the row that has the keyboard
   */
  constructor({ label, rowHeight, id, open, sorted, more, choice, keys = {} }) {
    this.rowHeight = rowHeight;
    this.id = id;
    this.open = open;
    this.sorted = sorted;
    this.more = more;
    this.choice = choice;
    this.keys = keys;
    /** The cell that is edited: it is not drawn again meanwhile. @type {{id: string, column: string, node: HTMLElement} | null} */
    this.editing = null;
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
    this.node = el("div", { class: choice ? "table chooses" : "table", on: { scroll: () => this.#draw() } }, this.table);
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("click", (event) => this.#click(event));
    this.body.addEventListener("dblclick", (event) => {
      const cell = event.target instanceof Element ? /** @type {HTMLElement | null} */ (event.target.closest("td[data-edit]")) : null;
      const row = this.nodes.get(cell?.closest("tr")?.dataset.id ?? "")?.row;
      if (cell && row) this.edit(row, String(cell.dataset.edit));
    });
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
          : column.quiet
            ? el("span", { class: "visually-hidden", text: column.title })
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
    const id = this.id(row);
    const edited = this.editing?.id === id ? this.editing.column : null;
    this.columns.forEach((column, index) => {
      let cell = node.children[index];
      if (!cell) node.append((cell = el("td", { class: column.right ? "right" : null, "data-edit": column.edit ? column.id : null })));
      // What somebody is about to press or writes into stays what it is, however often the rest is drawn.
      if (edited === column.id) return;
      const box = index === 0 ? cell.querySelector(":scope > input") : null;
      while (cell.lastChild && cell.lastChild !== box) cell.lastChild.remove();
      cell.append(column.cell(row));
    });
    if (!this.choice) return;
    if (!node.querySelector(":scope > td > input[type=checkbox]")) {
      node.firstElementChild?.prepend(el("input", { type: "checkbox", tabindex: -1, "aria-label": this.choice.label(row), on: { change: () => this.choose(this.nodes.get(id)?.row ?? row) } }));
    }
    this.#tick(node, id);
  }

  /**
   * Ticks a row, or does so no more.
   * @param {T} row
   */
  choose(row) {
    const { choice } = this;
    const id = this.id(row);
    if (!choice) return;
    if (!choice.chosen.delete(id)) choice.chosen.add(id);
    this.ticked();
    choice.changed();
  }

  /** Shows which rows are ticked. */
  ticked() {
    for (const [id, { node }] of this.nodes) this.#tick(node, id);
  }

  /**
   * @param {HTMLTableRowElement} node
   * @param {string} id
   */
  #tick(node, id) {
    const is = this.choice?.chosen.has(id) ?? false;
    node.setAttribute("aria-selected", String(is));
    const box = node.querySelector("input[type=checkbox]");
    if (box instanceof HTMLInputElement) box.checked = is;
  }

  /**
   * Lets somebody edit a cell where it is: Enter keeps what they write, Escape what was.
   * @param {T} row
   * @param {string} of the column
   */
  edit(row, of) {
    const id = this.id(row);
    const index = this.columns.findIndex(({ id: other }) => other === of);
    const { edit } = this.columns[index] ?? {};
    const node = this.nodes.get(id)?.node;
    const cell = node?.children[index];
    if (!edit || !node || !cell || edit.elsewhere?.(row)) return;
    const input = el("input", { type: "text", class: "cell-edit", "aria-label": edit.label(row), value: edit.value(row) });
    const end = (/** @type {boolean} */ keep, /** @type {boolean} */ back) => {
      if (this.editing?.node !== input) return;
      this.editing = null;
      const now = this.nodes.get(id);
      if (now) this.#cells(now.node, now.row);
      if (back) now?.node.focus({ preventScroll: true });
      if (keep && input.value !== edit.value(row)) edit.save(now?.row ?? row, input.value);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key === "Enter", true);
    });
    input.addEventListener("blur", () => input.isConnected && end(true, false));
    this.editing = { id, column: of, node: input };
    fill(cell, input);
    input.focus();
    input.select();
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
    } else if (event.key === " " && this.choice && index >= 0) {
      event.preventDefault();
      this.choose(this.rows[index]);
    } else if (event.key in this.keys && index >= 0) {
      event.preventDefault();
      event.stopPropagation();
      this.keys[event.key](this.rows[index]);
    } else if (event.key in moves && this.rows.length) {
      event.preventDefault();
      const wanted = moves[/** @type {keyof typeof moves} */ (event.key)];
      this.#focus(this.id(this.rows[Math.min(this.rows.length - 1, Math.max(0, wanted))]), true);
    }
  }

  /** @param {MouseEvent} event */
  #click(event) {
    const target = event.target instanceof Element ? event.target : null;
    // A cell that is edited by two clicks is not to lead away by the first.
    if (!target || target.closest("a, button, input, label, [data-edit]") || getSelection()?.toString()) return;
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
