// A chart: drawn by Apache ECharts in both themes, with a legend, what is under the pointer, zoom, and export as PNG, SVG and CSV.
//
// What is under the pointer is shown by us and not by the library, whose tooltips are made of HTML texts.

import { el, fill, svg } from "./dom.js";
import { need } from "./later.js";
import { save } from "./save.js";
import { register } from "./shapes.js";
import { onChange, token } from "./theme.js";

/** @typedef {{text: string, muted: string, line: string, surface: string, accent: string, run: string, good: string, cut: string, bad: string, rest: string, font: string, series: string[], shades: string[]}} Colors `shades`: from little to much */
/** @typedef {{name: string, header: string[], rows: (string | number)[][]}} Csv */
/** @typedef {{x: (value: number) => number, y: (value: number) => number}} Scale pixels of values */
/** @typedef {{kind: "line" | "ring" | "dot" | "bar", runs: [number, number][][], width?: number}} Highlight what is drawn once more, in pixels; a line may be broken, and a bar has a width */
/** @typedef {{content: Node[], at: [number, number], highlight?: Highlight, open?: () => void}} Found */
/**
 * What a chart is built for: its size in pixels, and the part of its axes that is shown if it is not all.
 * @typedef {{width: number, height: number, window: {x: [number, number], y: [number, number]} | null}} Frame
 */
/**
 * What a drag does in a chart where it does not zoom. `begin` says whether it is one; what it does may be undone by a double click.
 * @typedef {{begin: (x: number, y: number, event: PointerEvent) => boolean, move: (x: number, y: number) => void, end: (x: number, y: number) => void, undo: (x: number, y: number) => void}} Drag
 */

/** How near a point has to be to the pointer, in pixels. */
export const NEAR = 24;

/** Steps that values are told apart by, as far as eyes can. */
export const SHADES = 9;

/** @param {string[]} ends such as "#3355cc", evenly spaced */
function shades(ends) {
  const parts = ends.map((color) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)));
  return Array.from({ length: SHADES }, (_, index) => {
    const at = (index / (SHADES - 1)) * (parts.length - 1);
    const first = Math.min(parts.length - 2, Math.floor(at));
    const mixed = parts[first].map((part, place) => Math.round(part + (parts[first + 1][place] - part) * (at - first)));
    return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  });
}

/** @returns {Colors} */
function colors() {
  const named = (/** @type {string} */ name) => token(name);
  return {
    text: named("text"),
    muted: named("quiet"),
    line: named("line"),
    surface: named("surface"),
    accent: named("accent"),
    run: named("run"),
    good: named("good"),
    cut: named("cut"),
    bad: named("bad"),
    rest: named("rest"),
    font: named("font"),
    series: [1, 2, 3, 4, 5, 6].map((index) => named(`series-${index}`)),
    shades: shades([named("shade-low"), named("shade-middle"), named("shade-high")]),
  };
}

export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {number} [options.height]
   * @param {(colors: Colors, frame: Frame) => object} options.build the library's option
   * @param {(at: {x: number, y: number}, scale: Scale) => Found | null} options.find what is at these pixels
   * @param {() => Csv} options.csv
   * @param {() => string} options.describe the chart in words
   * @param {HTMLElement[]} [options.controls]
   * @param {HTMLElement[]} [options.zoomed] what can be done with the part that is shown, where it is not all
   * @param {"both" | "x"} [options.zoom] along which axes one zooms
   * @param {Drag} [options.drag]
   * @param {AbortSignal} options.signal
   */
  constructor({ title, height = 280, build, find, csv, describe, controls = [], zoomed = [], zoom = "both", drag, signal }) {
    this.title = title;
    this.build = build;
    this.find = find;
    this.csv = csv;
    this.describe = describe;
    this.zoom = zoom;
    this.drag = drag;
    this.dragging = false;
    this.signal = signal;
    /** @type {typeof import("echarts") | null} */
    this.library = null;
    /** @type {import("echarts").ECharts | null} */
    this.chart = null;
    /** Whether values are drawn on a logarithmic axis. */
    this.isLog = false;
    this.wanted = false;
    /** Where the point is that is explained. @type {[number, number] | null} */
    this.found = null;
    this.legend = el("ul", { class: "legend" });
    this.plot = el("div", { class: "plot", role: "img", "aria-label": title });
    this.setHeight(height);
    /** What is under the pointer is drawn once more above the chart, which is not drawn anew for it: that takes long with thousands of trials. */
    this.above = svg("svg", { class: "above", "aria-hidden": "true" });
    this.nothing = "Loading\u2026";
    this.trouble = "";
    this.empty = el("p", { class: "chart-empty", text: this.nothing });
    this.tip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.reset = this.#button("Show all", () => this.#zoomOut());
    this.zoomed = [...zoomed, this.reset];
    this.#showZoomed(false);
    const exports = [this.#button("PNG", () => this.#png()), this.#button("SVG", () => this.#svg()), this.#button("CSV", () => this.#csv())];
    for (const one of exports) one.setAttribute("aria-label", `Save \u201c${title}\u201d as ${one.textContent}`);
    const tools = el("div", { class: "tools" }, controls, this.zoomed, el("span", { class: "exports" }, exports));
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("h2", { text: title }), this.legend, tools), el("div", { class: "canvas" }, this.plot, this.above, this.empty, this.tip));
    onChange(() => this.draw(), signal);
    signal.addEventListener("abort", () => {
      this.chart?.dispose();
      this.chart = null;
    });
  }

  /**
   * @param {string} text
   * @param {() => void} press
   */
  #button(text, press) {
    return el("button", { type: "button", class: "tool", text, on: { click: press } });
  }

  /**
   * Names what colours and shapes mean.
   * @param {{name: string, kind: string}[]} entries
   */
  setLegend(entries) {
    fillLegend(this.legend, entries);
  }

  /**
   * Says why there is nothing to see; "" if there is.
   * @param {string} text
   */
  setEmpty(text) {
    this.nothing = text;
    this.#showEmpty();
  }

  /** @param {string} text why it cannot be drawn; "" if it can */
  #trouble(text) {
    this.trouble = text;
    this.#showEmpty();
  }

  #showEmpty() {
    const text = this.trouble || this.nothing;
    this.empty.textContent = text;
    this.empty.hidden = text === "";
    this.plot.classList.toggle("blank", text !== "");
  }

  /** Whether only a part is shown. */
  get isZoomed() {
    return !this.reset.hidden;
  }

  /** @param {number} height in pixels */
  setHeight(height) {
    this.plot.style.height = `${height}px`;
  }

  /** Draws what there is now. */
  draw() {
    if (this.signal.aborted) return;
    this.plot.setAttribute("aria-label", `${this.title}: ${this.describe()}`);
    if (this.chart) {
      this.chart.setOption(/** @type {any} */ (this.#option(false)), { replaceMerge: ["series"], lazyUpdate: true });
      return;
    }
    if (this.wanted) return;
    this.wanted = true;
    need("vendor/echarts/echarts.esm.min.mjs", {
      signal: this.signal,
      ready: (echarts) => {
        this.#trouble("");
        this.#begin(echarts);
      },
      away: () => this.#trouble("The coordinator does not answer. Trying again\u2026"),
      failed: (error) => {
        this.wanted = false;
        this.#trouble(`${error instanceof Error ? error.message : String(error)} Load the page again to see the chart.`);
      },
    });
  }

  /** @param {typeof import("echarts")} echarts */
  #begin(echarts) {
    register(echarts);
    this.library = echarts;
    const chart = echarts.init(this.plot, null, { renderer: "canvas" });
    this.chart = chart;
    chart.setOption(/** @type {any} */ (this.#option(true)));
    if (this.drag) this.#drags(this.drag);
    else chart.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
    chart.on("datazoom", () => {
      this.#showZoomed(this.#zoomed());
      // What was under the pointer is elsewhere.
      this.#hover(-1, -1);
      this.draw();
    });
    const surface = chart.getZr();
    surface.on("mousemove", (event) => this.#hover(event.offsetX, event.offsetY));
    surface.on("globalout", () => this.#hover(-1, -1));
    surface.on("dblclick", () => this.#zoomOut());
    // A drag is a zoom and opens nothing.
    let pressed = [0, 0];
    surface.on("mousedown", (event) => {
      pressed = [event.offsetX, event.offsetY];
    });
    surface.on("click", (event) => {
      if (Math.hypot(event.offsetX - pressed[0], event.offsetY - pressed[1]) < 4) this.#at(event.offsetX, event.offsetY)?.open?.();
    });
    const observer = new ResizeObserver(() => {
      chart.resize();
      this.draw();
    });
    observer.observe(this.plot);
    this.signal.addEventListener("abort", () => observer.disconnect());
  }

  /** @param {Drag} drag */
  #drags(drag) {
    const { plot, signal } = this;
    const at = (/** @type {MouseEvent} */ event) => {
      const { left, top } = plot.getBoundingClientRect();
      return /** @type {[number, number]} */ ([event.clientX - left, event.clientY - top]);
    };
    plot.addEventListener(
      "pointerdown",
      (event) => {
        if (event.button !== 0 || !drag.begin(...at(event), event)) return;
        this.dragging = true;
        this.#hover(-1, -1);
        plot.setPointerCapture(event.pointerId);
      },
      { signal },
    );
    // Whoever holds the pointer is told of clicks, too.
    plot.addEventListener("dblclick", (event) => drag.undo(...at(event)), { signal });
    plot.addEventListener("pointermove", (event) => this.dragging && drag.move(...at(event)), { signal });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
      plot.addEventListener(
        end,
        (event) => {
          if (!this.dragging) return;
          this.dragging = false;
          drag.end(...at(event));
        },
        { signal },
      );
    }
  }

  /** The part of its axes that is shown; null if it is all, or as high as all. @returns {Frame["window"]} */
  window() {
    if (!this.chart || this.zoom === "x" || !this.#zoomed()) return null;
    const [x, y] = this.#zooms();
    return { x: [x.startValue, x.endValue], y: [y.startValue, y.endValue] };
  }

  /** @param {boolean} zoomed */
  #showZoomed(zoomed) {
    for (const node of this.zoomed) node.hidden = !zoomed;
  }

  /** @param {boolean} first */
  #option(first) {
    const { clientWidth: width, clientHeight: height } = this.plot;
    const option = /** @type {any} */ (this.build(colors(), { width, height, window: this.window() }));
    this.isLog = option.yAxis?.type === "log";
    const common = {
      animation: false,
      textStyle: { fontFamily: token("font") },
      grid: { left: 8, right: 20, top: 16, bottom: 8, outerBoundsMode: "same" },
      ...option,
    };
    if (!first || this.drag) return common;
    return {
      ...common,
      toolbox: { left: -100, feature: { dataZoom: { filterMode: "none", ...(this.zoom === "x" ? { yAxisIndex: "none" } : {}), brushStyle: { color: token("accent"), opacity: 0.15 } } } },
    };
  }

  /** @returns {Scale | null} */
  #scale() {
    const chart = this.chart;
    if (!chart) return null;
    const level = (/** @type {number} */ value) => (this.isLog ? Math.log10(value) : value);
    // From pixels to values: values may be times, which are so large that the pixels of two neighbouring ones cannot be told apart.
    const [first, second] = [0, 100].map((at) => chart.convertFromPixel({ gridIndex: 0 }, [at, at]));
    if (!first || !second) return null;
    const [across, down] = [second[0] - first[0], level(second[1]) - level(first[1])];
    return { x: (value) => ((value - first[0]) * 100) / across, y: (value) => ((level(value) - level(first[1])) * 100) / down };
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #at(x, y) {
    const scale = this.dragging ? null : this.#scale();
    return scale && this.chart?.containPixel({ gridIndex: 0 }, [x, y]) ? this.find({ x, y }, scale) : null;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #hover(x, y) {
    const found = this.#at(x, y);
    const same = this.found && found && found.at[0] === this.found[0] && found.at[1] === this.found[1];
    this.found = found?.at ?? null;
    if (same) return;
    this.tip.hidden = !found;
    this.#mark(found?.highlight);
    this.plot.classList.toggle("opens", Boolean(found?.open));
    if (!found) return;
    fill(this.tip, found.content);
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const [left, top] = found.at;
    const beside = left + 14 + width > this.plot.clientWidth ? left - 14 - width : left + 14;
    this.tip.style.transform = `translate(${Math.max(0, beside)}px, ${Math.min(Math.max(0, top - height / 2), this.plot.clientHeight - height)}px)`;
  }

  /** @param {Highlight | undefined} highlight */
  #mark(highlight) {
    const grid = /** @type {any} */ (this.chart)?.getModel().getComponent("grid", 0)?.coordinateSystem.getRect();
    if (!highlight || !grid) return fill(this.above);
    const { x, y, width, height } = grid;
    const isPath = highlight.kind === "line" || highlight.kind === "bar";
    const shapes = highlight.runs.flatMap((run) => /** @type {SVGElement[]} */ (isPath ? [svg("polyline", { points: run.map((point) => point.join(",")).join(" "), "stroke-width": highlight.width })] : run.map(([cx, cy]) => svg("circle", { cx, cy, r: highlight.kind === "ring" ? 5.5 : 4 }))));
    // Points may lie on the edge; lines go beyond it where the chart shows a part.
    const edge = isPath ? 1 : 8;
    const box = [x - edge, y - edge, width + 2 * edge, height + 2 * edge];
    fill(this.above, svg("svg", { class: highlight.kind, x: box[0], y: box[1], width: box[2], height: box[3], viewBox: box.join(" ") }, shapes));
  }

  #zooms() {
    return /** @type {any[]} */ (/** @type {any} */ (this.chart?.getOption())?.dataZoom ?? []);
  }

  #zoomed() {
    return this.#zooms().some(({ start, end }) => start > 0.01 || end < 99.99);
  }

  #zoomOut() {
    this.#zooms().forEach((_, index) => this.chart?.dispatchAction({ type: "dataZoom", dataZoomIndex: index, start: 0, end: 100 }));
    this.#showZoomed(false);
  }

  #png() {
    const canvas = this.chart?.renderToCanvas({ pixelRatio: 2, backgroundColor: token("surface") });
    canvas?.toBlob((blob) => blob && this.#save(blob, "png"));
  }

  #svg() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    const chart = this.library?.init(null, null, { renderer: "svg", ssr: true, width, height });
    if (!chart) return;
    chart.setOption(/** @type {any} */ ({ ...this.#option(false), backgroundColor: token("surface"), dataZoom: this.#zooms().map(({ id: _, ...zoom }) => zoom) }));
    this.#save(new Blob([chart.renderToSVGString()], { type: "image/svg+xml" }), "svg");
    chart.dispose();
  }

  #csv() {
    const { header, rows } = this.csv();
    const text = [header, ...rows].map((row) => row.map(field).join(",")).join("\r\n");
    this.#save(new Blob([`${text}\r\n`], { type: "text/csv" }), "csv");
  }

  /**
   * @param {Blob} blob
   * @param {string} ending
   */
  #save(blob, ending) {
    save(blob, `${this.csv().name}.${ending}`);
  }
}

/**
 * @param {HTMLElement} legend
 * @param {{name: string, kind: string}[]} entries
 */
export function fillLegend(legend, entries) {
  fill(
    legend,
    entries.map(({ name, kind }) => el("li", { class: `key-${kind}`, text: name })),
  );
}

/**
 * A field of a CSV file. A text that a spreadsheet would take for a formula gets an apostrophe.
 * @param {string | number} value
 */
export function field(value) {
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
