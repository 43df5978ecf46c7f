// Markdown as elements. A library finds out what is meant; the elements are made here, of texts. HTML stays the text that it is, images are links, and
// what is nested too deeply, or would take too long, is shown as it was written.

import { el, outside } from "./dom.js";

/** @typedef {import("marked").Token} Token */
/** @typedef {import("marked").Tokens.List} List */
/** @typedef {import("marked").Tokens.Table} Table */

/** Lists and quotes within each other. */
const DEPTH = 12;
const NESTED = new RegExp(`^[ \\t]*(?:(?:>|(?:[-+*]|\\d+[.)])(?=[ \\t]))[ \\t]*){${DEPTH + 1}}`, "m");
/** What may begin or end something within one paragraph; finding out which belong together takes the square of it. */
const MARKS = 1_000;
/** Cells of all tables together. */
const CELLS = 2_000;
/** Pieces that are made of one text. */
const PIECES = 20_000;
/** So many spaces in a row are sought through again and again. */
const SPACES = /[ \t]{1000}/;
/** Longest text: no note or message is longer. */
const LETTERS = 70_000;

/**
 * @param {typeof import("marked")} library
 * @param {string} text
 * @param {number} level of its first heading
 * @returns {(Node | string)[]}
 */
export function render(library, text, level) {
  const asWritten = [el("p", { text })];
  if (isTooMuch(text)) return asWritten;
  try {
    const made = new Making(level).blocks(read(library, text), 0);
    // Definitions of links alone show nothing.
    return made.length ? made : asWritten;
  } catch (error) {
    if (error instanceof RangeError) return asWritten;
    throw error;
  }
}

/** @param {string} text */
function isTooMuch(text) {
  if (text.length > LETTERS || NESTED.test(text) || SPACES.test(text)) return true;
  const bars = text.split("\n").map((line) => line.split("|").length - 1);
  const rows = bars.filter((number) => number > 0).length;
  // A table has as many columns as its head, in each of its rows, however short they are.
  return rows > 1 && rows * bars.reduce((a, b) => Math.max(a, b)) > CELLS;
}

/**
 * What a text consists of.
 * @param {typeof import("marked")} library
 * @param {string} text
 * @returns {Token[]}
 */
function read({ Lexer }, text) {
  const lexer = new Lexer({ gfm: true, breaks: true });
  lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
  for (const { src, tokens } of lexer.inlineQueue.splice(0)) {
    if (src.split(/[*_[`~<]/, MARKS + 1).length > MARKS) tokens.push({ type: "text", raw: src, text: src });
    else lexer.inlineTokens(src, tokens);
  }
  return lexer.tokens;
}

/** Makes the elements of one text. */
class Making {
  /** @param {number} level */
  constructor(level) {
    this.level = level;
    this.pieces = 0;
    /** Depths of the headings that what comes next is below. @type {number[]} */
    this.above = [];
  }

  /** One piece more, at a depth. @param {number} depth */
  #count(depth) {
    this.pieces += 1;
    if (this.pieces > PIECES || depth > DEPTH * 4) throw new RangeError("more than is shown");
  }

  /**
   * @param {Token[]} tokens
   * @param {number} depth
   * @returns {(Node | string)[]}
   */
  blocks(tokens, depth) {
    return tokens.map((token) => this.#block(/** @type {any} */ (token), depth)).filter((made) => made !== null);
  }

  /**
   * @param {any} token
   * @param {number} depth
   * @returns {Node | string | null}
   */
  #block(token, depth) {
    this.#count(depth);
    const inside = () => this.#inline(token.tokens ?? [], depth + 1);
    switch (token.type) {
      case "space":
      case "def":
        return null;
      case "heading":
        return el(this.#heading(token.depth), {}, inside());
      case "paragraph":
        return el("p", {}, inside());
      case "text":
        return el("span", {}, token.tokens ? inside() : token.text);
      case "code":
        return el("pre", {}, el("code", { text: token.text }));
      case "blockquote":
        return el("blockquote", {}, this.blocks(token.tokens, depth + 1));
      case "hr":
        return el("hr");
      case "list":
        return this.#list(token, depth);
      case "table":
        return this.#table(token, depth);
      default:
        // HTML, above all.
        return el("p", { text: token.raw.trimEnd() });
    }
  }

  /**
   * No level is left out, whatever signs the writer has used.
   * @param {number} depth from 1 to 6
   */
  #heading(depth) {
    while (this.above.length && this.above[this.above.length - 1] >= depth) this.above.pop();
    this.above.push(depth);
    return /** @type {"h3"} */ (`h${Math.min(6, this.level + this.above.length - 1)}`);
  }

  /** @param {List} list @param {number} depth */
  #list({ ordered, start, items }, depth) {
    return el(
      ordered ? "ol" : "ul",
      { start: ordered && Number(start) !== 1 ? Number(start) : null },
      items.map(({ task, checked, tokens }) => {
        const content = this.blocks(tokens.filter(({ type }) => type !== "checkbox"), depth + 1);
        if (!task) return el("li", {}, content);
        return el("li", { class: "task" }, el("span", { class: "sign", role: "img", "aria-label": checked ? "done" : "to do", text: checked ? "\u2611" : "\u2610" }), el("div", {}, content));
      }),
    );
  }

  /** @param {Table} table @param {number} depth */
  #table({ header, rows }, depth) {
    const cell = (/** @type {"th" | "td"} */ tag, /** @type {import("marked").Tokens.TableCell} */ { tokens, align }) => el(tag, { class: align && align !== "left" ? `align-${align}` : null, scope: tag === "th" ? "col" : null }, this.#inline(tokens, depth + 1));
    return el(
      "div",
      { class: "prose-table", tabindex: 0, role: "region", "aria-label": "Table" },
      el("table", {}, el("thead", {}, el("tr", {}, header.map((one) => cell("th", one)))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map((one) => cell("td", one)))))),
    );
  }

  /**
   * @param {Token[]} tokens
   * @param {number} depth
   * @returns {(Node | string)[]}
   */
  #inline(tokens, depth) {
    return tokens.map((token) => this.#piece(/** @type {any} */ (token), depth));
  }

  /**
   * @param {any} token
   * @param {number} depth
   * @returns {Node | string}
   */
  #piece(token, depth) {
    this.#count(depth);
    const inside = () => this.#inline(token.tokens ?? [], depth + 1);
    switch (token.type) {
      case "text":
        return token.tokens ? el("span", {}, inside()) : token.text;
      case "escape":
        return token.text;
      case "strong":
      case "em":
      case "del":
        return el(/** @type {"em"} */ (token.type), {}, inside());
      case "codespan":
        return el("code", { text: token.text });
      case "br":
        return el("br");
      case "link":
        return this.#link(token.href, token.title, inside(), token.raw);
      case "image":
        return this.#link(token.href, token.title, [`Image: ${token.text || token.href}`], token.raw);
      default:
        return token.raw;
    }
  }

  /**
   * A link, or what was written if it leads nowhere that is allowed.
   * @param {string} address
   * @param {string | null} title
   * @param {(Node | string)[]} content
   * @param {string} raw
   */
  #link(address, title, content, raw) {
    let to;
    try {
      to = new URL(address, location.origin);
    } catch {
      return raw;
    }
    // Of this site only what people look at, and of others only what says where it is.
    if (to.origin === location.origin && address.startsWith("/")) {
      return /^\/((studies|workers|compare|new)(\/|$)|$)/.test(to.pathname) ? el("a", { href: to.pathname + to.search + to.hash, title }, content) : raw;
    }
    return /^(https?:\/\/|mailto:)/i.test(address) ? outside(to, { title }, content) : raw;
  }
}
