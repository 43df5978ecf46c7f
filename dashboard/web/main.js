// Begins: who is signed in, the frame, the views by their addresses.

import { api, ApiError, onSignedOut } from "./api.js";
import { el, fill } from "./dom.js";
import { isModule, prepare, showLater } from "./later.js";
import { wait } from "./live.js";
import { failure, notice } from "./parts.js";
import * as router from "./router.js";
import * as shell from "./shell.js";
import { ask, tokenOfAddress } from "./signin.js";
import { apply } from "./theme.js";

const root = /** @type {HTMLElement} */ (document.getElementById("root"));
/** What is around all views, while somebody is signed in. @type {ReturnType<typeof shell.build> | null} */
let frame = null;

/** An empty place for a view. */
function placeOfView() {
  const place = el("div", { class: "view" });
  document.title = "Tunesmith";
  frame?.here();
  if (frame) fill(frame.main, place);
  return place;
}

/**
 * A view that is loaded when somebody goes there.
 * @template {import("./later.js").Name} N
 * @param {string[]} patterns
 * @param {N} name
 * @param {(module: import("./later.js").Module<N>) => (place: HTMLElement, at: router.Place, signal: AbortSignal) => ReturnType<router.Show>} pick
 * @param {(params: Record<string, string>) => string} [more] what it will load for this address
 */
function view(patterns, name, pick, more) {
  /** @type {router.Show} */
  const show = (at, signal) => {
    const place = placeOfView();
    /** @type {ReturnType<router.Show>} */
    let move;
    showLater(place, name, signal, (module) => (move = pick(module)(place, at, signal)));
    return (next) => move?.(next) ?? false;
  };
  for (const pattern of patterns) {
    router.route(pattern, show, (params) => {
      prepare(name);
      const next = more?.(params) ?? "";
      if (isModule(next)) prepare(next);
    });
  }
}

view(["/", "/studies"], "views/studies.js", ({ showStudies }) => showStudies);
view(["/new"], "views/new.js", ({ showNew }) => showNew);
view(["/compare"], "views/compare-studies.js", ({ showCompareStudies }) => showCompareStudies);
view(["/studies/:study/compare"], "views/compare.js", ({ showCompare }) => showCompare);
view(["/studies/:study", "/studies/:study/:tab"], "views/study.js", ({ showStudy }) => showStudy, ({ tab = "overview" }) => `views/tabs/${tab}.js`);
view(["/studies/:study/trials/:trial"], "views/trial.js", ({ showTrial }) => showTrial);
view(["/workers"], "views/workers.js", ({ showWorkers }) => showWorkers);
router.routeOtherwise(() => {
  const place = placeOfView();
  document.title = "Not found \u00b7 Tunesmith";
  fill(place, notice("empty", "There is no such page", el("p", {}, el("a", { href: "/", text: "All studies" }))));
});

/** @param {import("../types/api.js").Session} session */
function run(session) {
  const first = frame === null;
  // What was shown before was shown in another frame.
  router.leave();
  frame = shell.build(root, session);
  if (first) {
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
onSignedOut(() => frame && signIn(""));
// An address that signs in, given to a page that is open already.
addEventListener("hashchange", () => location.hash.startsWith("#token=") && void begin());
// What the view needs is fetched while it is asked who is signed in.
router.prepare(location.pathname);
void begin();
