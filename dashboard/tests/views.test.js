// The views of a study of real trainings: what they show, where they lead, what they save.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isSound, saved, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start();
  await world.digitsStudy("digits", 8);
  await world.untilDone("digits");
});
after(() => world.stop());

test("the list of studies shows how far and how good each is and leads to it", async () => {
  const view = await world.open("/");
  const { page } = view;
  const row = page.getByRole("row", { name: /digits/ });
  await row.getByText("8 of 8").waitFor();
  assert.match(await row.innerText(), /small networks read digits[\s\S]*Done[\s\S]*val_acc/);
  const { study } = await world.call("GET", "/v1/studies/digits");
  assert.match(await row.innerText(), new RegExp(String(Number(study.best.value.toPrecision(4)))));
  await row.locator(".spark circle").waitFor();
  await row.click();
  await page.getByRole("heading", { level: 1, name: "digits" }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/studies/digits");
  await page.goBack();
  await row.waitFor();
  await isSound(view);
});

test("all studies of the list have a picture of how their best values came about", async () => {
  const names = ["one", "two", "three", "four", "five", "six"];
  for (const name of names) {
    await world.ownStudy(name, { budget: { trials: "4" } });
    for (const value of [0.5, 0.25]) await world.call("POST", `/v1/${(await world.call("POST", `/v1/studies/${name}/ask`, { client: "test" })).trials[0].trial.name}/tell`, { value });
  }
  const { trial } = (await world.call("POST", "/v1/studies/six/ask", { client: "test" })).trials[0];
  await world.call("POST", `/v1/${trial.name}/tell`, { failed: true });
  const view = await world.open("/");
  const { page } = view;
  for (const name of names) await page.getByRole("row", { name: new RegExp(`^Tick ${name} `) }).locator(".spark circle").waitFor();
  // As long as the budget: half of it is used, and the rest is empty.
  const shares = await page.getByRole("row", { name: /^Tick six / }).locator(".states span").evaluateAll((parts) => parts.map((part) => [part.className, /** @type {HTMLElement} */ (part).style.flexGrow]));
  assert.deepEqual(shares, [["tone-good", "2"], ["tone-bad", "1"], ["missing", "1"]]);
  await isSound(view);
});

test("a study shows its charts and its trials, sorted and filtered by an address that can be sent", async () => {
  const view = await world.open("/studies/digits");
  const { page } = view;
  const rows = page.locator(".trials tbody tr[data-id]");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 8);
  for (const title of ["Best so far", "Learning curves"]) {
    const plot = page.getByRole("img", { name: new RegExp(`^${title}: .*val_acc`) });
    await plot.locator("canvas").first().waitFor();
  }
  await page.getByRole("columnheader", { name: "val_acc" }).getByRole("button").click();
  const values = await page.locator(".trials tbody tr[data-id] td:nth-child(3)").allInnerTexts();
  assert.deepEqual(values, [...values].sort((a, b) => Number(b) - Number(a)));
  const { study } = await world.call("GET", "/v1/studies/digits");
  const completed = page.getByRole("button", { name: /^Completed/ });
  await completed.click();
  await page.waitForFunction((count) => document.querySelectorAll(".trials tbody tr[data-id]").length === count, Number(study.counts.completed));
  const address = new URL(page.url());
  assert.deepEqual([address.searchParams.get("sort"), address.searchParams.get("down"), address.searchParams.get("state")], ["value", "1", "COMPLETED"]);
  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.locator(".trials tbody tr[data-id]").first().waitFor();
  assert.equal(await other.locator(".trials tbody tr[data-id]").count(), Number(study.counts.completed));
  await page.getByText("Columns").click();
  await page.getByRole("checkbox", { name: "Reason" }).check();
  await page.getByRole("columnheader", { name: "Reason" }).waitFor();
  assert.match(page.url(), /columns=/);
  await isSound(view);
});

test("a chart tells which trial is under the pointer, zooms, and is saved as PNG, SVG and CSV", async () => {
  const view = await world.open("/studies/digits");
  const { page } = view;
  const chart = page.locator("figure").filter({ hasText: "Learning curves" });
  const plot = chart.locator(".plot");
  await plot.locator("canvas").first().waitFor();
  const box = await plot.boundingBox();
  assert.ok(box);
  // Somewhere along the middle there is a curve.
  for (let y = 20; y < box.height - 40 && (await chart.locator(".tip").isHidden()); y += 8) await page.mouse.move(box.x + box.width / 2, box.y + y);
  assert.match(await chart.locator(".tip").innerText(), /Trial \d+[\s\S]*val_acc[\s\S]*epoch/);
  await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 160, { steps: 4 });
  await page.mouse.up();
  await chart.getByRole("button", { name: "Show all" }).click();
  await chart.getByRole("button", { name: "Show all" }).waitFor({ state: "hidden" });
  const png = await saved(page, "Save “Learning curves” as PNG");
  assert.equal(png.name, "learning-curves.png");
  assert.deepEqual([...png.content.subarray(1, 4)], [..."PNG"].map((letter) => letter.charCodeAt(0)));
  const svg = await saved(page, "Save “Learning curves” as SVG");
  assert.match(svg.content.toString(), /^<svg [\s\S]*epoch/);
  const csv = (await saved(page, "Save “Best so far” as CSV")).content.toString().trim().split("\r\n");
  assert.equal(csv[0], "trial,ended,ended_at,state,val_acc,best_so_far");
  const { study } = await world.call("GET", "/v1/studies/digits");
  const { completed = 0, earlyStopped = 0 } = study.counts;
  assert.equal(csv.length - 1, Number(completed) + Number(earlyStopped));
  await isSound(view);
});

test("a trial shows its parameters, its curve, its log and where it came from, and can be noted and tried again", async () => {
  const view = await world.open("/studies/digits/trials/2");
  const { page } = view;
  const side = page.getByRole("complementary");
  await side.getByText("Proposed by sobol").waitFor();
  const { trial } = await world.call("GET", "/v1/studies/digits/trials/2");
  assert.match(await side.innerText(), new RegExp(`activation\\s+${trial.parameters.activation}`));
  await side.getByText("machine-1").waitFor();
  await page.getByRole("log").getByText('"val_acc"').waitFor();
  await page.getByRole("img", { name: /^val_acc: \d points/ }).locator("canvas").first().waitFor();
  await side.getByRole("button", { name: "Add…" }).click();
  await page.getByRole("textbox", { name: "Note" }).fill("looks fine");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await side.getByText("looks fine").waitFor();
  assert.equal((await world.call("GET", "/v1/studies/digits/trials/2")).trial.note, "looks fine");
  // A study that has ended refuses; the coordinator's own words are shown.
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".message.failed").waitFor();
  await page.getByRole("link", { name: "digits" }).click();
  await page.getByRole("heading", { level: 1, name: "digits" }).waitFor();
  await isSound(view);
});

test("what does not exist is said so, with a way back", async () => {
  const view = await world.open("/studies/nothing");
  await view.page.getByRole("alert").filter({ hasText: "nothing" }).waitFor();
  await view.page.getByRole("link", { name: "Studies" }).first().click();
  await view.page.getByRole("row", { name: /digits/ }).waitFor();
  await view.page.goto(`${world.url}/studies/digits/trials/99`);
  await view.page.getByRole("alert").filter({ hasText: "99" }).waitFor();
  await view.page.goto(`${world.url}/nowhere/at/all`);
  await view.page.getByText("There is no such page").waitFor();
  await isSound(view);
});

test("a worker is drained and taken back", async () => {
  const view = await world.open("/workers");
  const { page } = view;
  await page.getByRole("heading", { name: "machine-1" }).waitFor();
  await page.getByText("0 of 2 slots in use").waitFor();
  await page.getByRole("button", { name: "Drain…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Drain" }).click();
  await page.getByText("Draining").waitFor();
  assert.equal((await world.call("GET", "/v1/workers/machine-1")).worker.state, "WORKER_STATE_DRAINING");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Drain…" }).waitFor();
  await isSound(view);
});
