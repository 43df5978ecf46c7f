// What can be done with the trials that are ticked in their table: compared, stopped, given tags.

import { api } from "../api.js";
import { attempt, confirm, edit, say } from "../dialog.js";
import { el, fill } from "../dom.js";
import { num, plural } from "../format.js";
import { button } from "../parts.js";
import { address, go, keep } from "../router.js";
import { isOver } from "../states.js";
import { read } from "../tags.js";
import { MOST } from "./listed.js";

/** @typedef {import("./model.js").StudyModel} StudyModel */

/** Calls at the same time. */
const AT_A_TIME = 4;

/**
 * @param {object} options
 * @param {StudyModel} options.model
 * @param {Set<string>} options.chosen numbers of trials
 * @param {() => void} options.cleared told when nothing is ticked any more
 */
export function chosenTrials({ model, chosen, cleared }) {
  const node = el("div", { class: "chosen", hidden: true, role: "group", "aria-label": "Ticked trials" });
  /** Those that are ticked; of a large study not all are here. */
  const all = () => Promise.all([...chosen].map(async (number) => model.trials.get(Number(number)) ?? (await api.trial(model.name, number))));
  const clear = () => {
    chosen.clear();
    cleared();
    draw();
  };
  const stop = async () => {
    const running = (await attempt(all, ""))?.filter(({ state }) => !isOver(state));
    if (!running) return;
    if (running.length === 0) return say("They have all ended.");
    if (!(await confirm({ title: `Stop ${plural(running.length, "trial")}?`, text: "Their programs are asked to end, and killed if they do not. What they have reported stays.", action: "Stop them", danger: true }))) return;
    await each(running, ({ number }) => attempt(() => api.stopTrial(model.name, String(number)), ""));
  };
  const tag = async () => {
    const text = await edit({ title: `Tag ${plural(chosen.size, "trial")}`, label: "Tags, separated by commas", value: "", action: "Add" });
    const more = read(text ?? "");
    if (more.length === 0) return;
    await each((await attempt(all, "")) ?? [], async ({ number, tags = [] }) => {
      const together = [...new Set([...tags, ...more])];
      if (together.length === tags.length) return;
      const after = await attempt(() => api.setTags(model.name, String(number), together), "");
      if (after) model.setTrial(after);
    });
  };
  const draw = () => {
    keep({ chosen: [...chosen].join(",") });
    node.hidden = chosen.size === 0;
    const numbers = [...chosen].sort((a, b) => num(a) - num(b));
    const compare = button(`Compare (${chosen.size})`, () => go(`${address("studies", model.name, "compare")}?trials=${numbers.join(",")}`), "primary");
    compare.disabled = chosen.size < 2 || chosen.size > MOST;
    if (chosen.size > MOST) compare.title = `Up to ${MOST} can be compared`;
    fill(node, el("span", { text: `${plural(chosen.size, "trial")} ticked` }), compare, button("Tag\u2026", tag), button("Stop\u2026", stop, "danger-quiet"), button("Clear", clear));
  };
  if (chosen.size) draw();
  return { node, draw };
}

/**
 * Does something with each, a few at a time.
 * @template T
 * @param {T[]} all
 * @param {(one: T) => Promise<unknown>} work
 */
async function each(all, work) {
  const left = [...all];
  const run = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, run));
}
