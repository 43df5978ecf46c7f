// Which trials are looked at: those whose parameters, results and metrics lie in what was chosen. All parts of a study's page share it, and it
// stands in the address: `only=p:lr=0.001..0.1,0.5..1;p:activation=relu,tanh`. Names and values are escaped, `@` stands for "inactive".

import { measure } from "../format.js";
import { dimensionOf } from "./dimensions.js";

/** @typedef {import("../../types/api.js").Trial} Trial */
/** @typedef {import("../../types/api.js").Study} Study */
/** @typedef {import("./dimensions.js").Dimension} Dimension */
/**
 * What is wanted of one dimension: a number in one of the ranges, one of the choices, or that it is not active. A bound may be infinite.
 * @typedef {{ranges?: [number, number][], choices?: string[], inactive?: boolean}} Rule
 */

const INACTIVE = "@";

export class Filter {
  constructor() {
    /** @type {Map<string, {dimension: Dimension, rule: Rule}>} */
    this.rules = new Map();
  }

  /**
   * Takes what an address says. What the study does not have is left out.
   * @param {string} text
   * @param {Study} study
   */
  read(text, study) {
    this.rules.clear();
    for (const part of text.split(";").filter(Boolean)) {
      const middle = part.indexOf("=");
      const dimension = dimensionOf(study, unescaped(part.slice(0, middle)));
      const rule = dimension && ruleOf(dimension, part.slice(middle + 1).split(","));
      if (rule) this.set(dimension, rule);
    }
  }

  /** As it stands in an address; "" if all trials are looked at. */
  get text() {
    return [...this.rules.values()]
      .map(({ dimension: { id }, rule: { ranges = [], choices = [], inactive } }) => {
        const values = [...ranges.map((range) => range.map((bound) => (Number.isFinite(bound) ? String(bound) : "")).join("..")), ...choices.map(encodeURIComponent)];
        // The colon need not be escaped here, and is what people see.
        return `${encodeURIComponent(id).replace("%3A", ":")}=${[...values, ...(inactive ? [INACTIVE] : [])].join(",")}`;
      })
      .join(";");
  }

  /**
   * @param {Dimension} dimension
   * @param {Rule | null} rule null: anything
   */
  set(dimension, rule) {
    if (rule) this.rules.set(dimension.id, { dimension, rule });
    else this.rules.delete(dimension.id);
  }

  /** @param {Dimension} dimension @returns {Rule | null} */
  of({ id }) {
    return this.rules.get(id)?.rule ?? null;
  }

  /** @param {Trial} trial */
  matches(trial) {
    for (const { dimension, rule } of this.rules.values()) if (!fits(dimension.of(trial), rule)) return false;
    return true;
  }
}

/**
 * Whether a value is as a rule wants it.
 * @param {import("../../types/api.js").Value | undefined} value
 * @param {Rule} rule
 */
export function fits(value, { ranges, choices, inactive }) {
  if (value === undefined) return inactive === true;
  if (choices) return choices.includes(String(value));
  return ranges?.some(([low, high]) => typeof value === "number" && value >= low && value <= high) ?? false;
}

/**
 * @param {Dimension} dimension
 * @param {string[]} values
 * @returns {Rule | null} null if that is no rule
 */
function ruleOf({ choices }, values) {
  const inactive = values.includes(INACTIVE);
  const others = values.filter((value) => value !== INACTIVE);
  if (choices) return { choices: others.map(unescaped), inactive };
  const ranges = others.map((text) => {
    const [, low = "", high = ""] = /^(.*)\.\.(.*)$/.exec(text) ?? [];
    return /** @type {[number, number]} */ ([low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)]);
  });
  return ranges.every(([low, high]) => low <= high) && (inactive || ranges.length) ? { ranges, inactive } : null;
}

/** @param {string} text of an address, which somebody may have changed */
function unescaped(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Rule} rule in words */
export function inWords({ ranges = [], choices = [], inactive }) {
  const parts = ranges.map(([low, high]) => (low === high ? measure(low) : !Number.isFinite(low) ? `up to ${measure(high)}` : !Number.isFinite(high) ? `from ${measure(low)}` : `${measure(low)} to ${measure(high)}`));
  return [...parts, ...choices, ...(inactive ? ["inactive"] : [])].join(", ") || "none";
}
