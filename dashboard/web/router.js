// Addresses: each view has one that can be sent to somebody else, with how it is sorted and filtered behind the question mark.

import { isTyping } from "./dom.js";

/** @typedef {{path: string, params: Record<string, string>, query: URLSearchParams}} Place */
/**
 * Shows a view. What it may return takes another address for the view, and says whether it could: then the view stays.
 * @typedef {(place: Place, signal: AbortSignal) => ((place: Place) => boolean) | void} Show
 */

/** @type {{pattern: string[], show: Show, prepare: (params: Record<string, string>) => void}[]} */
const routes = [];
/** @type {Show} */
let otherwise = () => {};
let current = new AbortController();
/** @type {Show | undefined} */
let shown;
/** @type {((place: Place) => boolean) | void} */
let move;

/** @param {string} path */
const parts = (path) => path.split("/").filter(Boolean);

/**
 * @param {string} pattern such as "/studies/:study"
 * @param {Show} show
 * @param {(params: Record<string, string>) => void} prepare asks for what `show` will need: somebody is about to go there
 */
export function route(pattern, show, prepare) {
  routes.push({ pattern: parts(pattern), show, prepare });
}

/** @param {Show} show */
export function routeOtherwise(show) {
  otherwise = show;
}

/**
 * What an address leads to.
 * @param {string} path
 * @returns {{show: Show, prepare?: (params: Record<string, string>) => void, params: Record<string, string>}}
 */
function find(path) {
  const given = parts(path);
  for (const { pattern, show, prepare } of routes) {
    if (pattern.length !== given.length) continue;
    /** @type {Record<string, string>} */
    const params = {};
    const fits = pattern.every((part, index) => {
      if (!part.startsWith(":")) return part === given[index];
      try {
        params[part.slice(1)] = decodeURIComponent(given[index]);
        return true;
      } catch {
        return false;
      }
    });
    if (fits) return { show, prepare, params };
  }
  return { show: otherwise, params: {} };
}

/** Shows what the address says. The view before it ends, unless it has a place for that address itself. */
export function show() {
  const { show, params } = find(location.pathname);
  const place = { path: location.pathname, params, query: new URLSearchParams(location.search) };
  if (show === shown && move?.(place)) return;
  current.abort();
  current = new AbortController();
  shown = show;
  move = show(place, current.signal);
}

/**
 * Asks for what an address needs, before it is gone to.
 * @param {string} path
 */
export function prepare(path) {
  const { prepare, params } = find(path);
  prepare?.(params);
}

/** Ends the view that is shown. */
export function leave() {
  current.abort();
  shown = move = undefined;
}

/** @param {string} path */
export function go(path) {
  if (path === location.pathname + location.search) return;
  history.pushState(null, "", path);
  const before = current;
  show();
  if (current !== before) scrollTo(0, 0);
}

/**
 * Keeps how the present view is sorted and filtered in its address. What is empty is left out.
 * @param {Record<string, string>} fields
 */
export function keep(fields) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(fields)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
}

/** Links of this site lead on without loading the page anew. */
export function start() {
  addEventListener("popstate", show);
  document.addEventListener("click", (event) => {
    const href = hrefOf(event);
    if (!href || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
  });
  // Somebody who points at a link may follow it.
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const href = hrefOf(event);
      if (href) prepare(new URL(href, location.href).pathname);
    });
  }
}

/**
 * The view that a link leads to; "" if there is none.
 * @param {Event} event
 */
function hrefOf({ target }) {
  const link = target instanceof Element ? target.closest("a[href]") : null;
  if (!link || link.hasAttribute("download") || link.getAttribute("target")) return "";
  const href = link.getAttribute("href") ?? "";
  return href.startsWith("/") && !href.startsWith("/v1/") ? href : "";
}

/**
 * Addresses of views.
 * @param {...(string | number)} names
 */
export const address = (...names) => `/${names.map((name) => encodeURIComponent(String(name))).join("/")}`;

/**
 * Calls a key's listener while a view is shown, unless somebody is typing or a dialog is open.
 * @param {string} key
 * @param {(event: KeyboardEvent) => void} listener
 * @param {AbortSignal} signal
 */
export function onKey(key, listener, signal) {
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== key || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      listener(event);
    },
    { signal },
  );
}
