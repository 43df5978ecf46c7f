// Where numbers lie on an axis from 0 to 1, on the scale that was declared for them, and where its ticks are. Pure.

/** @typedef {"linear" | "log" | "log2" | "reverse_log"} Kind */
/** @typedef {{at: (value: number) => number, value: (at: number) => number}} Curve places of values, and values of places */

/**
 * The scale of a range. A range of a single value has it in the middle.
 * @param {Kind} kind
 * @param {number} low
 * @param {number} high
 * @returns {Curve}
 */
export function curve(kind, low, high) {
  if (!(high > low)) return { at: () => 0.5, value: () => low };
  if (kind === "linear") return { at: (value) => (value - low) / (high - low), value: (at) => low + at * (high - low) };
  const width = Math.log(high / low);
  if (kind === "reverse_log") return { at: (value) => Math.log(high / (low + high - value)) / width, value: (at) => low + high - high * Math.exp(-at * width) };
  return { at: (value) => Math.log(value / low) / width, value: (at) => low * Math.exp(at * width) };
}

/** How much finer than wanted round steps may be: the next coarser ones would leave an axis with one name or none. */
const COARSER = 0.8;

/**
 * Values to be named on an axis between two of them, `most` or so.
 * @param {Kind} kind
 * @param {number} low
 * @param {number} high
 * @param {number} most
 * @param {boolean} whole
 * @returns {number[]}
 */
export function ticks(kind, low, high, most, whole = false) {
  if (!(high > low)) return [low];
  if (kind === "log2") return powers(2, low, high, most);
  if (kind === "reverse_log") {
    // Even on the axis, since its round numbers are not.
    const { value } = curve(kind, low, high);
    return Array.from({ length: most }, (_, index) => Number(value(index / (most - 1)).toPrecision(3)));
  }
  if (kind === "log" && high / low >= 100) return powers(10, low, high, most);
  if (kind === "log" && high / low >= 5) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    return found.map(clean).filter((tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9));
  }
  return even(low, high, most, whole);
}

/**
 * @param {number} base
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
function powers(base, low, high, most) {
  const [first, last] = [Math.ceil(Math.log(low) / Math.log(base) - 1e-9), Math.floor(Math.log(high) / Math.log(base) + 1e-9)];
  const every = Math.max(1, Math.ceil((last - first) / most));
  const found = [];
  for (let power = first; power <= last; power += every) found.push(clean(base ** power));
  return found;
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} most
 * @param {boolean} whole
 */
function even(low, high, most, whole) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = power * ([1, 2, 5].find((digit) => digit * power >= rough * COARSER) ?? 10);
  if (whole) step = Math.max(1, Math.round(step));
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) found.push(clean(index * step));
  return found;
}

/** Without what computing adds to decimal numbers. @param {number} value */
function clean(value) {
  return Number(value.toPrecision(12));
}

/**
 * Bounds for values of which a few are far away: those would press all others to a line. Undefined where nothing has to be cut off.
 * @param {number[]} values
 * @param {"min" | "max" | null} better values on that side are never cut off
 * @param {number} [reach] how far beyond the others a value may be, in widths of their middle part
 * @returns {{low?: number, high?: number}}
 */
export function bounds(values, better, reach = 3) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length < 8) return {};
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  const spread = at(0.85) - at(0.15);
  if (spread <= 0) return {};
  // Round numbers, so that they look well on the axis.
  const unit = 10 ** Math.floor(Math.log10(spread));
  const [low, high] = [Math.floor((at(0.15) - reach * spread) / unit) * unit, Math.ceil((at(0.85) + reach * spread) / unit) * unit];
  return { low: better !== "min" && sorted[0] < low ? low : undefined, high: better !== "max" && sorted[sorted.length - 1] > high ? high : undefined };
}
