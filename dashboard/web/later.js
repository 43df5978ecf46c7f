// Modules that are loaded when they are needed: views, parts of a study, dialogs, the chart library. Each with all that it imports at once.
//
// It is the only place that imports anything so. A module may be away: the coordinator does not answer, or it was upgraded since this page
// was loaded, and has the files of another version.

import { attempt, confirm } from "./dialog.js";
import { el, fill } from "./dom.js";
import { wait } from "./live.js";
import { NEEDS } from "./needs.js";
import { button, notice } from "./parts.js";

/** Not plain texts in the imports: their types come from the packages. */
const ECHARTS = /** @type {string} */ ("./vendor/echarts/echarts.esm.min.mjs");
const MARKED = /** @type {string} */ ("./vendor/marked/marked.esm.mjs");

const MODULES = {
  "markdown.js": () => import("./markdown.js"),
  "note-edit.js": () => import("./note-edit.js"),
  "views/add-trial.js": () => import("./views/add-trial.js"),
  "views/compare-studies.js": () => import("./views/compare-studies.js"),
  "views/compare.js": () => import("./views/compare.js"),
  "views/edit.js": () => import("./views/edit.js"),
  "views/export.js": () => import("./views/export.js"),
  "views/import.js": () => import("./views/import.js"),
  "views/new.js": () => import("./views/new.js"),
  "views/pareto.js": () => import("./views/pareto.js"),
  "views/replay.js": () => import("./views/replay.js"),
  "views/schedule.js": () => import("./views/schedule.js"),
  "views/studies.js": () => import("./views/studies.js"),
  "views/study.js": () => import("./views/study.js"),
  "views/tabs/overview.js": () => import("./views/tabs/overview.js"),
  "views/tabs/parameters.js": () => import("./views/tabs/parameters.js"),
  "views/tabs/population.js": () => import("./views/tabs/population.js"),
  "views/tabs/rungs.js": () => import("./views/tabs/rungs.js"),
  "views/tabs/time.js": () => import("./views/tabs/time.js"),
  "views/tabs/training.js": () => import("./views/tabs/training.js"),
  "views/trial.js": () => import("./views/trial.js"),
  "views/workers.js": () => import("./views/workers.js"),
  "views/zoom-dialog.js": () => import("./views/zoom-dialog.js"),
  "views/zoom.js": () => import("./views/zoom.js"),
  "vendor/echarts/echarts.esm.min.mjs": () => /** @type {Promise<typeof import("echarts")>} */ (import(ECHARTS)),
  "vendor/marked/marked.esm.mjs": () => /** @type {Promise<typeof import("marked")>} */ (import(MARKED)),
};
/** @typedef {typeof MODULES} Modules */
/** @typedef {keyof Modules} Name */
/** @template {Name} N @typedef {Awaited<ReturnType<Modules[N]>>} Module */

/** The module is of another version than the page. */
class OtherVersion extends Error {
  constructor() {
    super("The coordinator was upgraded since this page was loaded.");
  }
}

/** What was loaded. @type {Map<Name, unknown>} */
const loaded = new Map();
/** What is asked for, or there. @type {Set<string>} */
const asked = new Set();

/** @param {unknown} error */
const textOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {string} path */
const addressOf = (path) => new URL(path, import.meta.url).pathname;

/** @param {string} name @returns {name is Name} */
export const isModule = (name) => Object.hasOwn(MODULES, name);

/**
 * Asks for a module and for all that it imports, in the same moment.
 * @param {Name} name
 */
export function prepare(name) {
  for (const path of [name, ...(NEEDS[name] ?? [])]) {
    if (asked.has(path)) continue;
    asked.add(path);
    document.head.append(el("link", { rel: "modulepreload", href: addressOf(path) }));
  }
}

/**
 * A module that was loaded before.
 * @template {Name} N
 * @param {N} name
 */
const at = (name) => /** @type {Module<N> | undefined} */ (loaded.get(name));

/**
 * How a file of this page stands that could not be loaded.
 * @param {Name} name
 * @returns {Promise<"there" | "away" | "gone">}
 */
async function look(name) {
  try {
    const { ok, status } = await fetch(addressOf(name), { method: "HEAD", cache: "no-store" });
    return ok ? "there" : status === 404 ? "gone" : "away";
  } catch {
    return "away";
  }
}

/**
 * Loads a module once.
 * @template {Name} N
 * @param {N} name
 * @returns {Promise<Module<N>>}
 */
async function load(name) {
  prepare(name);
  try {
    const module = /** @type {Module<N>} */ (await MODULES[name]());
    loaded.set(name, module);
    return module;
  } catch (error) {
    // It is to be asked for anew.
    for (const path of [name, ...(NEEDS[name] ?? [])]) asked.delete(path);
    throw error;
  }
}

/**
 * Loads a module, and goes on trying while the coordinator is away.
 * @template {Name} N
 * @param {N} name
 * @param {{signal: AbortSignal, ready: (module: Module<N>) => void, away: () => void, failed: (error: unknown) => void}} told `ready` at once if it was loaded before; nothing after `signal` says stop
 */
export function need(name, { signal, ready, away, failed }) {
  const known = at(name);
  if (known) return ready(known);
  let [tries, lost] = [0, false];
  const run = async () => {
    /** @type {Module<N>} */
    let module;
    try {
      module = await load(name);
    } catch (error) {
      const how = await look(name);
      if (signal.aborted) return;
      // What came back meanwhile is there now; what is there and cannot be loaded nevertheless is broken.
      if (how === "gone" || (how === "there" && lost)) return failed(how === "gone" ? new OtherVersion() : error);
      lost = how === "there";
      if (!lost) away();
      const timer = setTimeout(run, lost ? 0 : wait(tries++));
      signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
      return;
    }
    if (!signal.aborted) ready(module);
  };
  void run();
}

const AGAIN = "Load the page again";
const reload = () => location.reload();

/**
 * Shows in a place what a module has for it, and until then that it is loading.
 * @template {Name} N
 * @param {HTMLElement} place
 * @param {N} name
 * @param {AbortSignal} signal
 * @param {(module: Module<N>) => void} show
 */
export function showLater(place, name, signal, show) {
  if (!at(name)) fill(place, notice("loading", "Loading\u2026"));
  need(name, {
    signal,
    ready: show,
    away: () => fill(place, notice("loading", "The coordinator does not answer", el("p", { text: "Trying again\u2026" }))),
    failed(error) {
      const title = error instanceof OtherVersion ? "This page is of an earlier version" : "This cannot be shown";
      fill(place, notice("error", title, el("p", { text: textOf(error) }), el("div", { class: "buttons" }, button(AGAIN, reload, "primary"))));
    },
  });
}

/** What is loaded since somebody pressed something. @type {Set<Name>} */
const pressed = new Set();

/**
 * A module for what somebody has just pressed. Nothing if it cannot be had, which they are told; if it is loaded for that already; or if they
 * have left meanwhile.
 * @template {Name} N
 * @param {N} name
 * @param {AbortSignal} signal
 * @returns {Promise<Module<N> | undefined>}
 */
export async function use(name, signal) {
  const known = at(name);
  if (known) return known;
  if (pressed.has(name)) return undefined;
  pressed.add(name);
  document.body.classList.add("waits");
  try {
    const module = await attempt(async () => {
      try {
        return await load(name);
      } catch (error) {
        const how = await look(name);
        if (how === "gone") return null;
        if (how === "away") throw new Error("The coordinator does not answer. Try again in a moment.", { cause: error });
        throw error;
      }
    }, "");
    if (signal.aborted) return undefined;
    if (module !== null) return module;
    if (await confirm({ title: `${AGAIN}?`, text: `${new OtherVersion().message} What you want to do needs the page of its version.`, action: AGAIN })) reload();
    return undefined;
  } finally {
    pressed.delete(name);
    document.body.classList.toggle("waits", pressed.size > 0);
  }
}
