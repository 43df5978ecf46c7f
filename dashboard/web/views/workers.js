// Machines: what they have, what they run, and how to take them out of service.

import { api } from "../api.js";
import { attempt, confirm } from "../dialog.js";
import { el, fill, setText } from "../dom.js";
import { ago, count, day, short } from "../format.js";
import { repeat } from "../live.js";
import { button, failure, notice } from "../parts.js";
import { address, keep, onKey } from "../router.js";
import { badge, workerLook } from "../states.js";
import { gpuUse, machineUse, waitingList } from "./workers/use.js";

/** @typedef {import("../../types/api.js").Worker} Worker */

/** Between two readings, in milliseconds. */
const PAUSE = 2_000;

/**
 * @param {HTMLElement} place
 * @param {import("../router.js").Place} at
 * @param {AbortSignal} signal
 */
export function showWorkers(place, { query }, signal) {
  document.title = "Workers \u00b7 Tunesmith";
  /** @type {Worker[]} */
  let workers = [];
  let read = false;
  const number = el("span", { class: "quiet" });
  const search = el("input", { type: "search", placeholder: "Search", "aria-label": "Search workers", "aria-keyshortcuts": "/", value: query.get("q") ?? "" });
  const content = el("div", {}, notice("loading", "Loading workers\u2026"));
  fill(place, el("header", { class: "page" }, el("h1", {}, "Workers ", number), el("div", { class: "filters" }, search)), content);
  const list = el("ul", { class: "workers" });
  const queue = el("div");
  let queued = "";
  /** @type {Map<string, {text: string, node: HTMLElement}>} */
  const cards = new Map();

  const draw = () => {
    if (!read) return;
    const text = search.value.trim().toLowerCase();
    const gpus = workers.reduce((sum, { resources }) => sum + (resources?.gpus?.length ?? 0), 0);
    setText(number, workers.length ? `${count(workers.length)}${gpus ? ` \u00b7 ${count(gpus)} GPU${gpus === 1 ? "" : "s"}` : ""}` : "");
    if (workers.length === 0) {
      fill(content, notice("empty", "No workers yet", el("p", {}, "Start one on each machine that is to run trials:"), el("pre", { class: "command", text: `tunesmith-worker --coordinator ${location.origin} --token-file worker.token` })));
      return;
    }
    const found = workers.filter((worker) => `${worker.name} ${(worker.resources?.gpus ?? []).map(({ model }) => model).join(" ")} ${Object.entries(worker.resources?.labels ?? {}).flat().join(" ")} ${(worker.trials ?? []).join(" ")}`.toLowerCase().includes(text));
    if (found.length === 0) return void fill(content, notice("empty", `No worker matches \u201c${search.value.trim()}\u201d`));
    const nodes = found.map((worker) => {
      const now = JSON.stringify([worker, ago(worker.lastSeenAt, Date.now())]);
      const known = cards.get(worker.name);
      // Not drawn again under somebody's fingers.
      if (known && (known.text === now || known.node.contains(document.activeElement))) return known.node;
      const node = card(worker, again);
      cards.set(worker.name, { text: now, node });
      return node;
    });
    if (!content.contains(list)) fill(content, queue, list);
    if (nodes.length !== list.children.length || nodes.some((node, index) => list.children[index] !== node)) fill(list, nodes);
  };
  const again = repeat(
    async () => {
      const [all, waiting] = await Promise.all([api.workers({ signal }), api.queue({ signal })]);
      workers = all.workers ?? [];
      read = true;
      const now = JSON.stringify(waiting);
      // Not drawn again under somebody's fingers.
      if (now !== queued && !queue.contains(document.activeElement)) {
        queued = now;
        fill(queue, waiting.studies?.length ? waitingList(waiting.studies) : null);
      }
      draw();
      return PAUSE;
    },
    (error) => fill(content, failure(error, () => showWorkers(place, { path: "", params: {}, query }, signal))),
    signal,
  );
  search.addEventListener("input", () => (keep({ q: search.value.trim() }), draw()));
  search.addEventListener("keydown", (event) => event.key === "Escape" && search.blur());
  onKey("/", () => search.focus(), signal);
}

/**
 * @param {Worker} worker
 * @param {() => void} again
 */
function card(worker, again) {
  const name = short(worker.name);
  const { resources = {}, trials = [] } = worker;
  const slots = resources.slots ?? 0;
  const drain = async () => {
    if (await confirm({ title: `Drain ${name}?`, text: `It finishes ${trials.length ? `the ${count(trials.length)} trial${trials.length === 1 ? "" : "s"} that it runs` : "what it runs"} and gets nothing new until it is resumed.`, action: "Drain" })) {
      await attempt(() => api.drain(name, false), `${name} gets nothing new.`);
      release();
    }
  };
  const resume = async () => {
    await attempt(() => api.drain(name, true), `${name} takes trials again.`);
    release();
  };
  const remove = async () => {
    if (await confirm({ title: `Remove ${name}?`, text: "It is forgotten, and known again when it connects.", action: "Remove", danger: true })) {
      await attempt(() => api.removeWorker(name), `${name} was removed.`);
      release();
    }
  };
  const release = () => {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    again();
  };
  const buttons = [worker.state === "WORKER_STATE_READY" && button("Drain\u2026", drain), worker.state === "WORKER_STATE_DRAINING" && button("Resume", resume), worker.state === "WORKER_STATE_OFFLINE" && button("Remove\u2026", remove, "danger-quiet")];
  const places = el(
    "div",
    { class: "slots", role: "img", "aria-label": `${trials.length} of ${slots} slots in use` },
    Array.from({ length: Math.min(slots, 64) }, (_, index) => el("span", { class: index < trials.length ? "used" : null })),
  );
  return el(
    "li",
    { class: "worker" },
    el("div", { class: "worker-head" }, el("h2", { text: name }), badge(workerLook(worker.state), worker.stateReason), el("span", { class: "quiet", text: worker.stateReason ?? "" }), el("div", { class: "buttons" }, buttons.filter((one) => one !== false))),
    el(
      "div",
      { class: "worker-body" },
      el("div", { class: "figure" }, places, el("span", { class: "quiet", text: `${trials.length} of ${slots} slot${slots === 1 ? "" : "s"} in use` })),
      machineUse(worker),
      el("div", { class: "figure" }, el("span", { text: worker.address ?? "" }), el("span", { class: "quiet", text: `${worker.version ?? ""} \u00b7 seen ${ago(worker.lastSeenAt, Date.now())}` }), worker.connectedAt && el("span", { class: "quiet", text: `connected ${day(worker.connectedAt)}` })),
      el(
        "div",
        { class: "figure runs" },
        trials.length
          ? trials.map((trial) => {
              const [, study, , number] = trial.split("/");
              return el("a", { href: address("studies", study, "trials", number), text: `${study} / ${number}` });
            })
          : el("span", { class: "quiet", text: "runs nothing" }),
      ),
      Object.keys(resources.labels ?? {}).length > 0 && el("div", { class: "figure labels" }, Object.entries(resources.labels ?? {}).map(([key, value]) => el("span", { class: "label", text: value ? `${key}=${value}` : key }))),
    ),
    gpuUse(worker),
  );
}
