// Saves something as a file of the person who looks at the page.

import { el } from "./dom.js";

/** Time that a browser may take to begin with it, in milliseconds. */
const PATIENCE = 60_000;

/**
 * @param {Blob} content
 * @param {string} name
 */
export function save(content, name) {
  const address = URL.createObjectURL(content);
  const link = el("a", { download: name.replace(/[^\w.-]+/g, "_") });
  link.href = address;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), PATIENCE);
}
