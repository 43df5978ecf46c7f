// Which modules each view needs: written into the page and into web/needs.js by `npm run modules`, and compared with them by `npm run check`.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const web = join(here, "web");
const FIRST = "main.js";
/** The module in which all others are named that are loaded later. */
const LATER = "later.js";
/** Libraries, by the module that needs them and does not import them itself. */
const LIBRARIES = { "chart.js": "vendor/echarts/echarts.esm.min.mjs", "markdown.js": "vendor/marked/marked.esm.mjs" };

const NEEDS_BEGIN = `// What is fetched with each module that is loaded later, beside what all views have. Written by \`npm run modules\`.

/** @type {Record<string, string[]>} */
`;

/** @param {[string, string[]]} needs */
const entry = ([name, all]) => `  "${name}": [${all.map((other) => `\n    "${other}",`).join("")}${all.length ? "\n  " : ""}],\n`;

/** @param {string} name */
const read = (name) => readFileSync(join(web, name), "utf8");

/** What a module imports by statements. @param {string} name */
function importsOf(name) {
  const found = read(name).matchAll(/^(?:import|export)\b[^;"]*?"(\.{1,2}\/[^"]+)";$/gm);
  return [...found].map(([, path]) => join(dirname(name), path));
}

/**
 * A module and all that it imports, and that these import.
 * @param {string} name
 * @returns {Set<string>}
 */
export function closureOf(name, known = new Set()) {
  if (known.has(name)) return known;
  known.add(name);
  for (const other of importsOf(name)) closureOf(other, known);
  return known;
}

/** Modules that are loaded when they are needed. */
export function later() {
  return [...read(LATER).matchAll(/"([^"]+)": \(\) => import\("\.\/\1"\)/g)].map(([, name]) => name).sort();
}

/** What the files have to say. @returns {Record<"needs.js" | "index.html", string>} */
export function wanted() {
  const first = closureOf(FIRST);
  const needs = Object.fromEntries(
    later().map((name) => {
      const all = [...closureOf(name)].filter((other) => other !== name && !first.has(other));
      for (const [user, library] of Object.entries(LIBRARIES)) if (name === user || all.includes(user)) all.push(library);
      return [name, all.sort()];
    }),
  );
  const styles = readdirSync(join(web, "styles")).map((name) => `styles/${name}`);
  const named = [...read("index.html").matchAll(/<link rel="stylesheet" href="\{\{assets\}\}\/([^"]+)">/g)].map(([, name]) => name);
  // Their order is what decides between rules.
  const ordered = [...named.filter((name) => styles.includes(name)), ...styles.filter((name) => !named.includes(name)).sort()];
  const link = (/** @type {string} */ rel) => (/** @type {string} */ name) => `<link rel="${rel}" href="{{assets}}/${name}">\n`;
  const links = [...ordered.map(link("stylesheet")), ...[...first].filter((name) => name !== FIRST).sort().map(link("modulepreload"))].join("");
  return {
    "index.html": read("index.html").replace(/(<link rel="(stylesheet|modulepreload)".*>\n)+/, links),
    "needs.js": `${NEEDS_BEGIN}export const NEEDS = {\n${Object.entries(needs).map(entry).join("")}};\n`,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // What is written into one of them may change the other.
  for (let changed = true; changed; ) {
    changed = false;
    for (const [name, text] of Object.entries(wanted())) {
      if (read(name) === text) continue;
      writeFileSync(join(web, name), text);
      changed = true;
    }
  }
}
