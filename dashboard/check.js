// What the type checker does not see: elements and texts are made by dom.js alone, files stay small and say what they are for, and the
// libraries are those that are declared.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

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
for (const [copy, original] of [
  ["echarts/echarts.esm.min.mjs", "echarts/dist/echarts.esm.min.mjs"],
  ["marked/marked.esm.mjs", "marked/lib/marked.esm.js"],
]) {
  if (!readFileSync(join(web, "vendor", copy)).equals(readFileSync(join(here, "node_modules", original)))) fail(`web/vendor/${copy} is not the version of package.json`);
}
process.exit(failed ? 1 : 0);
