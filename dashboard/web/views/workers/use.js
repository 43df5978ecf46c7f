// What is in use on a machine: processor, memory, and each GPU with the trial that has it.

import { el } from "../../dom.js";
import { bytes, num, short } from "../../format.js";
import { address } from "../../router.js";

/** @typedef {import("../../../types/api.js").Worker} Worker */

const percent = (/** @type {number} */ share) => `${Math.round(share * 100)}\u202f%`;

/**
 * A share as a bar, with words beside it.
 * @param {number} share from 0 to 1; NaN if it is not known
 * @param {string} label what it is of
 * @param {string} words
 */
function meter(share, label, words) {
  const known = Number.isFinite(share);
  const bar = el("div", { class: "bar", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": known ? Math.round(share * 100) : 0, "aria-valuetext": known ? words : "not known" }, el("span"));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${known ? Math.min(1, share) * 100 : 0}%`;
  return el("div", { class: "meter" }, bar, el("span", { class: "number quiet", text: words }));
}

/**
 * Processor and memory of the machine; what there is, where it does not tell what is in use.
 * @param {Worker} worker
 */
export function machineUse({ resources = {}, usage }) {
  if (!usage) return el("div", { class: "figure" }, el("span", { class: "quiet", text: `${num(resources.cpus ?? 0)} cores, ${bytes(resources.memoryBytes)}` }));
  const [cpus, cores] = [num(usage.cpus ?? 0), num(usage.allCpus ?? 0)];
  const [memory, all] = [num(usage.memoryBytes ?? 0), num(usage.allMemoryBytes ?? 0)];
  return el("div", { class: "figure uses" }, el("span", { class: "quiet", text: "CPU" }), meter(cpus / cores, "Processor", `${cpus.toFixed(1)} of ${cores} cores`), el("span", { class: "quiet", text: "Memory" }), meter(memory / all, "Memory", `${bytes(memory)} of ${bytes(all)}`));
}

/**
 * The GPUs, one row for each.
 * @param {Worker} worker
 */
export function gpuUse({ name: worker, resources = {}, gpuUsage = [] }) {
  const gpus = resources.gpus ?? [];
  if (gpus.length === 0) return null;
  const head = ["GPU", "Busy", "Memory", "Trial"].map((text) => el("th", { scope: "col", text }));
  const rows = gpus.map(({ uuid, model, memoryBytes }, index) => {
    const { percent: busy, memoryBytes: used, trial } = gpuUsage.find((one) => one.uuid === uuid) ?? { uuid };
    const [, study, , number] = (trial ?? "").split("/");
    const name = `GPU ${index}`;
    return el(
      "tr",
      {},
      el("td", { title: uuid }, name, model ? el("span", { class: "quiet", text: ` ${model}` }) : null),
      el("td", {}, meter(num(busy) / 100, `${name} busy`, busy === undefined ? "\u2013" : percent(busy / 100))),
      el("td", {}, meter(num(used) / num(memoryBytes), `Memory of ${name}`, used === undefined ? bytes(memoryBytes) : `${bytes(used) === "\u2013" ? "0" : bytes(used)} of ${bytes(memoryBytes)}`)),
      el("td", {}, trial ? el("a", { href: address("studies", study, "trials", number), text: `${study} / ${number}` }) : el("span", { class: "quiet", text: "free" })),
    );
  });
  return el("table", { class: "gpus", "aria-label": `GPUs of ${short(worker)}` }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}

/**
 * Studies whose trials wait for a place, the next one first.
 * @param {import("../../../types/api.js").QueuedStudy[]} studies
 */
export function waitingList(studies) {
  const rows = studies.map(({ study, waiting, running, priority, reason }, index) =>
    el(
      "tr",
      {},
      el("td", { class: "right number", text: String(index + 1) }),
      el("td", {}, el("a", { href: address("studies", short(study)), text: short(study) })),
      el("td", { class: "right number", text: String(waiting ?? 0) }),
      el("td", { class: "right number", text: String(running ?? 0) }),
      el("td", { class: "right number", text: String(priority ?? 1) }),
      el("td", { class: "quiet reason", text: reason || "is looked at in a moment" }),
    ),
  );
  const head = [
    ["Turn", "right"],
    ["Study", null],
    ["Waiting", "right"],
    ["Running", "right"],
    ["Priority", "right"],
    ["Why", null],
  ].map(([text, side]) => el("th", { scope: "col", class: side, text }));
  return el(
    "section",
    { class: "queue", "aria-labelledby": "queue-title" },
    el("h2", { id: "queue-title", text: "Waiting for a place" }),
    el("p", { class: "quiet", text: "The next place that fits goes to the study with the fewest running trials for its priority." }),
    el("table", { class: "gpus" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)),
  );
}
