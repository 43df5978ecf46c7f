// Tags of trials: short labels that people give them. As chips where they are seen, separated by commas where they are written.

import { api } from "./api.js";
import { attempt } from "./dialog.js";
import { el } from "./dom.js";

/** @param {string[] | undefined} tags */
export function chipsOf(tags = []) {
  return el(
    "span",
    { class: "tags" },
    tags.map((tag) => el("span", { class: "tag", title: tag, text: tag })),
  );
}

/** @param {string[] | undefined} tags */
export const written = (tags = []) => tags.join(", ");

/**
 * Tags as somebody wrote them, each once.
 * @param {string} text
 */
export function read(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

/**
 * Gives a trial tags.
 * @param {string} study
 * @param {string | number} trial
 * @param {string[]} tags
 */
export function give(study, trial, tags) {
  return attempt(() => api.setTags(study, trial, tags), "");
}
