// Signing in: by a token that is typed, or that comes behind the "#" of the address, which browsers send to nobody.

import { api } from "./api.js";
import { el, fill } from "./dom.js";

/** The token in the address, which is removed from it and from the browser's history at once. */
export function tokenOfAddress() {
  if (!location.hash.startsWith("#token=")) return null;
  const token = decodeURIComponent(location.hash.slice("#token=".length));
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/**
 * Asks for a token.
 * @param {HTMLElement} place
 * @param {string} problem what was wrong with the last one
 * @param {() => void} done
 */
export function ask(place, problem, done) {
  document.title = "Sign in \u00b7 Tunesmith";
  const input = el("input", { id: "token", type: "password", autocomplete: "current-password", spellcheck: "false", required: true, placeholder: "ts_user_\u2026", "aria-describedby": "token-help token-problem" });
  const trouble = el("p", { id: "token-problem", class: "problem", role: "alert", text: problem });
  const submit = el("button", { type: "submit", class: "button primary", text: "Sign in" });
  const form = el(
    "form",
    { class: "sign-in" },
    el("h1", { text: "Tunesmith" }),
    el("label", { for: "token", text: "Token" }),
    input,
    trouble,
    submit,
    el("p", { id: "token-help", class: "quiet" }, "The coordinator keeps its first token in ", el("code", { text: "admin.token" }), " in its data folder. ", el("code", { text: "tunesmith token create" }), " makes more."),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    trouble.textContent = "";
    try {
      await api.signIn(input.value);
      done();
    } catch (error) {
      trouble.textContent = error instanceof Error ? error.message : String(error);
      input.select();
    } finally {
      submit.disabled = false;
    }
  });
  fill(place, el("main", {}, form));
  input.focus();
}
