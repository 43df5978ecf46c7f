// What happens is seen at once, also after the coordinator was away; what is dangerous is asked about.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, isSound, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ worker: false });
});
after(() => world.stop());

/**
 * @param {string} study
 * @returns {Promise<{name: string, number: string}>}
 */
async function ask(study) {
  return (await world.call("POST", `/v1/studies/${study}/ask`, { client: "test" })).trials[0].trial;
}

/**
 * @param {{name: string}} trial
 * @param {number} step
 * @param {number} value
 */
const report = (trial, step, value) => world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["loss"], metric: [0], step: [String(step)], value: [value] } });

test("a value that a trial reports is on the open pages of its study and of itself", async () => {
  await world.ownStudy("live");
  const first = await ask("live");
  await report(first, 1, 0.5);
  const study = await world.open("/studies/live");
  const cell = study.page.locator(".trials tbody tr[data-id='1'] td:nth-child(3)");
  await cell.getByText("0.5", { exact: true }).waitFor();
  const trial = await world.open("/studies/live/trials/1");
  await trial.page.getByRole("complementary").getByText("0.5", { exact: true }).waitFor();
  await study.page.locator(".health.live").waitFor();
  await trial.page.locator(".health.live").waitFor();
  await report(first, 2, 0.375);
  await cell.getByText("0.375", { exact: true }).waitFor();
  await trial.page.getByRole("complementary").getByText("0.375", { exact: true }).waitFor();
  await trial.page.getByRole("img", { name: /2 points, the last 0.375 at step 2/ }).waitFor();
  // A new trial appears; one that ends is in the chart of best values.
  const second = await ask("live");
  await study.page.locator(".trials tbody tr[data-id='2']").waitFor();
  await world.call("POST", `/v1/${second.name}/tell`, { value: 0.25 });
  await study.page.getByRole("img", { name: /^Best so far: loss 0.25 by trial 2, after 1 trial;/ }).waitFor();
  await world.call("POST", `/v1/${first.name}/tell`, {});
  await study.page.getByRole("img", { name: /^Best so far: loss 0.25 by trial 2, after 2 trials; 1 improvement/ }).waitFor();
  const list = await world.open("/");
  await list.page.getByRole("row", { name: /live/ }).getByText("0.25", { exact: true }).waitFor();
  await world.call("POST", `/v1/${(await ask("live")).name}/tell`, { value: 0.125 });
  await list.page.getByRole("row", { name: /live/ }).getByText("0.125", { exact: true }).waitFor();
  for (const view of [study, trial, list]) await isSound(view);
});

test("a page says when the coordinator is away, and goes on when it is back", async () => {
  await world.ownStudy("again");
  const trial = await ask("again");
  await report(trial, 1, 3);
  const study = await world.open("/studies/again");
  const list = await world.open("/");
  await study.page.locator(".health.live").waitFor();
  await list.page.getByRole("row", { name: /again/ }).waitFor();
  await world.coordinator?.stop("SIGKILL");
  for (const { page } of [study, list]) {
    await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    await page.locator(".health.away").waitFor();
  }
  // What was seen stays.
  assert.equal(await study.page.locator(".trials tbody tr[data-id='1']").count(), 1);
  await world.startCoordinator(new URL(world.url).host);
  await report(trial, 2, 1.75);
  for (const { page } of [study, list]) await page.locator(".health.live").waitFor();
  // Nobody has to sign in again.
  await study.page.locator(".trials tbody tr[data-id='1'] td:nth-child(3)").getByText("1.75", { exact: true }).waitFor();
  await report(trial, 3, 1.5);
  await study.page.locator(".trials tbody tr[data-id='1'] td:nth-child(3)").getByText("1.5", { exact: true }).waitFor();
  for (const view of [study, list]) await isSound(view);
});

test("a study is paused, resumed, described and stopped, and only stopped after a question", async () => {
  await world.ownStudy("steer");
  const trial = await ask("steer");
  const view = await world.open("/studies/steer");
  const { page } = view;
  const state = async () => (await world.call("GET", "/v1/studies/steer")).study.state;
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal(await state(), "STUDY_STATE_PAUSED");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: "Message…" }).click();
  await page.getByRole("textbox", { name: "Message" }).fill("for the paper");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.locator(".lead").getByText("for the paper").waitFor();
  await page.getByRole("button", { name: "Stop…" }).click();
  const dialog = page.getByRole("dialog");
  assert.match(await dialog.innerText(), /Stop steer\?[\s\S]*1 running trial is cancelled/);
  // The harmless answer has the keyboard, and Escape is one, too.
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Cancel");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal(await state(), "STUDY_STATE_ACTIVE");
  await page.getByRole("button", { name: "Stop…" }).click();
  await dialog.getByRole("button", { name: "Stop the study" }).click();
  // Whoever runs its trial hears of it with the next report, and lets it go.
  await eventually("the trial is to stop", async () => assert.equal((await report(trial, 1, 1)).shouldStop, true));
  await world.call("POST", `/v1/${trial.name}/tell`, {});
  await page.locator(".title-row .state").getByText("Stopped").waitFor();
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("button", { name: "Delete for good" }).click();
  await page.getByRole("heading", { name: "Studies" }).waitFor();
  await eventually("the study is gone", async () => assert.equal(await page.getByRole("row", { name: /steer/ }).count(), 0));
  await isSound(view);
});

test("signing in takes a user's token, which no script can read afterwards", async () => {
  await world.ownStudy("door");
  const view = await world.open("/studies/door", { signedIn: false });
  const { page } = view;
  await page.getByLabel("Token").fill("ts_user_000000000000_nonsense");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").getByText("this token is unknown").waitFor();
  await page.getByLabel("Token").fill(world.token);
  await page.keyboard.press("Enter");
  // At the address that was asked for.
  await page.getByRole("heading", { level: 1, name: "door" }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, location.href]));
  assert.ok(!kept.includes(world.token.slice(-20)), kept);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  await page.goto(`${world.url}/#token=${world.token}`);
  await page.getByRole("heading", { name: "Studies" }).waitFor();
  assert.equal(new URL(page.url()).hash, "");
  await isSound(view);
});

test("a study of more trials than are read at once shows all of them page by page", async () => {
  await world.ownStudy("many", { budget: { trials: "5200" } });
  for (let left = 5_100; left > 0; ) {
    const { trials } = await world.call("POST", "/v1/studies/many/ask", { count: Math.min(100, left) });
    await Promise.all(trials.map((/** @type {any} */ { trial }) => world.call("POST", `/v1/${trial.name}/tell`, { value: trial.parameters.x })));
    left -= trials.length;
  }
  const view = await world.open("/studies/many?sort=value");
  const { page } = view;
  await page.getByText(/^5100 trials: newest, oldest or best first/).waitFor();
  const table = page.locator(".trials .table");
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  assert.ok((await page.locator(".trials tbody tr[data-id]").count()) < 100, "rows that nobody sees do not exist");
  const best = (await world.call("GET", "/v1/studies/many")).study.best.number;
  assert.equal(await page.locator(".trials tbody tr[data-id]").first().getAttribute("data-id"), best);
  // The end of what was read brings more.
  await eventually("more than two pages were read", async () => {
    await table.evaluate((node) => (node.scrollTop = node.scrollHeight));
    const last = page.locator(".trials tbody tr[data-id]").last();
    assert.ok(Number(await last.getAttribute("aria-rowindex")) > 500);
  });
  const begins = (/** @type {string} */ what, /** @type {string} */ number) =>
    eventually(what, async () => {
      await table.evaluate((node) => (node.scrollTop = 0));
      assert.equal(await page.locator(".trials tbody tr[data-id]").first().getAttribute("data-id"), number);
    });
  const byNumber = page.getByRole("columnheader", { name: "Trial" }).getByRole("button");
  await byNumber.click();
  await begins("the newest first", "5100");
  await world.call("POST", "/v1/studies/many/ask", { count: 1 });
  await begins("one that is newer still", "5101");
  await byNumber.click();
  await begins("the oldest first", "1");
  await isSound(view);
});
