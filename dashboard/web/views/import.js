// An exported study becomes a study here, paused and with its finished trials.

import { api, ApiError } from "../api.js";
import { attempt, say } from "../dialog.js";
import { el, fill } from "../dom.js";
import { day, plural } from "../format.js";
import { button, facts, uuid } from "../parts.js";
import { address, go } from "../router.js";
import { hasEnded } from "../states.js";
import { steadily, task } from "../task.js";
import { plan as planOf, read } from "../transfer/import.js";
import { exactJson } from "../transfer/json.js";

/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("../transfer/import.js").Plan} Plan */

/** @param {File} [dropped] the file to begin with */
export async function importStudy(dropped) {
  /** @type {Plan | null} */
  let plan = null;
  /** What was made so far. @type {Study | null} */
  let created = null;
  let done = 0;
  let [id, ofName] = [uuid(), ""];

  const input = el("input", { type: "file", id: "import-file", accept: ".json,application/json", autofocus: true });
  const name = el("input", { type: "text", id: "import-name", spellcheck: "false", autocomplete: "off" });
  const about = el("div", { class: "import-plan", role: "status" });
  const drop = el("div", { class: "drop" }, el("label", { for: "import-file", text: "File" }), input, el("span", { class: "quiet", text: "or drop it here" }));
  let turn = 0;
  const take = async (/** @type {File | undefined} */ file) => {
    if (!file || created) return;
    const mine = ++turn;
    plan = null;
    fill(about, el("p", { class: "quiet", text: `Reading ${file.name}\u2026` }));
    try {
      const found = planOf(await read(file));
      if (mine !== turn) return;
      plan = found;
      name.value = plan.spec.name ?? "";
      const trials = plan.requests.length;
      fill(
        about,
        el("div", { class: "field" }, el("label", { for: "import-name", text: "Name" }), name),
        facts([
          ["File", file.name],
          ["Exported", plan.exportedAt ? day(plan.exportedAt) : null],
          ["Trials with a result", plural(trials, "trial")],
          ["Known from other studies", plan.history.length ? plural(plan.history.length, "trial") : null],
        ]),
        plan.notes.map((note) => el("p", { class: "warning", text: note })),
        el("p", { class: "quiet", text: "The study is created paused: nothing starts before it is resumed." }),
      );
    } catch (error) {
      if (mine === turn) fill(about, el("p", { class: "problem", text: error instanceof Error ? error.message : String(error) }));
    }
  };
  input.addEventListener("change", () => void take(input.files?.[0]));
  drop.addEventListener("dragover", (event) => (event.preventDefault(), drop.classList.add("over")));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    void take(event.dataTransfer?.files[0]);
  });
  void take(dropped);

  /** @param {Plan} from @param {AbortSignal} signal */
  const create = async ({ spec, history }, signal) => {
    const wanted = name.value.trim();
    // The same id must not come with other content.
    if (wanted !== ofName) [id, ofName] = [uuid(), wanted];
    // What it comes from need not be here.
    const body = exactJson({ spec: { ...spec, name: wanted }, requestId: id, paused: true, detached: true, history });
    const study = await steadily(() => api.createStudyAs(body, { signal }), signal).catch((error) => {
      if (error instanceof ApiError && error.reason === "BODY_TOO_LARGE") throw new Error(`${error.message}. It knows too many trials of other studies to be sent by a browser: import it with \u201ctunesmith study import FILE\u201d.`);
      throw error;
    });
    created = study;
    name.disabled = input.disabled = true;
    if (study.state !== "STUDY_STATE_PAUSED") await api.steer(wanted, "pause");
  };
  const remove = async () => {
    const study = created?.spec.name ?? "";
    const gone = await attempt(async () => {
      // Its trials may have ended it.
      if (!hasEnded(await api.study(study))) await api.steer(study, "stop");
      await api.deleteStudy(study);
      return true;
    }, `${study} was deleted.`);
    if (gone) /** @type {HTMLDialogElement | null} */ (about.closest("dialog"))?.close("");
  };
  const imported = await task({
    title: "Import an exported study",
    body: [drop, about],
    action: "Import",
    work: async (tell, signal) => {
      if (!plan) throw new Error("Choose a file that was exported first.");
      const { requests } = plan;
      if (!created) await create(plan, signal);
      const study = /** @type {Study} */ (created).spec.name;
      // In order, so that trials keep theirs.
      for (; done < requests.length; done += 1) {
        tell(done, requests.length, "trials imported");
        const body = exactJson(requests[done]);
        await steadily(() => api.addTrialAs(study, body, { signal }), signal);
      }
      tell(done, requests.length, "trials imported");
      return steadily(() => api.study(study, { signal }), signal);
    },
    explain: () => {
      if (!created || !plan) return [];
      const text = `The study ${created.spec.name} exists, paused, with the first ${done} of ${plural(plan.requests.length, "trial")}. Go on, or delete it before another attempt.`;
      return [el("p", { text }), button("Delete what was imported", remove, "danger-quiet")];
    },
  });
  if (!imported) return;
  const states = { STUDY_STATE_ACTIVE: "active", STUDY_STATE_PAUSED: "paused" };
  const state = states[/** @type {keyof typeof states} */ (imported.state)] ?? `done: ${imported.stateReason}`;
  say(`Imported with ${plural(done, "trial")}, and ${state}.`);
  go(address("studies", imported.spec.name));
}
