// What else the command line can do, done here: a closer look around some trials, results from elsewhere, trainings that are repeated, logs that are kept.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, violations, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({});
  const lr = { name: "lr", type: "float", low: 1e-4, high: 1, scale: "log" };
  await world.ownStudy("population", {
    objective: { metric: "val_loss", goal: "GOAL_MINIMIZE" },
    space: [lr, { name: "activation", type: "categorical", choices: ["relu", "tanh"] }],
    strategy: { name: "pbt", seed: "5", population: 8, interval: "2", vary: ["lr"] },
    trial: { command: ["digits", "--epochs={until}", "--checkpoint-every=1", "{args}"], metrics: { stdoutJson: {} }, steps: { name: "epoch", max: "10" }, grace: "20s" },
  });
  await world.ownStudy("wide", { space: [{ name: "x", type: "float", low: 0, high: 1 }, { name: "kind", type: "categorical", choices: [EVIL, "b"] }] });
  for (const [x, kind, value] of [[0.2, "b", 1], [0.3, "b", 2], [0.9, EVIL, 9]]) await world.call("POST", "/v1/studies/wide/trials", { parameters: { x, kind }, result: { value } });
  await world.ownStudy("ended", { moreObjectives: [{ metric: "size", goal: "GOAL_MINIMIZE" }], measuredConstraints: [{ metric: "mem gb", atMost: 16 }] });
  await world.call("POST", "/v1/studies/ended/stop", {});
  await world.untilDone("population");
});
after(() => world.stop());

/** @param {...string} words */
function cli(...words) {
  const env = { PATH: process.env.PATH, HOME: world.folder, TUNESMITH_COORDINATOR: world.url, TUNESMITH_TOKEN: world.token };
  return String(execFileSync(join(String(process.env.TUNESMITH_PROGRAMS), "tunesmith"), words, { env }));
}

/** @param {import("playwright-core").Page} page @param {string} entry */
async function choose(page, entry) {
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: entry }).click();
  return page.getByRole("dialog");
}

/** @param {string} study */
const specOf = async (study) => (await world.call("GET", `/v1/studies/${study}`)).study.spec;

test("a study looks more closely around some of the best trials, or around one", async () => {
  const view = await world.open("/studies/wide", { bypassCSP: true });
  const { page } = view;
  let dialog = await choose(page, "Zoom in…");
  await dialog.getByText(/It lies around trials 1, 2, 3/).waitFor();
  assert.deepEqual(await violations(page), []);
  await dialog.getByLabel("Number of best trials").fill("2");
  await dialog.getByText("It lies around trials 1, 2.").waitFor();
  await dialog.getByLabel("Wider on each side").fill("5");
  await dialog.getByText("0.15 to 0.35").waitFor();
  await dialog.getByLabel("Wider on each side").fill("500");
  await dialog.getByText("the percentage is 500; give a number from 0 to 100").waitFor();
  await dialog.getByLabel("Wider on each side").fill("5");
  await dialog.getByLabel("Name").fill("closer");
  await dialog.getByLabel("Trials", { exact: true }).fill("7");
  await dialog.getByRole("button", { name: "Create and start" }).click();
  await page.getByRole("heading", { level: 1, name: "closer" }).waitFor();
  const printed = JSON.parse(cli("study", "zoom", "wide", "--best", "2", "--margin", "0.05", "--print", "--set", "budget.trials=7"));
  const spec = await specOf("closer");
  assert.deepEqual([spec.parent, spec.budget.trials, spec.strategy.history], ["wide", "7", ["wide"]]);
  const [x] = spec.space;
  assert.deepEqual([x.low, x.high], [printed.space.x.low, printed.space.x.high]);

  await page.goto(`${world.url}/studies/wide/trials/3`);
  dialog = await choose(page, "Zoom in around it…");
  await dialog.getByText("It lies around trial 3.").waitFor();
  assert.equal(await dialog.getByLabel("Around the trial", { exact: true }).isChecked(), true);
  await dialog.getByLabel("Number of the trial").fill("77");
  await dialog.locator(".problem").getByText("77").waitFor();
  await dialog.getByLabel("Number of the trial").fill("1");
  await dialog.getByText("It lies around trial 1.").waitFor();
  // It can be changed as a study file before it is created, at an address of its own.
  await dialog.getByRole("link", { name: "Change it as a study file first" }).click();
  await page.getByRole("heading", { level: 1, name: "A part of wide" }).waitFor();
  const text = page.getByRole("textbox", { name: "Study file" });
  await eventually("it is written", async () => assert.match(await text.inputValue(), /parent: wide[^]*low: 0\.1/));
  await page.getByRole("button", { name: "Create study" }).click();
  await page.getByRole("heading", { level: 1, name: "wide-zoom" }).waitFor();
  assert.equal((await specOf("wide-zoom")).parent, "wide");
  await page.goto(`${world.url}/new?zoom=wide&part=${encodeURIComponent(EVIL)}`);
  await page.getByText("This address does not say which part of the space is meant.").waitFor();
  await isSound(view);
});

test("a trial that was run elsewhere is added with its result, also after the end of the study", async () => {
  const view = await world.open("/studies/wide", { bypassCSP: true });
  const { page } = view;
  let dialog = await choose(page, "Add trial…");
  await dialog.getByLabel("x", { exact: true }).fill("0.5");
  await dialog.getByLabel("kind").selectOption({ label: "b" });
  await dialog.getByLabel("Tags").fill("elsewhere, by hand");
  await dialog.getByLabel("It was run elsewhere, with this result").check();
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await dialog.getByText("Write what it had as loss.").waitFor();
  await dialog.getByLabel("loss", { exact: true }).fill("none");
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await dialog.getByText("loss is none, which is no number").waitFor();
  await dialog.getByLabel("loss", { exact: true }).fill("0.125");
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await page.getByRole("heading", { level: 1, name: "Trial 4" }).waitFor();
  const { trial } = await world.call("GET", "/v1/studies/wide/trials/4");
  assert.deepEqual([trial.state, trial.value, trial.tags, trial.provenance.origin], ["TRIAL_STATE_COMPLETED", 0.125, ["elsewhere", "by hand"], "imported"]);

  await page.goto(`${world.url}/studies/ended`);
  dialog = await choose(page, "Add result…");
  assert.equal(await dialog.getByLabel("It was run elsewhere, with this result").isDisabled(), true);
  await dialog.getByLabel("x", { exact: true }).fill("0.5");
  await dialog.getByLabel("loss", { exact: true }).fill("-inf");
  await dialog.getByLabel("size", { exact: true }).fill("3");
  await dialog.getByLabel("mem gb", { exact: true }).fill("20");
  await dialog.getByRole("button", { name: "Add result" }).click();
  await page.getByRole("heading", { level: 1, name: "Trial 1" }).waitFor();
  const added = (await world.call("GET", "/v1/studies/ended/trials/1")).trial;
  assert.deepEqual([added.values, added.constraints[0].value, added.feasible], [{ loss: "-Infinity", size: 3 }, 20, false]);
  await isSound(view);
});

test("the schedule of a training is shown as the command line prints it, and a study repeats it", async () => {
  const { trials } = await world.call("GET", "/v1/studies/population/trials?page_size=1000");
  const child = trials.find((/** @type {any} */ { parent, state }) => parent && state === "TRIAL_STATE_COMPLETED");
  assert.ok(child, "a training went on from another one");
  const view = await world.open(`/studies/population/trials/${child.number}`, { bypassCSP: true });
  const { page } = view;
  const dialog = await choose(page, "Schedule…");
  const printed = cli("trial", "schedule", `population/${child.number}`);
  assert.ok(printed.split("until").length > 2, printed);
  assert.equal(await dialog.getByRole("region", { name: "Schedule" }).textContent(), printed);
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole("link", { name: "New study that repeats it" }).press("Enter");
  await page.getByRole("heading", { level: 1, name: `Repeat trial ${child.number} of population` }).waitFor();
  await eventually("it can be created", async () => assert.equal(await page.getByRole("button", { name: "Create study" }).isEnabled(), true));
  await page.getByRole("button", { name: "Create study" }).click();
  await page.getByRole("heading", { level: 1, name: "population-2" }).waitFor();
  const { strategy } = await specOf("population-2");
  assert.equal(strategy.name, "replay");
  assert.deepEqual(strategy.segments.at(-1).parameters, child.parameters);
  assert.equal(strategy.segments.length, printed.split("- {").length - 1);
  await isSound(view);
});

test("a log is saved as a file", async () => {
  const view = await world.open("/studies/population/trials/1");
  const { page } = view;
  await page.locator(".log").getByText("val_loss").first().waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Save" }).click()]);
  assert.equal(download.suggestedFilename(), "population-1.stdout.txt");
  assert.equal(readFileSync(await download.path(), "utf8"), cli("trial", "logs", "population/1"));
  await isSound(view);
});
