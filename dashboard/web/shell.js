// What is around every view: the bar at the top, how the page stands with the coordinator, and the keys that work everywhere.

import { api } from "./api.js";
import { attempt, help } from "./dialog.js";
import { el, fill, isTyping, setText, svg } from "./dom.js";
import { clock } from "./format.js";
import { health, onHealth } from "./live.js";
import { go } from "./router.js";
import { toggle } from "./theme.js";

const ICONS = {
  theme: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zm0 1.5v10a5 5 0 0 1 0-10z",
  help: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13zM8 3a5 5 0 1 1 0 10a5 5 0 0 1 0-10zm-.7 7.2h1.4v1.4H7.3zM8 4.3c1.4 0 2.4.8 2.4 2 0 .9-.5 1.4-1 1.8-.5.3-.7.5-.7 1v.3H7.3v-.4c0-1 .5-1.5 1-1.9.4-.3.6-.5.6-.8 0-.4-.3-.7-.9-.7s-1 .4-1 1H5.6c0-1.4 1-2.3 2.4-2.3z",
  out: "M3 2h6v1.5H4.5v9H9V14H3zM10.5 4.5L14 8l-3.5 3.5-1.1-1.1 1.7-1.6H6.5V7.2h4.6L9.4 5.6z",
};

/**
 * @param {keyof typeof ICONS} icon
 * @param {string} label
 * @param {() => void} press
 */
function iconButton(icon, label, press) {
  return el("button", { type: "button", class: "icon", "aria-label": label, title: label, on: { click: press } }, svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[icon] })));
}

/**
 * Builds the frame and gives the place for views.
 * @param {HTMLElement} root
 * @param {import("../types/api.js").Session} session
 */
export function build(root, session) {
  const links = [
    { name: "Studies", href: "/" },
    { name: "Workers", href: "/workers" },
  ].map(({ name, href }) => el("a", { href, text: name }));
  const status = el("span", { class: "health none", role: "status" });
  const banner = el("p", { class: "away", role: "alert", hidden: true });
  const main = el("main", { id: "main", tabindex: -1 });
  const signOut = async () => {
    await attempt(() => api.signOut(), "");
    location.assign("/");
  };
  fill(
    root,
    el("a", { class: "skip", href: "#main", text: "To the content", on: { click: (/** @type {Event} */ event) => (event.preventDefault(), event.stopPropagation(), main.focus()) } }),
    el(
      "header",
      { class: "top" },
      el("a", { class: "brand", href: "/", text: "Tunesmith" }),
      el("nav", { "aria-label": "Views" }, links),
      status,
      el("span", { class: "who", title: `Signed in with the token \u201c${session.label}\u201d; version ${session.version}`, text: session.label }),
      iconButton("theme", "Light or dark (d)", toggle),
      iconButton("help", "Keyboard (?)", help),
      iconButton("out", "Sign out", signOut),
    ),
    banner,
    main,
    el("div", { id: "messages", class: "messages", role: "status", "aria-live": "polite" }),
  );

  const tell = () => {
    const { health: how, heard } = health();
    const words = { live: "Live", connecting: "Connecting", away: "Not connected", ended: "Up to date" };
    status.className = `health ${how ?? "none"}`;
    setText(status, how ? words[how] : "");
    banner.hidden = how !== "away";
    setText(banner, how === "away" ? `The coordinator does not answer. What you see is from ${clock(heard)}; trying again.` : "");
  };
  onHealth(tell);
  return {
    main,
    /** Marks where the page is. */
    here() {
      const place = location.pathname.startsWith("/workers") ? 1 : 0;
      links.forEach((link, index) => (index === place ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
    },
  };
}

/** Keys that work everywhere. */
export function keys() {
  let wentAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const second = Date.now() - wentAt < 1_000;
    wentAt = 0;
    const parts = location.pathname.split("/").filter(Boolean);
    if (event.key === "g") wentAt = Date.now();
    else if (second && event.key === "s") go("/");
    else if (second && event.key === "w") go("/workers");
    else if (event.key === "d") toggle();
    else if (event.key === "?") help();
    else if (event.key === "u" && parts[0] === "studies") go(parts.length > 2 ? `/studies/${parts[1]}` : "/");
  });
}
