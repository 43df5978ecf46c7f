// Learning curves that grow while they are watched. Pure.

/** Points of a curve; then every second one is left out. */
const MOST_POINTS = 1_000;

/**
 * Adds points to a curve; a step that is there already begins it anew from there, as another attempt does.
 * @param {{steps: number[], values: number[]}} line
 * @param {number[]} steps
 * @param {number[]} values
 */
export function extend(line, steps, values) {
  steps.forEach((step, index) => {
    while (line.steps.length > 0 && line.steps[line.steps.length - 1] >= step) {
      line.steps.pop();
      line.values.pop();
    }
    line.steps.push(step);
    line.values.push(values[index]);
  });
  if (line.steps.length > MOST_POINTS) {
    const last = line.steps.length - 1;
    const kept = (/** @type {number} */ index) => index === last || index % 2 === 0;
    line.steps = line.steps.filter((_, index) => kept(index));
    line.values = line.values.filter((_, index) => kept(index));
  }
}
