// Numbers, times and sizes as people read them. Pure: the time is an argument.

/** @typedef {import("../types/api.js").Real} Real */
/** @typedef {import("../types/api.js").Long} Long */

/** Narrow no-break space, between a number and its unit and between groups of digits. */
const THIN = "\u202f";
const DASH = "\u2013";

/**
 * A number of the API; NaN if there is none.
 * @param {Real | Long | null | undefined} value
 */
export function num(value) {
  return value === null || value === undefined ? NaN : Number(value);
}

/**
 * A measured value, with 4 or so significant digits.
 * @param {Real | Long | null | undefined} value
 */
export function measure(value) {
  if (value === null || value === undefined) return DASH;
  const number = Number(value);
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "\u221e" : "\u2212\u221e";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return minus(number.toExponential(2).replace(/\.?0*e\+?/, "e"));
  if (Number.isInteger(number)) return minus(group(number));
  return minus(String(Number(number.toPrecision(4))));
}

/** @param {string} text */
function minus(text) {
  return text.replaceAll("-", "\u2212");
}

/** @param {number} number */
function group(number) {
  const digits = String(Math.abs(number));
  const grouped = digits.length > 4 ? digits.replace(/\B(?=(\d{3})+$)/g, THIN) : digits;
  return number < 0 ? `-${grouped}` : grouped;
}

/**
 * A count.
 * @param {Long | null | undefined} value
 */
export function count(value) {
  return group(Math.round(Number(value ?? 0)));
}

/**
 * So many of something.
 * @param {number} number
 * @param {string} one
 */
export function plural(number, one) {
  return `${count(number)} ${one}${number === 1 ? "" : "s"}`;
}

/**
 * A value of a parameter.
 * @param {unknown} value
 */
export function parameter(value) {
  if (value === undefined || value === null) return DASH;
  return typeof value === "number" ? measure(value) : String(value);
}

/**
 * Seconds of a duration of the API, such as "12.5s".
 * @param {string | undefined} text
 */
export function seconds(text) {
  return text ? Number.parseFloat(text) : 0;
}

/**
 * A length of time.
 * @param {number} length in seconds
 */
export function duration(length) {
  if (!Number.isFinite(length) || length < 0) return DASH;
  if (length > 0 && length < 0.095) return `${Math.max(1, Math.round(length * 1000))}${THIN}ms`;
  if (length < 10) return `${length.toFixed(1)}${THIN}s`;
  const whole = Math.round(length);
  if (whole < 60) return `${whole}${THIN}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}${THIN}min ${whole % 60}${THIN}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}${THIN}h ${minutes % 60}${THIN}min`;
  return `${Math.floor(hours / 24)}${THIN}d ${hours % 24}${THIN}h`;
}

/**
 * A length of time that is not known exactly.
 * @param {number} length in seconds
 */
export function roughly(length) {
  for (const [unit, size] of /** @type {[string, number][]} */ ([["days", 86_400], ["h", 3_600], ["min", 60]])) {
    const many = length / size;
    if (many >= 1.95) return `${many < 10 && unit !== "min" ? Number(many.toFixed(1)) : Math.round(many)}${THIN}${unit}`;
  }
  return `${Math.round(length)}${THIN}s`;
}

/**
 * A part of a whole.
 * @param {number} part from 0 to 1
 */
export function percent(part) {
  if (!Number.isFinite(part)) return DASH;
  // What is not whole is not called so, and what is there is not nothing.
  if ((part > 0 && part < 0.01) || (part > 0.99 && part < 1)) return `${(part * 100).toPrecision(part < 0.01 ? 1 : 3)}${THIN}%`;
  return `${Math.round(part * 100)}${THIN}%`;
}

/**
 * How long ago something was.
 * @param {string | undefined} time
 * @param {number} now in milliseconds
 */
export function ago(time, now) {
  if (!time) return DASH;
  const passed = Math.max(0, (now - Date.parse(time)) / 1000);
  if (passed < 5) return "just now";
  if (passed < 60) return `${Math.floor(passed)}${THIN}s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)}${THIN}min ago`;
  if (passed < 172800) return `${Math.floor(passed / 3600)}${THIN}h ago`;
  return `${Math.floor(passed / 86400)} days ago`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

/**
 * The time of day.
 * @param {number | string | undefined} time
 */
export function clock(time) {
  return time === undefined ? DASH : CLOCK.format(new Date(time));
}

/**
 * Day and time.
 * @param {string | undefined} time
 */
export function day(time) {
  return time ? DAY.format(new Date(time)) : DASH;
}

/**
 * Seconds between two times, the second of which may be still to come.
 * @param {string | undefined} from
 * @param {string | undefined} to
 * @param {number} now in milliseconds
 */
export function between(from, to, now) {
  return from ? ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000 : NaN;
}

/**
 * A size.
 * @param {Long | undefined} value
 */
export function bytes(value) {
  let size = Number(value ?? 0);
  if (!size) return DASH;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (size < 1024 || unit === "TiB") return `${size < 10 && unit !== "B" ? size.toFixed(1) : Math.round(size)}${THIN}${unit}`;
    size /= 1024;
  }
  return DASH;
}

/**
 * Hours on GPUs.
 * @param {number | undefined} hours
 */
export function gpuHours(hours) {
  if (!hours) return "0";
  return hours < 0.1 ? hours.toPrecision(1) : hours < 100 ? hours.toFixed(1) : count(hours);
}

/**
 * The last part of a resource's name: "digits" of "studies/digits".
 * @param {string} name
 */
export function short(name) {
  return name.slice(name.lastIndexOf("/") + 1);
}
