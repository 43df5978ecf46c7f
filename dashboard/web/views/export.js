// A study as a file of the person who looks at it.

import { say } from "../dialog.js";
import { el } from "../dom.js";
import { plural } from "../format.js";
import { save } from "../save.js";
import { task } from "../task.js";
import { Export } from "../transfer/export.js";

/** @param {string} name */
export async function exportStudy(name) {
  const choice = (/** @type {string} */ value, /** @type {string} */ title, /** @type {string} */ text) =>
    el("label", { class: "option" }, el("input", { type: "radio", name: "export-form", value, checked: value === "json" }), el("span", {}, el("b", { text: title }), el("span", { class: "quiet", text })));
  const options = el("fieldset", { class: "options", "aria-label": "Form" }, choice("json", "JSON", "Everything: the study, its trials with attempts and judgements, and their curves. Can be imported again."), choice("csv", "CSV", "One row per trial: state, values, parameters, metrics, times, note and tags."));
  const work = new Export(name);
  let form = "json";
  const file = await task({
    title: `Export ${name}`,
    body: [options],
    action: "Export",
    work: async (tell, signal) => {
      form = /** @type {HTMLInputElement} */ (options.querySelector("input:checked")).value;
      options.disabled = true;
      try {
        return await (form === "json" ? work.json(tell, signal) : work.csv(tell, signal));
      } finally {
        options.disabled = false;
      }
    },
    explain: () => (work.trials.length ? [el("p", { class: "quiet", text: "What was read is kept until this is closed." })] : []),
  });
  if (!file) return;
  save(file, `${name}.${form}`);
  say(`${plural(work.trials.length, "trial")} written to ${name}.${form}.`);
}
