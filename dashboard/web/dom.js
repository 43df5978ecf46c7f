// Builds elements. Text is only ever set as text and addresses only ever lead to this site, but for links that people wrote and that say where they lead,
// so that nothing that people or programs named can become a part of the page. Nothing else in the dashboard makes elements.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * An element. Properties: `class`, `text`, `on` (listeners by event), `data`, everything else an attribute; null and false are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  apply(element, properties);
  append(element, children.flat());
  return element;
}

/**
 * The same for pictures.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(element, properties);
  append(element, children.flat());
  return element;
}

/**
 * @param {Element} element
 * @param {Record<string, unknown>} properties
 */
function apply(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") {
      element.textContent = String(value);
    } else if (name === "on") {
      for (const [event, listener] of Object.entries(/** @type {Record<string, EventListener>} */ (value))) element.addEventListener(event, listener);
    } else if (name === "href") {
      const address = String(value);
      // Nothing but paths of this site and places on this page: no "javascript:", no "//other.host".
      if (!/^(\/(?!\/)|#)/.test(address)) throw new Error(`not an address of this site: ${address}`);
      element.setAttribute("href", address);
    } else if (name.startsWith("on") || name === "style" || name === "srcdoc" || name === "src") {
      throw new Error(`${name} is not for this`);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * A link to another site. That learns nothing of this one, and cannot reach it.
 * @param {URL} address
 * @param {Record<string, unknown>} properties
 * @param {...(Child | Child[])} children
 */
export function outside(address, properties, ...children) {
  if (!["http:", "https:", "mailto:"].includes(address.protocol)) throw new Error(`not a place for links: ${address.protocol}`);
  const link = el("a", { ...properties, target: "_blank", rel: "noopener noreferrer" }, ...children);
  link.href = address.href;
  return link;
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "number" ? String(child) : child);
  }
}

/**
 * Replaces what an element has.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children.flat());
}

/**
 * Sets a text, unless it is there already.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Whether somebody is typing there.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  if (target instanceof HTMLInputElement && target.type === "checkbox") return false;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
