// A real coordinator and a real worker in folders of their own, and a real browser that looks at them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

/** Longest wait for anything, in milliseconds. */
export const DEADLINE = 60_000;
/** Between two looks at something that is waited for. */
const LOOK = 50;

const programs = process.env.TUNESMITH_PROGRAMS;
if (!programs || !existsSync(join(programs, "tunesmith-coordinator"))) throw new Error("TUNESMITH_PROGRAMS must name the folder with tunesmith-coordinator, tunesmith-worker and digits; make dashboard-test does it");
const browserPath = process.env.CHROMIUM ?? ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
if (!browserPath) throw new Error("no Chromium was found; install it, or name it in CHROMIUM");

/** A folder with the page's files, to be used instead of those that are built into the coordinator: a change is tried without a build. */
const web = process.env.DASHBOARD_WEB;
const KINDS = { html: "text/html", js: "text/javascript", mjs: "text/javascript", css: "text/css", svg: "image/svg+xml" };

/**
 * @param {import("playwright-core").BrowserContext} context
 * @param {string} folder
 */
async function serveFrom(context, folder) {
  await context.route(/\/assets\//, (route) => {
    const path = new URL(route.request().url()).pathname.split("/").slice(3).join("/");
    const kind = KINDS[/** @type {keyof typeof KINDS} */ (path.split(".").pop())];
    return route.fulfill({ body: readFileSync(join(folder, path)), contentType: kind });
  });
  await context.route(
    (url) => !/^\/(assets|v1)\//.test(url.pathname),
    async (route) => {
      if (route.request().resourceType() !== "document") return route.continue();
      const response = await route.fetch();
      return route.fulfill({ response, body: readFileSync(join(folder, "index.html"), "utf8").replaceAll("{{assets}}", "/assets/folder") });
    },
  );
}

/** A name as bad as it gets. If a page took it for HTML it would set `pwned`. */
export const EVIL = `<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>'"&\u202e{{x}}`;

/**
 * Waits until a look at something succeeds.
 * @template T
 * @param {string} what
 * @param {() => Promise<T>} look throws while it is not so
 * @returns {Promise<T>}
 */
export async function eventually(what, look) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what} did not happen in time`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, LOOK));
    }
  }
}

/** A program of ours that runs. */
class Program {
  /**
   * @param {string} name
   * @param {string[]} flags
   */
  constructor(name, flags) {
    this.output = "";
    // No variables that are meant for others.
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("TUNESMITH_")));
    this.child = spawn(join(String(programs), name), flags, { env: { ...env, PATH: `${programs}${delimiter}${process.env.PATH}` }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (data) => (this.output += data));
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
  }

  /** @param {NodeJS.Signals} signal */
  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    await this.ended;
  }
}

export class World {
  static async start({ worker = true, name = "machine-1", labels = /** @type {string[]} */ ([]), flags = /** @type {string[]} */ ([]) } = {}) {
    const world = new World();
    await world.startCoordinator("127.0.0.1:0");
    if (worker) {
      world.worker = new Program("tunesmith-worker", ["--coordinator", world.url, "--token-file", join(world.data, "worker.token"), "--state-dir", join(world.folder, "worker"), "--slots", "2", "--name", name, ...labels.flatMap((label) => ["--label", label]), ...flags]);
      await eventually("the worker joins", async () => {
        const { workers = [] } = await world.call("GET", "/v1/workers");
        assert.equal(workers[0]?.state, "WORKER_STATE_READY", world.worker?.output);
      });
    }
    world.browser = await chromium.launch({ executablePath: browserPath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
    return world;
  }

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "tunesmith-dashboard-"));
    this.data = join(this.folder, "data");
    this.url = "";
    this.token = "";
    /** @type {Program | undefined} */
    this.coordinator = undefined;
    /** @type {Program | undefined} */
    this.worker = undefined;
    /** @type {import("playwright-core").Browser | undefined} */
    this.browser = undefined;
  }

  /** @param {string} listen */
  async startCoordinator(listen) {
    rmSync(join(this.data, "address"), { force: true });
    this.coordinator = new Program("tunesmith-coordinator", ["--listen", listen, "--data", this.data, "--store", `sqlite:${join(this.folder, "tunesmith.db")}`]);
    this.url = await eventually("the coordinator listens", async () => `http://${readFileSync(join(this.data, "address"), "utf8").trim()}`);
    this.token = readFileSync(join(this.data, "admin.token"), "utf8").trim();
    await eventually("the coordinator serves", async () => assert.equal((await fetch(`${this.url}/readyz`)).status, 200));
  }

  async stop() {
    await this.browser?.close();
    await this.worker?.stop();
    await this.coordinator?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /**
   * @param {string} verb
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<any>}
   */
  async call(verb, path, body) {
    const answer = await fetch(this.url + path, { method: verb, headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${verb} ${path}: ${text}`);
    return JSON.parse(text);
  }

  /**
   * A study whose trials are run by who asks for them.
   * @param {string} name
   * @param {object} [more]
   */
  async ownStudy(name, more = {}) {
    await this.call("POST", "/v1/studies", {
      spec: { name, objective: { metric: "loss", goal: "GOAL_MINIMIZE" }, space: [{ name: "x", type: "float", low: 0, high: 1 }], strategy: { name: "random", seed: "7" }, ...more },
    });
  }

  /**
   * Real training on real data, in a few seconds.
   * @param {string} name
   * @param {number} trials
   */
  async digitsStudy(name, trials) {
    await this.call("POST", "/v1/studies", {
      spec: {
        name,
        message: "small networks read digits",
        objective: { metric: "val_acc", goal: "GOAL_MAXIMIZE", from: "best" },
        space: [
          { name: "lr", type: "float", low: 1e-3, high: 1.0, scale: "log" },
          { name: "width", type: "ordinal", choices: [8, 16, 32] },
          { name: "activation", type: "categorical", choices: ["relu", "tanh"] },
        ],
        strategy: { name: "sobol", seed: "7" },
        earlyStopping: [{ rule: "median", warmupSteps: "2", minTrials: 3 }],
        budget: { trials: String(trials), parallel: 2 },
        trial: { command: ["digits", "--epochs=6", "{args}"], metrics: { stdoutJson: {} }, steps: { name: "epoch", max: "6" }, retries: 1 },
      },
    });
  }

  /** @param {string} study */
  async untilDone(study) {
    return eventually(`study ${study} ends`, async () => {
      const { study: now } = await this.call("GET", `/v1/studies/${study}`);
      assert.equal(now.state, "STUDY_STATE_DONE", `${JSON.stringify(now.counts)} ${now.pendingReason}`);
      return now;
    });
  }

  /**
   * A page in a browser of its own, signed in. What the page complains about is kept in `complaints`.
   * @param {string} path
   * @param {import("playwright-core").BrowserContextOptions & {signedIn?: boolean}} [options]
   */
  async open(path, { signedIn = true, ...options } = {}) {
    assert.ok(this.browser);
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(DEADLINE);
    if (web) await serveFrom(context, web);
    const page = await context.newPage();
    const complaints = /** @type {string[]} */ ([]);
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      // What is refused or not answered is a matter of the test; that the policy forbids something never is.
      if (/^(error|warning)$/.test(message.type()) && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
    });
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (origin !== this.url && !["data:", "blob:"].includes(protocol)) complaints.push(`something was loaded from elsewhere: ${request.url()}`);
    });
    await page.goto(`${this.url}${path}${signedIn ? `#token=${this.token}` : ""}`);
    if (signedIn) await page.locator(".top").waitFor();
    return { page, complaints };
  }
}

/**
 * Whether a page shows a state as it should: no complaints, nothing that a text has become.
 * @param {{page: import("playwright-core").Page, complaints: string[]}} view
 */
export async function isSound({ page, complaints }) {
  assert.deepEqual(complaints, []);
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).pwned), undefined);
  assert.equal(await page.locator("img, iframe, object, main script").count(), 0);
  await page.context().close();
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * What axe objects to. The page's context has to be made with `bypassCSP`.
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export function violations(page) {
  return page.evaluate(async (source) => {
    const scope = /** @type {any} */ (window);
    if (!scope.axe) (0, eval)(source);
    const { violations } = await scope.axe.run(document, { resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ { html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
  }, axe);
}

/**
 * A file that a click saves.
 * @param {import("playwright-core").Page} page
 * @param {string} label
 */
export async function saved(page, label) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: label }).click()]);
  return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
}

/**
 * A shell script as a file, for trials that print what they are told to.
 * @param {World} world
 * @param {string} name
 * @param {string} text
 */
export function script(world, name, text) {
  const path = join(world.folder, name);
  writeFileSync(path, text);
  return path;
}
