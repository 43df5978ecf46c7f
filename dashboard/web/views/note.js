// The note on a trial, as it is edited with what becomes of it beside it.

import { api } from "../api.js";
import { attempt } from "../dialog.js";
import { use } from "../later.js";

/** @typedef {import("../../types/api.js").Trial} Trial */

/**
 * Lets somebody change a note. Gives the trial as it is afterwards, or nothing if it was not changed.
 * @param {string} study
 * @param {Trial} trial
 * @param {AbortSignal} signal
 * @returns {Promise<Trial | undefined>}
 */
export async function noteOn(study, { number, note = "" }, signal) {
  const text = await (await use("note-edit.js", signal))?.write({ title: `Note on trial ${number}`, label: "Note", value: note });
  return text === null || text === undefined ? undefined : attempt(() => api.setNote(study, String(number), text), "Saved.");
}
