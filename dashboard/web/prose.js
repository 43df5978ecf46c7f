// Texts that people write about studies and trials, in Markdown. What reads it is loaded when a text is shown that needs it.

import { el, fill } from "./dom.js";
import { need } from "./later.js";

/** @type {((text: string, level: number) => (Node | string)[]) | undefined} */
let read;
/** For as long as the page lives. */
const always = new AbortController().signal;

/** Whether a text has anything in it that could mean more than it says. */
const MARKS = /[*_`~#>|[\]\\]|^\s*([-+=]|\d+[.)])|^(\t| {4})|https?:|www\.|@|\n/m;
/** A text of more than that many lines or characters is given less room than it would take. */
const LINES = 8;
const LETTERS = 800;

/**
 * A text as its writer meant it.
 * @param {string} text
 * @param {object} options
 * @param {number} options.level of the first heading in it: one more than that of the heading above it
 * @param {string} [options.label] what it is; one that is long is then scrolled in a place of its own
 */
export function prose(text, { level, label }) {
  const long = label !== undefined && (text.length > LETTERS || text.split("\n").length > LINES);
  const node = el("div", long ? { class: "prose long", tabindex: 0, role: "region", "aria-label": label } : { class: "prose" });
  if (MARKS.test(text) && read) fill(node, read(text, level));
  else fill(node, el("p", { text }));
  if (MARKS.test(text) && !read) whenThere((loaded) => fill(node, loaded(text, level)));
  return node;
}

/**
 * Has what reads Markdown loaded. Texts stay as they are written if nothing comes.
 * @param {(loaded: NonNullable<typeof read>) => void} then
 */
function whenThere(then) {
  const quietly = { signal: always, away: () => {}, failed: () => {} };
  need("markdown.js", {
    ...quietly,
    ready: ({ render }) =>
      need("vendor/marked/marked.esm.mjs", {
        ...quietly,
        ready: (library) => {
          read = (text, level) => render(library, text, level);
          then(read);
        },
      }),
  });
}

/**
 * The first line of a text where there is room for one, without what is only there to mark its parts.
 * @param {string | undefined} text
 */
export function firstLine(text = "") {
  for (const line of text.split("\n", 100)) {
    const plain = line
      .slice(0, 400)
      .replace(/^[\s>]*(#{1,6}\s+|[-+*]\s+(\[[ xX]\]\s+)?|\d+[.)]\s+)?/, "")
      .replace(/!?\[([^\]]+)\]\([^)\s]*\)/g, "$1")
      .replace(/(\*{1,3}|`+|~~)(?=\S)([^*`~]+)\1/g, "$2")
      .trim();
    // Rules and fences say nothing.
    if (plain && !/^([-*_=`~]\s*){3,}\w*$/.test(plain)) return plain;
  }
  return "";
}
