// A chart: drawn by Apache ECharts in both themes, with a legend, what is under the pointer, zoom, and export as PNG, SVG and CSV.
//
// What is under the pointer is shown by us and not by the library, whose tooltips are made of HTML texts.

import { el, fill } from "./dom.js";
import { onChange, token } from "./theme.js";

/** @typedef {{text: string, muted: string, line: string, surface: string, accent: string, run: string, good: string, cut: string, bad: string, rest: string, font: string, series: string[]}} Colors */
/** @typedef {{name: string, header: string[], rows: (string | number)[][]}} Csv */
/** @typedef {{x: (value: number) => number, y: (value: number) => number}} Scale pixels of values */
/** @typedef {{content: Node[], at: [number, number], highlight?: object, open?: () => void}} Found */

/** @type {Promise<typeof import("echarts")> | undefined} */
let library;
/** Not a plain text in the import: its types come from the package. */
const FILE = /** @type {string} */ ("./vendor/echarts/echarts.esm.min.mjs");
const load = () => (library ??= /** @type {Promise<any>} */ (import(FILE)));

/** How near a point has to be to the pointer, in pixels. */
export const NEAR = 24;

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
  };
}

export class Chart {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {number} [options.height]
   * @param {(colors: Colors) => object} options.build the library's option
   * @param {(at: {x: number, y: number}, scale: Scale) => Found | null} options.find what is at these pixels
   * @param {() => Csv} options.csv
   * @param {() => string} options.describe the chart in words
   * @param {HTMLElement[]} [options.controls]
   * @param {"both" | "x"} [options.zoom] along which axes one zooms
   * @param {AbortSignal} options.signal
   */
  constructor({ title, height = 280, build, find, csv, describe, controls = [], zoom = "both", signal }) {
    this.title = title;
    this.build = build;
    this.find = find;
    this.csv = csv;
    this.describe = describe;
    this.zoom = zoom;
    this.signal = signal;
    /** @type {import("echarts").ECharts | null} */
    this.chart = null;
    /** Whether values are drawn on a logarithmic axis. */
    this.isLog = false;
    /** What is under the pointer, drawn once more. @type {object | null} */
    this.highlight = null;
    this.wanted = false;
    /** Where the point is that is explained. @type {[number, number] | null} */
    this.found = null;
    this.legend = el("ul", { class: "legend" });
    this.plot = el("div", { class: "plot", role: "img" });
    this.setHeight(height);
    this.empty = el("p", { class: "chart-empty", text: "Loading\u2026" });
    this.tip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.reset = this.#button("Show all", () => this.#zoomOut());
    this.reset.hidden = true;
    const exports = [this.#button("PNG", () => this.#png()), this.#button("SVG", () => this.#svg()), this.#button("CSV", () => this.#csv())];
    for (const one of exports) one.setAttribute("aria-label", `Save \u201c${title}\u201d as ${one.textContent}`);
    const tools = el("div", { class: "tools" }, controls, this.reset, el("span", { class: "exports" }, exports));
    this.node = el("figure", { class: "chart" }, el("figcaption", {}, el("h2", { text: title }), this.legend, tools), el("div", { class: "canvas" }, this.plot, this.empty, this.tip));
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
    fill(
      this.legend,
      entries.map(({ name, kind }) => el("li", { class: `key-${kind}`, text: name })),
    );
  }

  /**
   * Says why there is nothing to see; "" if there is.
   * @param {string} text
   */
  setEmpty(text) {
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
    load().then(
      (echarts) => this.#begin(echarts),
      // The coordinator was replaced by another version since the page was loaded, or is away.
      () => {
        library = undefined;
        this.wanted = false;
        this.setEmpty("The chart could not be loaded. Load this page again.");
      },
    );
  }

  /** @param {typeof import("echarts")} echarts */
  #begin(echarts) {
    if (this.signal.aborted) return;
    const chart = echarts.init(this.plot, null, { renderer: "canvas" });
    this.chart = chart;
    chart.setOption(/** @type {any} */ (this.#option(true)));
    chart.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
    chart.on("datazoom", () => {
      this.reset.hidden = !this.#zoomed();
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
    const observer = new ResizeObserver(() => chart.resize());
    observer.observe(this.plot);
    this.signal.addEventListener("abort", () => observer.disconnect());
  }

  /** @param {boolean} first */
  #option(first) {
    const option = /** @type {any} */ (this.build(colors()));
    this.isLog = option.yAxis?.type === "log";
    const common = {
      animation: false,
      textStyle: { fontFamily: token("font") },
      grid: { left: 8, right: 20, top: 16, bottom: 8, outerBoundsMode: "same" },
      ...option,
      // Where what is under the pointer is drawn again, above everything.
      series: [...option.series, { id: "hover", type: "line", silent: true, z: 20, data: [], ...this.highlight }],
    };
    if (!first) return common;
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
    const scale = this.#scale();
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
    if (this.highlight || found?.highlight) {
      this.highlight = found?.highlight ?? null;
      this.chart?.setOption(/** @type {any} */ ({ series: [{ id: "hover", data: [], ...this.highlight }] }), { lazyUpdate: true });
    }
    this.plot.classList.toggle("opens", Boolean(found?.open));
    if (!found) return;
    fill(this.tip, found.content);
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const [left, top] = found.at;
    const beside = left + 14 + width > this.plot.clientWidth ? left - 14 - width : left + 14;
    this.tip.style.transform = `translate(${Math.max(0, beside)}px, ${Math.min(Math.max(0, top - height / 2), this.plot.clientHeight - height)}px)`;
  }

  #zooms() {
    return /** @type {any[]} */ (/** @type {any} */ (this.chart?.getOption())?.dataZoom ?? []);
  }

  #zoomed() {
    return this.#zooms().some(({ start, end }) => start > 0.01 || end < 99.99);
  }

  #zoomOut() {
    this.#zooms().forEach((_, index) => this.chart?.dispatchAction({ type: "dataZoom", dataZoomIndex: index, start: 0, end: 100 }));
    this.reset.hidden = true;
  }

  #png() {
    const canvas = this.chart?.renderToCanvas({ pixelRatio: 2, backgroundColor: token("surface") });
    canvas?.toBlob((blob) => blob && this.#save(blob, "png"));
  }

  async #svg() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    const echarts = await load();
    const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
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
    const address = URL.createObjectURL(blob);
    const link = document.createElement("a");
    link.href = address;
    link.download = `${this.csv().name.replace(/[^\w.-]+/g, "_")}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1_000);
  }
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
