// What is known of one trial beside its result and parameters: the bounds that it keeps, with whose training it began, what it had come to on the
// way, and the checkpoint that it can go on from.

import { el } from "../../dom.js";
import { bytes, measure, num, parameter, plural } from "../../format.js";
import { facts } from "../../parts.js";

/** @typedef {import("../../../types/api.js").Study} Study */
/** @typedef {import("../../../types/api.js").Trial} Trial */

/**
 * How it stands with each bound of a metric; nothing if the study has none.
 * @param {Trial} trial
 */
export function boundsOf({ constraints = [], feasible }) {
  if (!constraints.length) return [];
  const stands = constraints.map(({ metric, value, violation }) => {
    const over = num(violation ?? 0);
    const text = value === undefined ? "nothing reported" : over > 0 ? `${measure(value)}, violated by ${measure(over)}` : `${measure(value)}, kept`;
    return /** @type {[string, Node]} */ ([metric, el("span", { class: value !== undefined && over > 0 ? "number problem" : "number", text })]);
  });
  return [facts([...stands, ["All kept", feasible === undefined ? null : feasible ? "yes" : "no"]])];
}

/**
 * How its training went on, and can go on; nothing if it was trained in one go and saved nothing.
 * @param {Study} study
 * @param {Trial} trial
 * @param {(number: string) => string} href the address of another trial
 */
export function trainingOf(study, { parent, rungs = [], checkpoint }, href) {
  const step = study.spec.trial?.steps?.name ?? "step";
  const other = (/** @type {unknown} */ number) => el("a", { href: href(String(number)), text: `trial ${number}` });
  const changed = (parent?.changed ?? []).map(({ name, from, to }) => /** @type {[string, Node]} */ ([name, el("span", { class: "number", text: `${from === undefined ? "inactive" : parameter(from)} \u2192 ${to === undefined ? "inactive" : parameter(to)}` })]));
  /** @type {[string, Node | string | null][]} */
  const all = [
    ["Began with", parent ? el("span", {}, other(parent.trial), ` at ${step} ${parent.step}, ${measure(parent.value)}`) : null],
    ["In the place of", parent?.replaces === undefined ? null : other(parent.replaces)],
    ...changed,
    ...rungs.map(({ rung, step: reported, value }) => /** @type {[string, string]} */ ([`At ${step} ${rung}`, measure(value) + (String(reported) === String(rung) ? "" : `, reported at ${reported}`)])),
    ["Checkpoint", checkpoint ? `${step} ${checkpoint.step}, ${bytes(checkpoint.bytes ?? 0)} in ${plural(num(checkpoint.files ?? 0), "file")}` : null],
  ];
  return all.some(([, value]) => value !== null) ? [facts(all)] : [];
}
