// One study: how it stands, what can be done to it, and its parts, of which one is shown at a time.

import { el, fill } from "../dom.js";
import { showLater } from "../later.js";
import { gently } from "../live.js";
import { failure, notice } from "../parts.js";
import { address, go } from "../router.js";
import { hasEnded } from "../states.js";
import { filterBar } from "./filterbar.js";
import { drawHead, drawOverview } from "./head.js";
import { StudyModel } from "./model.js";
import { isHalving, isOfPopulation } from "./strategies.js";

/**
 * What a part of the page is given.
 * @typedef {object} Context
 * @property {StudyModel} model
 * @property {URLSearchParams} query of the address when the part was opened
 * @property {(trial: number | string) => string} href the address of a trial
 * @property {(trial: number | string) => void} open opens a trial
 * @property {AbortSignal} signal ends with the part
 */
/**
 * A part as it is shown: `draw` after something of the study has changed, `tick` now and then while it goes on.
 * @typedef {{node: HTMLElement, draw: () => void, tick?: () => void}} Part
 */
/**
 * What the module of a part makes.
 * @typedef {(context: Context) => Part} Create
 */
/**
 * @typedef {object} Tab
 * @property {string} id in the address; "" for the first
 * @property {string} title
 * @property {"views/tabs/overview.js" | "views/tabs/parameters.js" | "views/tabs/training.js" | "views/tabs/time.js"} module
 * @property {(study: import("../../types/api.js").Study) => boolean} [applies] whether a study has this part
 * @property {boolean} [filtered] whether it shows only the trials that the filter leaves, or shows which those are
 */

/** @type {Tab[]} */
const TABS = [
  { id: "", title: "Overview", module: "views/tabs/overview.js", filtered: true },
  { id: "parameters", title: "Parameters", module: "views/tabs/parameters.js", filtered: true },
  { id: "training", title: "Training", module: "views/tabs/training.js", applies: (study) => Boolean(study.spec.earlyStopping?.length) || isHalving(study) || isOfPopulation(study) },
  { id: "time", title: "Time", module: "views/tabs/time.js" },
];

/** Between two drawings while much happens. */
const PAUSE = 100;
const TICK = 5_000;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showStudy(place, at, signal) {
  const name = at.params.study;
  document.title = `${name} \u00b7 Tunesmith`;
  fill(place, notice("loading", `Loading ${name}\u2026`));
  const changed = gently(() => draw(), PAUSE, signal);
  const failed = (/** @type {unknown} */ error) => {
    shown = false;
    fill(place, failure(error, () => showStudy(place, at, signal)));
  };
  const model = new StudyModel(name, { changed, failed }, signal);
  const href = (/** @type {number | string} */ number) => address("studies", name, "trials", number);
  const open = (/** @type {number | string} */ number) => go(href(number));

  const head = el("header", { class: "page study" });
  const figures = el("div");
  const tabs = el("nav", { class: "tabs", "aria-label": "Parts of the study" });
  const panel = el("div", { class: "panel" });
  const filter = filterBar(model);
  const tabRow = el("div", { class: "tab-row" }, tabs, filter.chips, filter.menu);
  let shown = false;
  /** @type {Part | null} */
  let part = null;
  let ofPart = new AbortController();

  const openPart = () => {
    ofPart.abort();
    ofPart = new AbortController();
    const tab = TABS.find(({ id }) => id === (at.params.tab ?? ""));
    if (model.study) model.filter.read(at.query.get("only") ?? "", model.study);
    filter.show(Boolean(tab?.filtered));
    document.title = [tab?.id && tab.title, name, "Tunesmith"].filter(Boolean).join(" \u00b7 ");
    part = null;
    if (!tab) return fill(panel, notice("empty", "A study has no such part", el("p", {}, el("a", { href: address("studies", name), text: "Overview" }))));
    const context = { model, query: at.query, href, open, signal: AbortSignal.any([signal, ofPart.signal]) };
    showLater(panel, tab.module, context.signal, ({ create }) => {
      part = create(context);
      fill(panel, part.node);
      // It came later than what is around it.
      if (shown) draw();
    });
  };
  let shape = "";
  const drawTabs = () => {
    const here = at.params.tab ?? "";
    const wanted = TABS.filter(({ id, applies }) => id === here || (model.study !== null && (applies?.(model.study) ?? true)));
    // The filter goes along to another part.
    const only = model.filter.text ? `?${new URLSearchParams({ only: model.filter.text })}` : "";
    const now = JSON.stringify([here, only, wanted.map(({ id }) => id)]);
    if (now === shape) return;
    shape = now;
    const focused = tabs.contains(document.activeElement);
    fill(
      tabs,
      wanted.map(({ id, title }) => el("a", { href: (id ? address("studies", name, id) : address("studies", name)) + only, "aria-current": id === here ? "page" : null, text: title })),
    );
    if (focused) /** @type {HTMLElement | null} */ (tabs.querySelector("[aria-current]"))?.focus();
  };
  const draw = () => {
    const { study } = model;
    if (!study) return;
    if (!shown) {
      openPart();
      fill(place, head, figures, tabRow, panel);
    }
    shown = true;
    drawHead(head, study, model);
    drawOverview(figures, study, href);
    drawTabs();
    filter.draw();
    part?.draw();
  };
  const ticking = setInterval(() => {
    if (document.hidden || !shown || !model.study || hasEnded(model.study)) return;
    drawOverview(figures, model.study, href);
    part?.tick?.();
  }, TICK);
  signal.addEventListener("abort", () => clearInterval(ticking));
  model.start();

  // Another part of the same study: what is known of it stays.
  return (/** @type {import("../router.js").Place} */ next) => {
    if (next.params.study !== name) return false;
    const same = next.params.tab === at.params.tab;
    at = next;
    if (shown) {
      openPart();
      if (!part) draw();
      if (!same) scrollTo(0, Math.min(scrollY, tabs.offsetTop - 60));
    }
    return true;
  };
}
