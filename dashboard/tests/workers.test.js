// Machines: what is in use on them and by which trial, what waits for a place and why; and what a trial has used.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually, isSound, script, violations, World } from "./support.js";

/** @type {World} */
let world;
/** Trials end when it is there. */
let end = "";

before(async () => {
  world = await World.start({ flags: ["--fake-gpus", "2", "--gpus", "all"] });
  end = join(world.folder, "end");
  const program = script(world, "wait.sh", `echo '{"step": 1, "loss": 0.5}'\nwhile [ ! -e "${end}" ]; do sleep 0.1; done\n`);
  const trial = { command: ["/bin/sh", program], metrics: { stdoutJson: {} }, resources: { gpus: 1 } };
  await world.ownStudy("busy", { budget: { trials: "3", parallel: 3 }, trial });
  await eventually("two trials run and one waits", async () => {
    const { studies = [] } = await world.call("GET", "/v1/queue");
    assert.deepEqual([studies[0]?.study, studies[0]?.waiting, studies[0]?.running], ["studies/busy", 1, 2]);
  });
});
after(async () => {
  if (end && !existsSync(end)) writeFileSync(end, "");
  await world.stop();
});

test("a machine shows what is in use and by which trial, and what waits for a place", async () => {
  const view = await world.open("/workers", { bypassCSP: true });
  const { page } = view;
  const gpus = page.getByRole("table", { name: "GPUs of machine-1" });
  for (const index of [0, 1]) {
    await gpus.getByRole("meter", { name: `GPU ${index} busy` }).and(page.locator('[aria-valuenow="75"]')).waitFor();
    await gpus.getByRole("meter", { name: `Memory of GPU ${index}` }).and(page.locator('[aria-valuetext="6.0\u202fGiB of 16\u202fGiB"]')).waitFor();
  }
  assert.deepEqual((await gpus.getByRole("link").allInnerTexts()).sort(), ["busy / 1", "busy / 2"]);
  await page.getByRole("meter", { name: "Processor" }).waitFor();
  await page.getByText(/^connected \d+ \w+ \d{4}/).waitFor();
  assert.match((await page.getByRole("meter", { name: "Memory", exact: true }).getAttribute("aria-valuetext")) ?? "", /[MG]iB of .*GiB/);
  const queue = page.getByRole("region", { name: "Waiting for a place" });
  assert.match(await queue.innerText(), /busy\s+1\s+2\s+1\s+all 2 slots of the one worker that would fit are busy/);
  assert.deepEqual(await violations(page), []);
  await queue.getByRole("link", { name: "busy" }).click();
  await page.getByRole("heading", { level: 1, name: "busy" }).waitFor();
  await isSound(view);
});

test("a trial shows what it uses while it runs, and has used in the end", async () => {
  const view = await world.open("/studies/busy/trials/1");
  const { page } = view;
  const use = page.getByRole("region", { name: "Use of the machine" });
  for (const what of [/^GPU busy: 75\s%/, /^GPU memory: 6\.0\sGiB/, /^Processor: /, /^Memory: .*iB/]) await use.getByRole("img", { name: what }).locator("canvas").first().waitFor();
  writeFileSync(end, "");
  await world.untilDone("busy");
  await page.getByText("Completed").first().waitFor();
  await use.getByRole("img", { name: /^GPU busy: 75\s%/ }).waitFor();
  const { trial } = await world.call("GET", "/v1/studies/busy/trials/1");
  assert.ok(trial.attempts[0].usage.seconds.length > 0);
  await isSound(view);
  // Nothing waits any more, and GPUs are free.
  const after = await world.open("/workers");
  await after.page.getByRole("table", { name: "GPUs of machine-1" }).getByText("free").nth(1).waitFor();
  assert.equal(await after.page.getByRole("region", { name: "Waiting for a place" }).count(), 0);
  await isSound(after);
});
