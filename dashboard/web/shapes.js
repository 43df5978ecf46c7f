// Shapes for the chart library that draw many things as one: thousands of lines or dots as shapes of their own would not be smooth.

/** @typedef {Pick<CanvasPath, "moveTo" | "lineTo" | "arc">} Path */
/** @typedef {{points: [number, number][], r: number}} Points places in pixels, and how large what is drawn there is */

/** @param {Path} path @param {{lines: number[][]}} shape each x, y, x, y, ... */
function strokes(path, { lines }) {
  for (const line of lines) {
    path.moveTo(line[0], line[1]);
    for (let index = 2; index < line.length; index += 2) path.lineTo(line[index], line[index + 1]);
  }
}

/** @param {Path} path @param {Points} shape */
function dots(path, { points, r }) {
  for (const [x, y] of points) {
    path.moveTo(x + r, y);
    path.arc(x, y, r, 0, 2 * Math.PI);
  }
}

/** @param {Path} path @param {Points} shape */
function crosses(path, { points, r }) {
  for (const [x, y] of points) {
    path.moveTo(x - r, y - r);
    path.lineTo(x + r, y + r);
    path.moveTo(x + r, y - r);
    path.lineTo(x - r, y + r);
  }
}

/** Libraries that have them. */
const registered = new WeakSet();

/** @param {typeof import("echarts")} echarts */
export function register({ graphic }) {
  if (registered.has(graphic)) return;
  registered.add(graphic);
  for (const [name, buildPath] of Object.entries({ strokes, dots, crosses })) {
    graphic.registerShape(name, /** @type {any} */ (graphic.extendShape({ buildPath: /** @type {any} */ (buildPath) })));
  }
}
