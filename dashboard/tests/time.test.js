// The part "Time" of a study's page: attempts on their slots, what was used of the budgets, and the best value by GPU hours.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, saved, script, violations, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ flags: ["--fake-gpus", "2"] });
  // It takes so long that it can be seen to have taken time.
  const program = script(world, "short.sh", `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done\nprintf '{"step": 1, "loss": %s}\\n' "$1"\n[ "$2" = 3 ] && exit 3\nexit 0\n`);
  await world.ownStudy("gpus", {
    space: [{ name: "x", type: "float", low: 0.1, high: 1 }],
    trial: { command: ["sh", program, "{x}", "{trial}"], metrics: { stdoutJson: {} }, resources: { gpus: 1 }, retries: 1 },
    budget: { trials: "6", gpuHours: 1, wallTime: "3600s" },
  });
});
after(() => world.stop());

/**
 * @param {string} study
 * @param {string} client
 */
async function ask(study, client) {
  return (await world.call("POST", `/v1/studies/${study}/ask`, { client })).trials[0].trial;
}

/**
 * @param {{name: string}} trial
 * @param {number} loss
 */
async function tell({ name }, loss) {
  await world.call("POST", `/v1/${name}/report`, { points: { metrics: ["loss"], metric: [0], step: ["1"], value: [loss] } });
  await world.call("POST", `/v1/${name}/tell`, {});
}

/** @param {import("playwright-core").Page} page @param {string} id */
const cells = (page, id) => page.locator(`.time .table tr[data-id="${id}"] td`).allInnerTexts();

test("every attempt is a bar on the GPU that it had, and a row that leads to its trial", async () => {
  await world.untilDone("gpus");
  const view = await world.open("/studies/gpus/time");
  const { page } = view;
  const { workers } = await world.call("GET", "/v1/workers");
  /** @type {string[]} */
  const order = workers[0].resources.gpus.map((/** @type {{uuid: string}} */ { uuid }) => uuid);
  const wanted = [];
  for (let number = 1; number <= 6; number += 1) {
    const { trial } = await world.call("GET", `/v1/studies/gpus/trials/${number}`);
    for (const { attempt, holder, gpus, leasedAt, endedAt } of trial.attempts) wanted.push([number, attempt, holder, `GPU ${order.indexOf(gpus[0])}`, new Date(leasedAt).toISOString(), new Date(endedAt).toISOString()].join());
  }
  assert.equal(wanted.length, 7, "one was tried again");
  await page.getByText("2 GPUs of machine-1 were busy").waitFor();
  await eventually("all attempts are read", async () => assert.equal(await page.locator(".time .table tr[data-id]").count(), 7));
  const rows = (await saved(page, "Save “Timeline” as CSV")).content.toString().trim().split("\r\n").map((row) => row.split(","));
  assert.deepEqual(rows[0], ["trial", "attempt", "worker", "slot", "handed_out", "started", "ended", "state", "outcome"]);
  assert.deepEqual(rows.slice(1).map((row) => [...row.slice(0, 5), row[6]].join()).sort(), wanted.sort());
  assert.deepEqual(rows.filter(([trial]) => trial === "3").map((row) => row[7]), ["Failed", "Failed"]);
  // Somewhere on the first lane there is a bar that says what it is.
  const plot = page.locator("figure").filter({ hasText: "Timeline" }).locator(".plot");
  const tip = page.locator("figure").filter({ hasText: "Timeline" }).locator(".tip");
  const box = await plot.boundingBox();
  assert.ok(box);
  for (let x = 100; x < box.width - 10 && (await tip.isHidden()); x += 6) await page.mouse.move(box.x + x, box.y + 27);
  assert.match(await tip.innerText(), /Trial \d[\s\S]*attempt[\s\S]*machine-1 · GPU 0/);
  await page.getByRole("columnheader", { name: "Trial" }).getByRole("button").click();
  await page.getByRole("columnheader", { name: "Trial" }).getByRole("button").click();
  assert.match(page.url(), /sort=trial/);
  await page.keyboard.press("t");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Trial 1" }).waitFor();
  await isSound(view);
});

test("attempts at the same time are on slots of their own, and one that runs grows", async () => {
  await world.ownStudy("slots");
  const first = await ask("slots", EVIL);
  const second = await ask("slots", EVIL);
  const view = await world.open("/studies/slots/time");
  const { page } = view;
  await eventually("both run", async () => assert.deepEqual([(await cells(page, "1.1"))[4], (await cells(page, "2.1"))[4]], ["slot 1", "slot 2"]));
  const before = (await cells(page, "1.1"))[6];
  await eventually("it grows", async () => assert.notEqual((await cells(page, "1.1"))[6], before));
  await tell(first, 0.5);
  await eventually("it has ended", async () => assert.match((await cells(page, "1.1"))[2], /Completed/));
  await ask("slots", EVIL);
  // The slot that became free, and not a third one.
  await eventually("another one begins", async () => assert.deepEqual([(await cells(page, "3.1"))[4], (await cells(page, "3.1"))[2]], ["slot 1", "Running"]));
  assert.equal((await cells(page, "3.1"))[3], EVIL);
  await page.getByRole("img", { name: /^Timeline: 3 attempts on 2 slots/ }).waitFor();
  await tell(second, 0.25);
  await isSound(view);
});

test("of each budget it is told what is used, what is committed and what is left", async () => {
  await world.ownStudy("budget", { budget: { trials: "10" } });
  for (const loss of [0.5, 0.25]) await tell(await ask("budget", "me"), loss);
  for (let running = 0; running < 3; running += 1) await ask("budget", "me");
  const view = await world.open("/studies/budget/time");
  const { page } = view;
  const row = (/** @type {string} */ name) => page.getByRole("table", { name: "Budgets" }).getByRole("row", { name }).getByRole("cell").allInnerTexts();
  await eventually("the budget of trials is shown", async () => assert.deepEqual((await row("Trials")).slice(0, 5), ["2", "20\u202f%", "3", "5", "10"]));
  assert.match((await row("Trials"))[5], /^used up in about .* at the present rate$/);
  await page.getByRole("img", { name: /^Budget used: Trials 20/ }).locator("canvas").first().waitFor();
  await page.goto(`${world.url}/studies/gpus/time`);
  await eventually("the budgets of a study that has ended are shown", async () => assert.equal((await row("Trials"))[5], "used up"));
  assert.match((await row("GPU hours"))[5], /^the study ended with/);
  await eventually("how GPU hours came about is known", async () => assert.equal(await page.locator(".time .note").getByText("not known").isHidden(), true));
  let seconds = 0;
  for (let number = 1; number <= 6; number += 1) {
    const { trial } = await world.call("GET", `/v1/studies/gpus/trials/${number}`);
    for (const { startedAt, endedAt } of trial.attempts) seconds += (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  }
  assert.ok(seconds > 0.01);
  const points = (await saved(page, "Save “Budget used” as CSV")).content.toString().trim().split("\r\n").map((line) => line.split(","));
  const used = Number(points.filter(([id]) => id === "gpu_hours").at(-1)?.[2]);
  assert.ok(Math.abs(used * 3600 - seconds) < 1e-6, `${used * 3600} ${seconds}`);
  await world.ownStudy("unbounded");
  await page.goto(`${world.url}/studies/unbounded/time`);
  await page.getByText("This study has no budget").waitFor();
  await isSound(view);
});

test("what else ends a study is told, and how near it is", async () => {
  await world.ownStudy("ends", { budget: { failures: "3", target: 0.0625, noImprovement: { patience: "4", minDelta: 0.125, gainBelow: 0.01, shadow: true } } });
  const view = await world.open("/studies/ends/time");
  const { page } = view;
  const row = (/** @type {string} */ table, /** @type {string} */ name) => page.getByRole("table", { name: table }).getByRole("row", { name }).getByRole("cell").allInnerTexts();
  await eventually("nothing has a result yet", async () => assert.deepEqual(await row("Other ends", "Target of loss"), ["\u2013", "0.0625 or less", "no result yet"]));
  assert.deepEqual(await row("Other ends", "Results without improvement"), ["\u2013", "4", "no result that counts yet; it is only noted"]);
  assert.match(await page.getByRole("img", { name: /^Budget used: / }).getAttribute("aria-label") ?? "", /^Budget used: Failed trials 0/);
  for (const loss of [0.5, 0.25, 0.1875]) await tell(await ask("ends", "me"), loss);
  await world.call("POST", `/v1/${(await ask("ends", "me")).name}/tell`, { failed: true, reason: "diverged" });
  const { study } = await world.call("GET", "/v1/studies/ends");
  assert.equal(study.improvement.idle, "1");
  await eventually("they are told", async () => assert.deepEqual(await row("Other ends", "Target of loss"), ["0.1875", "0.0625 or less", "0.125 away; the best is trial 3"]));
  assert.deepEqual(await row("Other ends", "Results without improvement"), [study.improvement.idle, "4", "the last results have not been better by more than 0.125; it is only noted"]);
  const gain = await row("Other ends", "Left to gain, at most");
  assert.deepEqual(gain.slice(0, 2), ["\u2013", "0.01 or less"]);
  assert.ok(gain[2].length > 20 && `${study.improvement.note}; it is only noted`.endsWith(gain[2]), `${gain[2]} | ${study.improvement.note}`);
  await eventually("the failed trial counts", async () => assert.deepEqual((await row("Budgets", "Failed trials")).slice(0, 5), ["1", "33\u202f%", "\u2013", "2", "3"]));
  assert.equal((await row("Budgets", "Failed trials"))[5], "the study ends when 3 have failed");
  const points = (await saved(page, "Save “Budget used” as CSV")).content.toString().trim().split("\r\n").map((line) => line.split(","));
  assert.deepEqual(points.slice(1).map(([id, , used]) => [id, used]), [["failures", "0"], ["failures", "1"], ["failures", "1"]]);
  await tell(await ask("ends", "me"), 0.03125);
  await eventually("the target is reached", async () => assert.equal((await row("Other ends", "Target of loss"))[2], "reached by trial 5"));
  await isSound(view);
});

test("of a study that has ended it is not said that attempts are being read when all are", async () => {
  await world.ownStudy("twenty", { budget: { trials: "20" } });
  for (let number = 0; number < 20; number += 1) await tell(await ask("twenty", "me"), 1 / (number + 1));
  await world.untilDone("twenty");
  const view = await world.open("/studies/twenty/time");
  const { page } = view;
  await page.locator(".time .table tr[data-id]").first().waitFor();
  await page.getByText(/slots? of me w/).waitFor();
  assert.equal(await page.getByText("Reading attempts").isVisible(), false);
  await isSound(view);
});

test("the best value is drawn by GPU hours where there are GPUs", async () => {
  const view = await world.open("/studies/gpus");
  const { page } = view;
  const axis = page.getByLabel("Best so far against");
  await page.locator("figure").filter({ hasText: "Best so far" }).locator("canvas").first().waitFor();
  await axis.selectOption("gpu");
  await eventually("the attempts are read", async () => assert.equal(await page.locator("figure").filter({ hasText: "Best so far" }).locator(".chart-empty").isHidden(), true));
  assert.match(page.url(), /best=gpu/);
  const svg = (await saved(page, "Save “Best so far” as SVG")).content.toString();
  assert.match(svg, /GPU hours used/);
  await page.goto(`${world.url}/studies/budget`);
  await page.locator("figure").filter({ hasText: "Best so far" }).locator("canvas").first().waitFor();
  assert.equal(await page.getByLabel("Best so far against").locator("option[value=gpu]").getAttribute("hidden"), "");
  await isSound(view);
});

for (const theme of /** @type {const} */ (["light", "dark"])) {
  test(`axe objects to nothing about time, in the ${theme} theme`, async () => {
    const { page } = await world.open("/studies/gpus/time", { colorScheme: theme, bypassCSP: true });
    await page.locator(".time .table tr[data-id]").first().waitFor();
    await page.getByRole("table", { name: "Budgets" }).waitFor();
    assert.deepEqual(await violations(page), []);
    await page.context().close();
  });
}
