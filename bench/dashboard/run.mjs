// Measures the dashboard in a real browser against a real coordinator; prints one JSON line for each figure. docs/benchmarks/dashboard.md tells
// what they mean.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { script, World } from "../../dashboard/tests/support.js";

const RUNNING = 1_000;
/** Each of them reports so often, in milliseconds. */
const REPORT_EVERY = 5_000;
/** Values that a real training prints meanwhile, one in so many milliseconds. */
const MARKS = 60;
const MARK_EVERY = 700;
const MANY = Number(process.env.DASHBOARD_TRIALS ?? 100_000);
const VIEWERS = 200;
/** Time for which processor time is measured, in milliseconds. */
const WINDOW = 20_000;
const CLIENTS = 16;

/** @param {string} figure @param {object} values */
const print = (figure, values) => console.log(JSON.stringify({ figure, ...values }));
const pause = (/** @type {number} */ time) => new Promise((resolve) => setTimeout(resolve, time));

/** @param {number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
/** @param {number[]} values */
const spread = (values) => ({ n: values.length, p50: quantile(values, 0.5), p95: quantile(values, 0.95), max: Math.max(...values) });

/** Processor time of processes so far, in milliseconds. @param {number[]} pids */
function processorTime(pids) {
  const tick = 1000 / Number(execFileSync("getconf", ["CLK_TCK"]));
  let sum = 0;
  for (const pid of pids) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
      sum += (Number(fields[11]) + Number(fields[12])) * tick;
    } catch {
      // It has ended.
    }
  }
  return sum;
}

/**
 * Work on many things, some at a time.
 * @param {number} count
 * @param {(index: number) => Promise<unknown>} work
 */
async function each(count, work) {
  let next = 0;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (next < count) await work(next++);
  }));
}

/** What is transferred, and how long it takes until the view is there. @param {World} world @param {string} path @param {(page: Awaited<ReturnType<World["open"]>>["page"]) => Promise<unknown>} ready */
async function firstView(world, path, ready) {
  const view = await world.open("/workers");
  const { page } = view;
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const times = [];
  let [bytes, requests] = [0, 0];
  session.on("Network.loadingFinished", ({ encodedDataLength }) => ((bytes += encodedDataLength), (requests += 1)));
  for (let round = 0; round < 7; round += 1) {
    [bytes, requests] = [0, 0];
    const begun = Date.now();
    await page.goto(world.url + path);
    await ready(page);
    times.push(Date.now() - begun);
    await pause(1_500);
  }
  await page.context().close();
  return { ms: spread(times), kilobytes: Math.round(bytes / 1000), requests };
}

/** @param {World} world */
async function studies(world) {
  await world.digitsStudy("digits", 8);
  await world.untilDone("digits");
  print("first view of the list of studies", await firstView(world, "/", (page) => page.locator("tbody tr[data-id]").first().waitFor()));
}

/** How long a printed value takes to be on the page, while many other trials report. @param {World} world */
async function live(world) {
  await world.ownStudy("crowd", { budget: { trials: String(RUNNING + 1), parallel: RUNNING + 1 } });
  const { trials } = await world.call("POST", "/v1/studies/crowd/ask", { client: "bench", count: RUNNING });
  // The newest is the first of the table; it reports by itself.
  const first = trials.pop().trial;
  const log = join(world.folder, "printed");
  const program = script(world, "marks.sh", `i=0; sleep 3; while [ $i -lt ${MARKS} ]; do i=$((i+1)); echo "$i $(date +%s%3N)" >> ${log}; echo "{\\"step\\": $i, \\"loss\\": $i}"; sleep ${MARK_EVERY / 1000}; done; sleep 3`);
  const steps = new Map(trials.map((/** @type {any} */ { trial }) => [trial.name, 0]));
  let reports = 0;
  const stop = new AbortController();
  const reporting = trials.map(async (/** @type {any} */ { trial }) => {
    await pause(Math.random() * REPORT_EVERY);
    while (!stop.signal.aborted) {
      const step = /** @type {number} */ (steps.get(trial.name)) + 1;
      steps.set(trial.name, step);
      await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["loss"], metric: [0], step: [String(step)], value: [Math.random()] } });
      reports += 1;
      await pause(REPORT_EVERY);
    }
  });
  await world.call("POST", "/v1/studies", {
    spec: { name: "marks", objective: { metric: "loss", goal: "GOAL_MINIMIZE" }, space: [{ name: "x", type: "float", low: 0, high: 1 }], strategy: { name: "random", seed: "1" }, budget: { trials: "1" }, trial: { command: ["sh", program], metrics: { stdoutJson: {} } } },
  });
  print("a printed value on the page of its study", { beside: `${RUNNING} running trials of another study`, ms: spread(await marks(world, "/studies/marks", "tbody tr[data-id='1'] td:nth-child(3)", log)) });
  // A reported value within the study of all of them: seen in the first row of its table.
  const view = await world.open("/studies/crowd");
  await view.page.locator(".health.live").waitFor();
  const cell = view.page.locator(`tbody tr[data-id='${first.number}'] td:nth-child(3)`);
  const times = [];
  for (let mark = 1; mark <= MARKS; mark += 1) {
    const seen = cell.getByText(String(1000 + mark), { exact: true }).waitFor().then(() => Date.now());
    const begun = Date.now();
    await world.call("POST", `/v1/${first.name}/report`, { points: { metrics: ["loss"], metric: [0], step: [String(mark)], value: [1000 + mark] } });
    times.push((await seen) - begun);
    await pause(Math.random() * 400);
  }
  print("a reported value on the page of its study", { "one of running trials": RUNNING, ms: spread(times) });
  await viewers(world, () => reports);
  stop.abort();
  await Promise.all(reporting);
  await view.page.context().close();
  await world.call("POST", "/v1/studies/crowd/stop", {});
}

/** @param {World} world @param {string} path @param {string} cell @param {string} log */
async function marks(world, path, cell, log) {
  const view = await world.open(path);
  await view.page.locator(cell).waitFor();
  const seen = await view.page.evaluate(
    ([cell, last]) =>
      new Promise((/** @type {(seen: Record<string, number>) => void} */ resolve) => {
        const seen = /** @type {Record<string, number>} */ ({});
        const look = () => {
          const text = document.querySelector(String(cell))?.textContent ?? "";
          seen[text] ??= Date.now();
          if (text === String(last)) resolve(seen);
        };
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
        look();
      }),
    [cell, MARKS],
  );
  await view.page.context().close();
  const printed = new Map(readFileSync(log, "utf8").trim().split("\n").map((line) => /** @type {[string, number]} */ (/** @type {unknown} */ (line.split(" ").map((text, index) => (index ? Number(text) : text))))));
  return Object.entries(seen).flatMap(([text, at]) => (printed.has(text) && text !== "1" ? [at - Number(printed.get(text))] : []));
}

/** What many who look on cost the coordinator. @param {World} world @param {() => number} reports */
async function viewers(world, reports) {
  const pid = Number(world.coordinator?.child.pid);
  const measure = async () => {
    const [time, made, at] = [processorTime([pid]), reports(), Date.now()];
    await pause(WINDOW);
    return { share: (processorTime([pid]) - time) / (Date.now() - at), reports: ((reports() - made) * 1000) / (Date.now() - at) };
  };
  const alone = await measure();
  const stop = new AbortController();
  let bytes = 0;
  const streams = Array.from({ length: VIEWERS }, async () => {
    const answer = await fetch(`${world.url}/v1/studies/crowd/events?include_points=true`, { headers: { authorization: `Bearer ${world.token}` }, signal: stop.signal });
    for await (const part of /** @type {any} */ (answer.body)) bytes += part.length;
  });
  await pause(5_000);
  const before = bytes;
  const watched = await measure();
  const perSecond = ((bytes - before) * 1000) / WINDOW;
  stop.abort();
  await Promise.allSettled(streams);
  print("processor time of the coordinator, in cores", { "without viewers": alone, [`with ${VIEWERS} viewers`]: watched, "kB/s to all": Math.round(perSecond / 1000) });
}

/** A page that nobody touches. @param {World} world */
async function idle(world) {
  for (const path of ["/studies/many", "/"]) {
    const view = await world.open(path);
    await view.page.locator("tbody tr[data-id]").first().waitFor();
    await pause(4_000);
    // Its renderer alone: the one that has worked most.
    const renderers = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).split("\n").filter((line) => line.includes("--type=renderer")).map((line) => parseInt(line, 10));
    const coordinator = Number(world.coordinator?.child.pid);
    const [page, served, at] = [processorTime(renderers), processorTime([coordinator]), Date.now()];
    await pause(WINDOW);
    const time = Date.now() - at;
    print("an idle page", { path, "share of a core": (processorTime(renderers) - page) / time, "the coordinator's": (processorTime([coordinator]) - served) / time });
    await view.page.context().close();
  }
}

/** A study of very many trials. @param {World} world */
async function many(world) {
  await world.ownStudy("many", { budget: { trials: String(MANY * 2) }, space: [{ name: "x", type: "float", low: 0, high: 1 }, { name: "lr", type: "float", low: 1e-5, high: 1, scale: "log" }, { name: "act", type: "categorical", choices: ["relu", "tanh", "gelu"] }] });
  await each(MANY, (index) => world.call("POST", "/v1/studies/many/trials", { result: { value: 1 + Math.random() / (1 + index / 1000) } }));
  print("first view of a study", { trials: MANY, ...(await firstView(world, "/studies/many", (page) => page.locator("tbody tr[data-id]").first().waitFor())) });
  const { page } = await world.open("/studies/many");
  const rows = page.locator("tbody tr[data-id]");
  await rows.first().waitFor();
  await page.getByRole("img", { name: /^Best so far/ }).locator("canvas").first().waitFor();
  await pause(2_000);
  const sorted = [];
  for (const name of ["loss", "Trial", "loss", "Trial", "loss"]) {
    const before = await rows.first().getAttribute("data-id");
    const time = await page.evaluate(
      ([name, before]) =>
        new Promise((/** @type {(time: number) => void} */ resolve) => {
          const begun = performance.now();
          const look = () => {
            const first = document.querySelector("tbody tr[data-id]")?.getAttribute("data-id");
            if (first && first !== before) resolve(performance.now() - begun);
            else requestAnimationFrame(look);
          };
          const header = /** @type {HTMLElement} */ ([...document.querySelectorAll("th button")].find(({ textContent }) => textContent?.trim().startsWith(String(name))));
          header.click();
          look();
        }),
      [name, before],
    );
    sorted.push(time);
    await pause(500);
  }
  print("sorting the table of a study", { trials: MANY, ms: spread(sorted) });
  const frames = await page.evaluate(
    () =>
      new Promise((/** @type {(frames: number[]) => void} */ resolve) => {
        const frames = /** @type {number[]} */ ([]);
        let [last, count] = [performance.now(), 0];
        const body = /** @type {HTMLElement} */ (document.querySelector("tbody"))?.closest(".scroll, .table") ?? document.scrollingElement;
        const step = (/** @type {number} */ now) => {
          frames.push(now - last);
          last = now;
          /** @type {HTMLElement} */ (body).scrollTop += 300;
          window.scrollBy(0, 40);
          if ((count += 1) < 120) requestAnimationFrame(step);
          else resolve(frames);
        };
        requestAnimationFrame(step);
      }),
  );
  print("frames while scrolling", { trials: MANY, ms: spread(frames.slice(1)) });
  await page.context().close();
}

/** The parts in their order; `idle` looks at the study that `many` makes. */
const parts = { studies, live, many, idle };
const only = (process.env.DASHBOARD_ONLY ?? Object.keys(parts).join(",")).split(",");
const world = await World.start({ worker: true });
try {
  for (const [name, part] of Object.entries(parts)) if (only.includes(name)) await part(world);
} finally {
  await world.stop();
}
