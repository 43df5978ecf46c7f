// What is done to trials: added, changed, noted and tagged where they are, ticked, compared. And studies side by side, and by project.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ worker: false });
  await world.ownStudy("first", { space: [{ name: "x", type: "float", low: 0, high: 1 }, { name: "kind", type: "categorical", choices: ["a", 1, true] }, { name: "depth", type: "int", low: 1, high: 4, when: [{ parent: "kind", values: ["a"] }] }] });
  for (const [x, value] of [[0.25, 4], [0.5, 2], [0.75, 3]]) {
    const { trial } = await world.call("POST", "/v1/studies/first/trials", { parameters: { x, kind: 1 }, result: { value, points: { metrics: ["loss"], metric: [0, 0], step: ["1", "2"], value: [value * 2, value] } } });
    assert.ok(trial.number);
  }
  await world.ownStudy("second", { project: "vision", message: EVIL });
  await world.call("POST", "/v1/studies/second/trials", { parameters: { x: 0.5 }, result: { value: 1.5 } });
  await world.ownStudy("third", { project: "vision" });
});
after(() => world.stop());

/** @param {string} study @param {number} trial */
const trialOf = async (study, trial) => (await world.call("GET", `/v1/studies/${study}/trials/${trial}`)).trial;

test("a trial is added by hand, and another one like it with changes", async () => {
  const view = await world.open("/studies/first");
  const { page } = view;
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: "Add trial…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("x", { exact: true }).fill("7");
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await eventually("it is refused at its field", async () => assert.equal(await dialog.getByLabel("x", { exact: true }).getAttribute("aria-invalid"), "true"));
  await dialog.getByLabel("x", { exact: true }).fill("0.125");
  // A parameter that does not exist with these values is not asked for.
  await dialog.getByLabel("kind").selectOption({ label: "true" });
  assert.equal(await dialog.getByLabel("depth").isVisible(), false);
  await dialog.getByLabel("kind").selectOption({ label: "a" });
  await dialog.getByLabel("depth").fill("3");
  await dialog.getByLabel("Note").fill("a guess");
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await page.getByRole("heading", { level: 1, name: "Trial 4" }).waitFor();
  const added = await trialOf("first", 4);
  assert.deepEqual([added.parameters, added.note, added.provenance.origin], [{ x: 0.125, kind: "a", depth: 3 }, "a guess", "manual"]);
  await page.getByRole("button", { name: "With changes…" }).click();
  assert.equal(await dialog.getByLabel("x", { exact: true }).inputValue(), "0.125");
  await dialog.getByLabel("depth").fill("2");
  await dialog.getByRole("button", { name: "Add trial" }).click();
  await page.getByRole("heading", { level: 1, name: "Trial 5" }).waitFor();
  assert.deepEqual((await trialOf("first", 5)).parameters, { x: 0.125, kind: "a", depth: 2 });
  await isSound(view);
});

test("notes and tags are edited where they are, with two clicks or by keyboard, and tags are searched", async () => {
  const view = await world.open("/studies/first");
  const { page } = view;
  const row = (/** @type {number} */ number) => page.locator(`.trials tbody tr[data-id='${number}']`);
  await row(1).waitFor();
  await page.keyboard.press("t");
  await page.keyboard.press("End");
  await page.keyboard.press("n");
  await page.getByLabel("Note on trial 1").fill("noted by keyboard");
  await page.keyboard.press("Enter");
  await row(1).getByText("noted by keyboard").waitFor();
  assert.equal((await trialOf("first", 1)).note, "noted by keyboard");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("data-id")), "1", "the row has the keyboard again");
  await page.keyboard.press("l");
  await page.getByLabel("Tags of trial 1, separated by commas").fill(`good, ${EVIL.replaceAll(",", "").replaceAll("\u202e", "").slice(0, 60)}`);
  await page.keyboard.press("Enter");
  await row(1).locator(".tag").first().getByText("good").waitFor();
  assert.equal((await trialOf("first", 1)).tags.length, 2);
  // Escape keeps what was.
  await row(2).locator("td[data-edit=note]").dblclick();
  await page.getByLabel("Note on trial 2").fill("never mind");
  await page.keyboard.press("Escape");
  await row(2).locator("td[data-edit=tags]").dblclick();
  await page.getByLabel(/^Tags of trial 2/).fill("good");
  await page.getByLabel("Search trials").click();
  await row(2).locator(".tag").waitFor();
  assert.deepEqual([(await trialOf("first", 2)).note ?? "", (await trialOf("first", 2)).tags], ["", ["good"]]);
  // Too much is refused, and what was there stays.
  await row(3).locator("td[data-edit=tags]").dblclick();
  await page.getByLabel(/^Tags of trial 3/).fill("x".repeat(65));
  await page.keyboard.press("Enter");
  await page.locator(".message.failed").getByText("64 characters").waitFor();
  assert.equal(await row(3).locator(".tag").count(), 0);
  await page.getByLabel("Search trials").fill("tag:good");
  await eventually("only those that are tagged are shown", async () => assert.equal(await page.locator(".trials tbody tr[data-id]").count(), 2));
  assert.equal(new URL(page.url()).pathname, "/studies/first", "nothing was opened");
  await isSound(view);
});

test("trials that are ticked are tagged and compared, what differs and what is best is seen", async () => {
  const view = await world.open("/studies/first");
  const { page } = view;
  await page.getByLabel("Tick trial 3").check();
  await page.keyboard.press("t");
  await page.keyboard.press("End");
  await page.keyboard.press(" ");
  await page.getByLabel("Tick trial 2").check();
  const ticked = page.getByRole("group", { name: "Ticked trials" });
  await ticked.getByText("3 trials ticked").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("chosen"), "3,1,2");
  await ticked.getByRole("button", { name: "Tag…" }).click();
  await page.getByLabel("Tags, separated by commas").fill("compared");
  await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
  await eventually("all are tagged", async () => {
    for (const number of [1, 2, 3]) assert.ok((await trialOf("first", number)).tags.includes("compared"));
  });
  await page.reload();
  await ticked.getByRole("button", { name: "Compare (3)" }).click();
  await page.getByRole("heading", { level: 1, name: "Compare 3 trials" }).waitFor();
  assert.equal(new URL(page.url()).search, "?trials=1%2C2%2C3".replaceAll("%2C", ","));
  await page.getByRole("img", { name: /^Curves: loss: Trial 1 4, Trial 2 2, Trial 3 3/ }).locator("canvas").first().waitFor();
  const row = (/** @type {string} */ name) => page.locator(".side-by-side tr").filter({ has: page.getByRole("rowheader", { name, exact: true }) });
  assert.deepEqual(await row("loss").locator("td").allInnerTexts(), ["4", "2", "3"]);
  assert.deepEqual(await row("loss").locator("td.best").allInnerTexts(), ["2"]);
  assert.equal(await row("x").getAttribute("class"), "differs");
  assert.equal(await row("kind").getAttribute("class"), "same");
  await page.getByLabel("Only differences").check();
  await eventually("what is the same is gone", async () => assert.equal(await row("kind").count(), 0));
  assert.equal(await row("x").count(), 1);
  await page.getByRole("button", { name: "Leave out trial 1" }).click();
  await page.getByRole("heading", { level: 1, name: "Compare 2 trials" }).waitFor();
  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.getByRole("heading", { level: 1, name: "Compare 2 trials" }).waitFor();
  assert.equal(await other.getByLabel("Only differences").isChecked(), true);
  await page.goto(`${world.url}/studies/first/compare?trials=1`);
  await page.getByText("Choose at least two trials").waitFor();
  await page.goto(`${world.url}/studies/first/compare?trials=1,2,99`);
  await page.getByRole("heading", { level: 1, name: "Compare 2 trials" }).waitFor();
  await isSound(view);
});

test("trials that are ticked are stopped after a question", async () => {
  const view = await world.open("/studies/first");
  const { page } = view;
  await page.getByLabel("Tick trial 4").check();
  await page.getByLabel("Tick trial 1").check();
  await page.getByRole("group", { name: "Ticked trials" }).getByRole("button", { name: "Stop…" }).click();
  assert.match(await page.getByRole("dialog").innerText(), /Stop 1 trial\?/);
  await page.getByRole("button", { name: "Stop them" }).click();
  await eventually("it is stopped", async () => assert.equal((await trialOf("first", 4)).state, "TRIAL_STATE_CANCELLED"));
  await isSound(view);
});

test("studies are compared and listed by project", async () => {
  const view = await world.open("/");
  const { page } = view;
  await page.getByLabel("Tick first").check();
  await page.getByLabel("Tick second").check();
  await page.getByRole("button", { name: "Compare (2)" }).click();
  await page.getByRole("heading", { level: 1, name: "Compare 2 studies" }).waitFor();
  await page.getByRole("img", { name: /^Best so far: loss: first 2, second 1.5/ }).locator("canvas").first().waitFor();
  assert.deepEqual(await page.locator(".side-by-side td.best").allInnerTexts(), ["1.5"]);
  await page.getByLabel("Best so far against").selectOption("time");
  assert.match(page.url(), /by=time/);
  await page.goto(`${world.url}/`);
  await page.getByLabel("By project").check();
  await page.getByRole("region", { name: "vision" }).getByRole("row", { name: /third/ }).waitFor();
  assert.equal(await page.getByRole("region", { name: "No project" }).getByRole("row", { name: /first/ }).count(), 1);
  assert.equal(await page.getByRole("region", { name: "vision" }).getByRole("row", { name: /first/ }).count(), 0);
  await page.getByRole("region", { name: "vision" }).getByRole("link", { name: "vision" }).click();
  await eventually("only its studies are shown", async () => assert.equal(await page.locator("tbody tr[data-id]").count(), 2));
  assert.equal(new URL(page.url()).search, "?project=vision");
  await isSound(view);
});
