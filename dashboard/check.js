// What the type checker does not see: elements and texts are made by dom.js alone, files stay small and say what they are for, each view
// names the modules that it needs, and the libraries are those that are declared.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { closureOf, later, wanted } from "./modules.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const web = join(here, "web");
const MAX_LINES = 600;
/** Ways to make a page of a text, to run a text, or to keep a secret where scripts find it. */
const FORBIDDEN = /\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|eval|Function)\b\s*[(=]|setAttribute\(\s*["']style|\bjavascript:/;

let failed = false;
/** @param {string} text */
function fail(text) {
  console.error(`dashboard: ${text}`);
  failed = true;
}

const files = readdirSync(web, { recursive: true, encoding: "utf8" }).filter((name) => !name.startsWith("vendor") && /\.(js|css)$/.test(name));
for (const name of files) {
  const lines = readFileSync(join(web, name), "utf8").split("\n");
  if (lines.length - 1 > MAX_LINES) fail(`web/${name} has ${lines.length - 1} lines, at most ${MAX_LINES} are allowed`);
  if (!/^(\/\/|\/\*) [A-Z]/.test(lines[0])) fail(`web/${name} does not begin by saying what it is for`);
  lines.forEach((line, index) => {
    if (FORBIDDEN.test(line) && !line.trimStart().startsWith("//")) fail(`web/${name}:${index + 1}: not allowed here: ${line.trim()}`);
  });
}
// What is fetched first, and with each view: no more and no less.
for (const [name, text] of Object.entries(wanted())) {
  if (readFileSync(join(web, name), "utf8") !== text) fail(`web/${name} does not name what is imported; run npm run modules`);
}
const needed = new Set(["main.js", ...later()].flatMap((name) => [...closureOf(name)]));
for (const name of files.filter((name) => name.endsWith(".js"))) {
  if (!needed.has(name)) fail(`web/${name} is imported by nothing`);
  // Types are imported in the same way, in comments.
  const code = readFileSync(join(web, name), "utf8").replace(/\/\*[^]*?\*\//g, "");
  if (name !== "later.js" && /\bimport\(/.test(code)) fail(`web/${name} imports a module when it needs it; have it do so by web/later.js`);
}
for (const [copy, original] of [
  ["echarts/echarts.esm.min.mjs", "echarts/dist/echarts.esm.min.mjs"],
  ["marked/marked.esm.mjs", "marked/lib/marked.esm.js"],
]) {
  if (!readFileSync(join(web, "vendor", copy)).equals(readFileSync(join(here, "node_modules", original)))) fail(`web/vendor/${copy} is not the version of package.json`);
}
process.exit(failed ? 1 : 0);
