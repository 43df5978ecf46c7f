// Begins: who is signed in, the frame, the views by their addresses.

import { api, ApiError, onSignedOut } from "./api.js";
import { el, fill } from "./dom.js";
import { wait } from "./live.js";
import { failure, notice } from "./parts.js";
import * as router from "./router.js";
import * as shell from "./shell.js";
import { ask, tokenOfAddress } from "./signin.js";
import { apply } from "./theme.js";
import { showCompareStudies } from "./views/compare-studies.js";
import { showCompare } from "./views/compare.js";
import { showNew } from "./views/new.js";
import { showStudies } from "./views/studies.js";
import { showStudy } from "./views/study.js";
import { showTrial } from "./views/trial.js";
import { showWorkers } from "./views/workers.js";

const root = /** @type {HTMLElement} */ (document.getElementById("root"));
let started = false;

/** @param {import("../types/api.js").Session} session */
function run(session) {
  const { main, here } = shell.build(root, session);
  const view = (/** @type {(place: HTMLElement, at: router.Place, signal: AbortSignal) => ReturnType<router.Show>} */ show) => (/** @type {router.Place} */ at, /** @type {AbortSignal} */ signal) => {
    here();
    const place = el("div", { class: "view" });
    fill(main, place);
    return show(place, at, signal);
  };
  router.clear();
  router.route("/", view(showStudies));
  router.route("/studies", view(showStudies));
  router.route("/new", view(showNew));
  router.route("/compare", view(showCompareStudies));
  router.route("/studies/:study/compare", view(showCompare));
  const study = view(showStudy);
  router.route("/studies/:study", study);
  router.route("/studies/:study/:tab", study);
  router.route("/studies/:study/trials/:trial", view(showTrial));
  router.route("/workers", view(showWorkers));
  router.routeOtherwise(
    view((place) => {
      document.title = "Not found \u00b7 Tunesmith";
      fill(place, notice("empty", "There is no such page", el("p", {}, el("a", { href: "/", text: "All studies" }))));
    }),
  );
  if (!started) {
    started = true;
    router.start();
    shell.keys();
  }
  router.show();
}

/** @param {string} problem */
function signIn(problem) {
  router.leave();
  ask(root, problem, begin);
}

let tries = 0;
async function begin() {
  let problem = "";
  const token = tokenOfAddress();
  try {
    if (token !== null) {
      try {
        await api.signIn(token);
      } catch (error) {
        if (error instanceof ApiError && error.away) throw error;
        problem = error instanceof Error ? error.message : String(error);
      }
    }
    const session = await api.session();
    tries = 0;
    run(session);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) signIn(problem);
    else if (error instanceof ApiError && error.away) {
      fill(root, notice("loading", "The coordinator does not answer", el("p", { text: "Trying again\u2026" })));
      setTimeout(begin, wait(tries++));
    } else fill(root, failure(error, begin));
  }
}

apply();
onSignedOut(() => started && signIn(""));
// An address that signs in, given to a page that is open already.
addEventListener("hashchange", () => location.hash.startsWith("#token=") && void begin());
void begin();
