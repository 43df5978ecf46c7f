// Studies as files: what is saved in the browser is what the command line exports, and what is imported in the browser is what the command line makes of it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, violations, World } from "./support.js";

/** @type {World} */
let world;
/** Parts of the texts that people write. */
const TEXT = `two, "lines"\nand ${EVIL}`;
const MANY = 1_050;

before(async () => {
  world = await World.start({});
  await world.digitsStudy("digits", 6);
  await world.call("POST", "/v1/studies", {
    spec: {
      name: "rich",
      message: TEXT,
      objective: { metric: "loss", goal: "GOAL_MINIMIZE", from: "best" },
      moreObjectives: [{ metric: "size", goal: "GOAL_MINIMIZE" }],
      measuredConstraints: [{ metric: "mem gb", atMost: 16 }, { metric: "loss", atLeast: 1e-20 }],
      space: [
        { name: "x", type: "float", low: -1, high: 1 },
        { name: "kind", type: "categorical", choices: ["plain", EVIL, 1, true] },
        { name: "tiny", type: "float", low: 1e-30, high: 1e30, scale: "log" },
      ],
      strategy: { name: "random", seed: "18446744073709551615" },
    },
  });
  const add = (/** @type {object} */ body) => world.call("POST", "/v1/studies/rich/trials", body);
  const points = { metrics: ["loss", "size", "mem gb", "b/Z", "b a"], metric: [0, 0, 0, 1, 1, 2, 3, 4], step: ["1", "2", "9007199254740993", "1", "2", "1", "1", "1"], value: [0.25, "NaN", 0.1 + 0.2, "-0.0", 1e21, 12.5, "Infinity", "-Infinity"] };
  await add({ parameters: { x: 0, kind: EVIL, tiny: 1e-30 }, note: TEXT, tags: ["a b", EVIL.replaceAll(",", "").slice(0, 60)], result: { points } });
  await add({ parameters: { x: 1 / 3, kind: 1, tiny: 1.5e-7 }, result: { value: 1e-5, values: { size: 1e15, "mem gb": 20 } } });
  await add({ parameters: { x: -1e-3, kind: true, tiny: 123456789.123 }, result: { state: "TRIAL_STATE_EARLY_STOPPED", value: 2, values: { size: 3, "mem gb": 1 } } });
  await add({ parameters: { x: 0.5, kind: "plain", tiny: 1e30 }, result: { state: "TRIAL_STATE_FAILED" } });
  const { trial } = (await world.call("POST", "/v1/studies/rich/ask", { client: EVIL })).trials[0];
  await world.call("POST", `/v1/${trial.name}/tell`, { failed: true, reason: TEXT });
  const waiting = await add({ parameters: { x: 0.125 } });
  await world.call("POST", `/v1/${waiting.trial.name}/stop`, {});
  await add({ parameters: { x: 0.25 }, result: { value: 0.5, values: { size: 3, "mem gb": 1 }, points: { metrics: ["loss"], metric: Array(9_000).fill(0), step: Array.from({ length: 9_000 }, (_, step) => String(step)), value: Array.from({ length: 9_000 }, (_, step) => 1 / (step + 1)) } } });
  await world.ownStudy("many");
  for (let number = 0; number < MANY; number += 1) await world.call("POST", "/v1/studies/many/trials", { parameters: { x: number / MANY }, result: { value: number } });
  await world.untilDone("digits");
  // What is active for a time has another time each time that it is looked at.
  for (const name of ["rich", "many"]) await world.call("POST", `/v1/studies/${name}/pause`, {});
  // It knows trials of a study that is not here any more.
  await world.ownStudy("source");
  for (const x of [0.25, 0.5]) await world.call("POST", "/v1/studies/source/trials", { parameters: { x }, result: { value: x } });
  await world.ownStudy("knows", { strategy: { name: "random", seed: "1", history: ["source"] } });
  for (const name of ["source", "knows"]) await world.call("POST", `/v1/studies/${name}/stop`, {});
  await world.call("DELETE", "/v1/studies/source");
});
after(() => world.stop());

/** @param {...string} words */
function cli(...words) {
  const env = { PATH: process.env.PATH, HOME: world.folder, TUNESMITH_COORDINATOR: world.url, TUNESMITH_TOKEN: world.token };
  return execFileSync(join(String(process.env.TUNESMITH_PROGRAMS), "tunesmith"), words, { env, maxBuffer: 1 << 30 });
}

/** @param {import("playwright-core").Page} page @param {string} entry */
async function choose(page, entry) {
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: entry }).click();
  return page.getByRole("dialog");
}

/** @param {import("playwright-core").Page} page @param {string} study @param {"JSON" | "CSV"} form */
async function exported(page, study, form) {
  await page.goto(`${world.url}/studies/${study}`);
  const dialog = await choose(page, "Export…");
  await dialog.getByLabel(form).check();
  const [download] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Export" }).click()]);
  return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
}

test("what is exported here is what the command line exports", async () => {
  const view = await world.open("/");
  for (const study of ["digits", "rich", "many", "knows"]) {
    const json = await exported(view.page, study, "JSON");
    assert.equal(json.name, `${study}.json`);
    const [here, there] = [json.content, cli("study", "export", study)].map((text) => JSON.parse(String(text)));
    assert.ok(Math.abs(Date.parse(here.exportedAt) - Date.parse(there.exportedAt)) < 600_000);
    delete here.exportedAt;
    delete there.exportedAt;
    assert.deepEqual(here, there, study);
    const csv = await exported(view.page, study, "CSV");
    assert.equal(csv.name, `${study}.csv`);
    assert.equal(String(csv.content), String(cli("study", "export", study, "--format", "csv")), study);
  }
  await isSound(view);
});

test("an export is stopped and goes on where it was, also after the coordinator was away", async () => {
  const view = await world.open("/studies/many", { bypassCSP: true });
  const { page } = view;
  const dialog = await choose(page, "Export…");
  assert.deepEqual(await violations(page), []);
  const asked = /** @type {string[]} */ ([]);
  let [held, refused] = [300, 0];
  /** @type {(() => void)[]} */
  const waiting = [];
  await page.route(/\/trials\/\d+$/, async (route) => {
    asked.push(route.request().url());
    if (asked.length === held) void dialog.getByRole("button", { name: "Stop" }).click();
    if (asked.length > held) await new Promise((resolve) => waiting.push(() => resolve(null)));
    if (refused > 0) {
      refused -= 1;
      return route.fulfill({ status: 503, body: "{}" });
    }
    return route.continue().catch(() => {});
  });
  await dialog.getByRole("button", { name: "Export" }).press("Enter");
  await dialog.getByText("Stopped.", { exact: true }).waitFor();
  assert.deepEqual(await violations(page), []);
  const before = new Set(asked);
  held = Infinity;
  refused = 2;
  for (const go of waiting) go();
  const [download] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Go on" }).press("Enter")]);
  const { trials } = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.deepEqual(trials.map((/** @type {any} */ { trial }) => Number(trial.number)), Array.from({ length: MANY }, (_, index) => index + 1));
  // What was read before was not read again, but for what was on its way.
  assert.ok(asked.length <= MANY + 16, `${asked.length} calls, ${before.size} of them before the stop`);
  await dialog.waitFor({ state: "detached" });
  await isSound(view);
});

/** What there is of a study, but for its name and what is of its own time. @param {string} name */
async function contents(name) {
  const document = JSON.parse(String(cli("study", "export", name)));
  const { spec, counts, paretoSet, history, state } = document.study;
  return {
    study: { spec: { ...spec, name: "" }, counts, paretoSet, history, state },
    history: document.history,
    trials: document.trials.map((/** @type {any} */ { trial, curves }) => {
      const { name: _, createdAt: __, endedAt: ___, provenance, seed, ...rest } = trial;
      return { ...rest, origin: provenance?.origin, curves };
    }),
  };
}

test("what is imported here is what the command line makes of it", async () => {
  const view = await world.open("/new", { bypassCSP: true });
  const { page } = view;
  const dialog = page.getByRole("dialog", { name: "Import an exported study" });
  for (const study of ["digits", "rich", "knows"]) {
    const file = join(world.folder, `${study}.json`);
    cli("study", "export", study, "--file", file);
    cli("study", "import", file, "--name", `${study}-cli`);
    await page.goto(`${world.url}/new`);
    await page.getByRole("button", { name: "From an exported study…" }).click();
    await dialog.getByLabel("File").setInputFiles(file);
    await dialog.getByLabel("Name").waitFor();
    assert.equal(await dialog.getByLabel("Name").inputValue(), study);
    assert.equal(await dialog.getByText("1 trial without a result (cancelled, running or waiting) left out").count(), study === "rich" ? 1 : 0);
    assert.deepEqual(await violations(page), []);
    // A name that is taken is refused, and another one taken.
    await dialog.getByRole("button", { name: "Import" }).click();
    await dialog.locator("[role=alert]").getByText(study).waitFor();
    await dialog.getByLabel("Name").fill(`${study}-here`);
    await dialog.getByRole("button", { name: "Import" }).click();
    await page.getByRole("heading", { level: 1, name: `${study}-here` }).waitFor();
    assert.deepEqual(await contents(`${study}-here`), await contents(`${study}-cli`), study);
  }
  await isSound(view);
});

test("a curve that is too long for one call is thinned as the command line does", async () => {
  const document = JSON.parse(String(cli("study", "export", "rich")));
  document.trials = document.trials.slice(0, 1);
  document.trials[0].curves = ["loss", "size"].map((metric) => ({ metric, step: Array.from({ length: 7_001 }, (_, step) => String(step)), value: Array.from({ length: 7_001 }, (_, step) => step / 8) }));
  const file = join(world.folder, "long.json");
  writeFileSync(file, JSON.stringify(document));
  cli("study", "import", file, "--name", "long-cli");
  const view = await world.open("/new");
  const { page } = view;
  await page.getByRole("button", { name: "From an exported study…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("File").setInputFiles(file);
  await dialog.getByText(/curves of 1 trial with more than 10.000 points/).waitFor();
  await dialog.getByLabel("Name").fill("long-here");
  await dialog.getByRole("button", { name: "Import" }).click();
  await page.getByRole("heading", { level: 1, name: "long-here" }).waitFor();
  assert.deepEqual(await contents("long-here"), await contents("long-cli"));
  await isSound(view);
});

test("an import that fails half way goes on where it was, or is taken back", async () => {
  const file = join(world.folder, "digits.json");
  cli("study", "export", "digits", "--file", file);
  const view = await world.open("/new");
  const { page } = view;
  const dialog = page.getByRole("dialog");
  const begin = async (/** @type {string} */ name) => {
    await page.getByRole("button", { name: "From an exported study…" }).click();
    await dialog.getByLabel("File").setInputFiles(file);
    await dialog.getByLabel("Name").fill(name);
    await dialog.getByRole("button", { name: "Import" }).click();
    await dialog.getByText(`The study ${name} exists, paused, with the first 3 of 6 trials. Go on, or delete it before another attempt.`).waitFor();
  };
  let calls = 0;
  await page.route(/\/trials$/, (route) => (route.request().method() === "POST" && (calls += 1) === 4 ? route.fulfill({ status: 500, body: JSON.stringify({ error: { message: EVIL, reason: "INTERNAL" } }) }) : route.continue()));
  await begin("halfway");
  await dialog.getByRole("alert").getByText("<img src=x onerror=").waitFor();
  await dialog.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { level: 1, name: "halfway" }).waitFor();
  const { study } = await world.call("GET", "/v1/studies/halfway");
  assert.equal(Object.values(study.counts).reduce((sum, one) => sum + Number(one), 0), 6);
  calls = 0;
  await page.goto(`${world.url}/new`);
  await begin("taken-back");
  await dialog.getByRole("button", { name: "Delete what was imported" }).click();
  await dialog.waitFor({ state: "detached" });
  const { studies } = await world.call("GET", "/v1/studies");
  assert.equal(studies.some((/** @type {any} */ { name }) => name === "studies/taken-back"), false);
  await isSound(view);
});

test("a wrong file is refused with what to do instead", async () => {
  const view = await world.open("/new");
  const { page } = view;
  const dialog = page.getByRole("dialog");
  const good = JSON.parse(String(cli("study", "export", "digits")));
  const files = /** @type {[string, string, RegExp][]} */ ([
    ["study.yaml", "name: digits\nobjective: {metric: loss}\n", /study\.yaml is no exported study: it is not JSON\..*A study file is pasted into the form/],
    ["study.json", '{"name": "digits", "space": {}}', /it does not say which format it has/],
    ["newer.json", JSON.stringify({ ...good, format: `tunesmith.study.v9${EVIL}` }), /its format is "tunesmith\.study\.v9<img src=x/],
    ["list.json", "[1]", /it is no JSON object/],
    ["null.json", "null", /it is no JSON object/],
    ["empty.json", "", /it is not JSON/],
    ["nospec.json", JSON.stringify({ ...good, study: {} }), /it has no study\.spec/],
    ["cut.json", JSON.stringify(good).slice(0, -9), /it is not JSON/],
    ["trial.json", JSON.stringify({ ...good, trials: [...good.trials, { trial: {}, curves: [] }] }), /trials\[6\] is no trial with its curves/],
  ]);
  await page.getByRole("button", { name: "From an exported study…" }).click();
  for (const [name, text, why] of files) {
    await dialog.getByLabel("File").setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(text) });
    await dialog.locator(".problem").getByText(why).waitFor();
  }
  await dialog.getByRole("button", { name: "Import" }).click();
  await dialog.getByText("Choose a file that was exported first.").waitFor();
  await page.keyboard.press("Escape");
  // A field that only a newer coordinator knows is refused by this one.
  await page.getByRole("button", { name: "From an exported study…" }).click();
  await dialog.getByLabel("File").setInputFiles({ name: "field.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify({ ...good, study: { spec: { ...good.study.spec, name: "field", futureField: 1 } } })) });
  await dialog.getByRole("button", { name: "Import" }).click();
  await dialog.getByRole("alert").getByText("futureField").waitFor();
  await page.keyboard.press("Escape");
  // A file can be dropped on the page, too.
  const data = await page.evaluateHandle((text) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], "dropped.json", { type: "application/json" }));
    return transfer;
  }, JSON.stringify(good));
  await page.locator(".draft-text").dispatchEvent("drop", { dataTransfer: data });
  await dialog.getByText("dropped.json").waitFor();
  await isSound(view);
});

test("a study is replayed, and what differs is shown with both sides", async () => {
  const view = await world.open("/studies/digits", { bypassCSP: true });
  const { page } = view;
  const { same, sameDecisions } = JSON.parse(String(cli("study", "replay", "digits", "--output", "json")));
  let dialog = await choose(page, "Replay…");
  await dialog.getByText("Nothing is changed.").waitFor();
  await dialog.getByRole("button", { name: "Replay" }).press("Enter");
  dialog = page.getByRole("dialog", { name: "Replay of digits" });
  await dialog.getByText("The decisions follow from what is stored.").waitFor();
  const figure = (/** @type {string} */ what) => dialog.locator(".facts > div").filter({ has: page.locator("dt", { hasText: what }) }).locator("dd").textContent();
  assert.equal(Number(same), 6);
  assert.deepEqual([await figure("Proposals that are the same"), await figure("Judgements that are the same"), await figure("Proposals that differ")], ["6", String(sameDecisions ?? 0), "0"]);
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Escape");
  // What differs cannot be made with one version: answers in two parts, as the coordinator would give them.
  const answers = [
    { same: "2", nextTrial: "4", differences: [{ trial: "3", stored: { lr: 0.1, activation: EVIL }, again: { lr: 0.10000000000000002, activation: EVIL }, reason: EVIL }] },
    { same: "1", notProposed: "1", differences: [{ trial: "4", stored: { lr: 0.5 } }], sameDecisions: "2", decisionDifferences: [{ trial: "5", stored: { rule: "median", text: EVIL } }, { trial: "6", again: { rule: "median", text: "worse than the median" } }] },
  ];
  const from = /** @type {(string | null)[]} */ ([]);
  await page.route(/\/v1\/.*\/replay/, (route) => {
    from.push(new URL(route.request().url()).searchParams.get("from_trial"));
    return route.fulfill({ json: answers[from.length - 1] });
  });
  await (await choose(page, "Replay…")).getByRole("button", { name: "Replay" }).click();
  await dialog.getByText("digits has 2 proposals and 2 judgements that its history does not give.").waitFor();
  assert.deepEqual(from, ["0", "4"]);
  assert.deepEqual([await figure("Proposals that are the same"), await figure("Judgements that are the same"), await figure("people or programs")], ["3", "2", "1"]);
  const proposals = dialog.getByRole("region", { name: "Proposals that differ" }).locator("tbody tr");
  assert.deepEqual(await proposals.first().locator(".differs dd").allTextContents(), ["0.1", "0.10000000000000002"]);
  assert.equal(await proposals.first().locator(".same dd").count(), 2);
  assert.match((await proposals.nth(1).locator("td").nth(1).textContent()) ?? "", /nothing/);
  const judgements = dialog.getByRole("region", { name: "Judgements that differ" }).locator("tbody tr");
  assert.deepEqual(await judgements.nth(1).locator("td").allTextContents(), ["no judgement", "worse than the median (median)"]);
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole("link", { name: "Trial 3" }).click();
  await page.getByRole("heading", { level: 1, name: "Trial 3" }).waitFor();
  await eventually("the dialog is gone", async () => assert.equal(await page.getByRole("dialog").count(), 0));
  await isSound(view);
});
