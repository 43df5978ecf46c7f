// The part "Training" of a study's page: what its rules stop, which trials go on from rung to rung, and which take the place of others.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, saved, script, violations, World } from "./support.js";

/** @type {World} */
let world;
const digits = (/** @type {string[]} */ ...more) => ({ command: ["digits", "--copies=6", "--epochs={until}", ...more, "{args}"], metrics: { stdoutJson: {} }, steps: { name: "epoch", max: "9" }, grace: "20s" });
const lr = { name: "lr", type: "float", low: 1e-4, high: 1, scale: "log" };
const accuracy = { metric: "val_acc", goal: "GOAL_MAXIMIZE", from: "best" };

before(async () => {
  world = await World.start();
  await world.ownStudy("rules", { objective: accuracy, space: [lr], strategy: { name: "sobol", seed: "3" }, budget: { trials: "14", parallel: 2 }, trial: digits(), earlyStopping: [{ rule: "median", warmupSteps: "2", minTrials: 3 }, { rule: "percentile", keep: 25, minTrials: 3, shadow: true }] });
  await world.ownStudy("halving", { objective: accuracy, space: [lr], strategy: { name: "asha", seed: "7" }, budget: { trials: "12" }, trial: digits() });
  await world.ownStudy("population", {
    objective: { metric: "val_loss", goal: "GOAL_MINIMIZE" },
    space: [lr, { name: "momentum", type: "float", low: 0.5, high: 0.99, scale: "reverse_log" }, { name: "activation", type: "categorical", choices: ["relu", "tanh"] }],
    strategy: { name: "pbt", seed: "5", population: 8, interval: "2", vary: ["lr", "momentum"] },
    trial: { ...digits("--checkpoint-every=1"), steps: { name: "epoch", max: "10" } },
  });
});
after(() => world.stop());

/** @param {import("playwright-core").Page} page @param {string} table @param {string | RegExp} row */
const cells = (page, table, row) => page.getByRole("table", { name: table }).getByRole("row", { name: row }).getByRole("cell").allInnerTexts();

/** @param {unknown} value a number as the page writes it */
const four = (value) => String(Number(Number(value).toPrecision(4)));

test("of each rule it is told what it stopped, and what it saves and loses on what is stored", async () => {
  const study = await world.untilDone("rules");
  const view = await world.open("/studies/rules/training");
  const { page } = view;
  for (const [index, name] of ["median", "percentile"].entries()) {
    const tried = await world.call("POST", "/v1/studies/rules/backtest", { earlyStopping: [study.spec.earlyStopping[index]] });
    assert.ok(tried.stops.length > 0, `${name} stops something`);
    await eventually(`${name} is judged`, async () => {
      const [, , stops, steps, , lost] = await cells(page, "Rules", new RegExp(name));
      assert.deepEqual([stops, steps], [`${tried.stops.length} of ${tried.trials}`, tried.stepsSaved]);
      assert.equal(lost, `${four(tried.bestLost.value)}, number ${tried.bestLostRank} of ${tried.ranked}`);
    });
  }
  await eventually("what was really stopped is read", async () => assert.deepEqual((await cells(page, "Rules", /median/)).slice(0, 2), [study.counts.earlyStopped, study.stepsSaved ?? "0"]));
  assert.deepEqual((await cells(page, "Rules", /percentile/)).slice(0, 2), ["–", "–"], "a rule that only notes stops nothing");
  assert.match(await page.getByRole("rowheader", { name: /percentile/ }).innerText(), /only notes/);
  // Every judgement is there, and leads to its trial.
  let judgements = 0;
  for (let number = 1; number <= 14; number += 1) judgements += (await world.call("GET", `/v1/studies/rules/trials/${number}`)).trial.decisions?.length ?? 0;
  const rows = page.getByRole("table", { name: "Judgements" }).locator("tbody tr[data-id]");
  await eventually("all judgements are read", async () => assert.equal(await rows.count(), judgements));
  const { trial } = await world.call("GET", `/v1/studies/rules/trials/${(await rows.first().locator("td").first().innerText()).trim()}`);
  const texts = await rows.first().locator("td").allInnerTexts();
  assert.ok(trial.decisions.some((/** @type {any} */ { text, value, reference }) => text === texts[6] && four(value) === texts[4] && four(reference) === texts[5]), texts.join());
  await rows.first().click();
  await page.getByRole("heading", { level: 1, name: `Trial ${trial.number}` }).waitFor();
  await isSound(view);
});

test("another rule is tried, and what is wrong with it is said where it is written", async () => {
  const view = await world.open("/studies/rules/training");
  const { page } = view;
  const field = page.getByRole("textbox");
  await page.getByLabel("Rule", { exact: true }).selectOption("median");
  await field.fill("warmup_steps=1 min_trials=4");
  await field.press("Enter");
  const tried = await world.call("POST", "/v1/studies/rules/backtest", { earlyStopping: [{ rule: "median", warmupSteps: "1", minTrials: 4 }] });
  await page.getByText(`${tried.stops.length} of ${tried.trials} trials with points would have been stopped`).waitFor();
  await page.getByText(`Saved: ${tried.stepsSaved} of ${tried.steps} epochs`).waitFor();
  assert.equal(await page.getByRole("table", { name: "Trials that would have been stopped" }).locator("tbody tr").count(), tried.stops.length);
  assert.match(page.url(), /rule=median/);
  // The address asks the same again.
  await page.reload();
  await page.getByText(`Saved: ${tried.stepsSaved} of ${tried.steps} epochs`).waitFor();
  for (const [text, problem] of [
    ["warmup", "write key=value"],
    ["warmup_steps=-4", "warmup_steps"],
    [`metric=${EVIL.replaceAll(/[\s,]/g, "")}`, "metric"],
  ]) {
    await field.fill(text);
    await field.press("Enter");
    await page.getByRole("alert").filter({ hasText: problem }).waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
    assert.equal(await field.evaluate((node) => node === document.activeElement), true);
  }
  await isSound(view);
});

test("a trial tells with whose training it began, what it came to at rungs, and which checkpoint it has", async () => {
  await world.untilDone("population");
  const { trials } = await world.call("GET", "/v1/studies/population/trials");
  const child = trials.find((/** @type {any} */ { parent, checkpoint }) => parent?.replaces && parent.changed?.length && checkpoint);
  assert.ok(child, "somebody began with another's training");
  const view = await world.open(`/studies/population/trials/${child.number}`);
  const { page } = view;
  const training = page.locator("section").filter({ has: page.getByRole("heading", { name: "Training", exact: true }) }).last();
  const row = (/** @type {string} */ name) => training.locator("dl > div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");
  await training.waitFor();
  assert.equal(await row("Began with").innerText(), `trial ${child.parent.trial} at epoch ${child.parent.step}, ${four(child.parent.value)}`);
  assert.equal(await row("In the place of").innerText(), `trial ${child.parent.replaces}`);
  for (const { name } of child.parent.changed) assert.match(await row(name).innerText(), /^\S+ \u2192 \S+$/);
  for (const { rung, value } of child.rungs) assert.equal(await row(`At epoch ${rung}`).innerText(), four(value));
  assert.match(await row("Checkpoint").innerText(), new RegExp(`^epoch ${child.checkpoint.step}, .*B in \\d+ files?$`));
  await row("Began with").getByRole("link").click();
  await page.getByRole("heading", { level: 1, name: `Trial ${child.parent.trial}`, exact: true }).waitFor();
  await isSound(view);
});

test("several rules are tried together", async () => {
  await world.untilDone("rules");
  const view = await world.open("/studies/rules/training?rule=median&with=warmup_steps%3D1&and=threshold%20above%3D0.1");
  const { page } = view;
  const table = page.getByRole("table", { name: "Trials that would have been stopped" });
  const shows = async (/** @type {object[]} */ earlyStopping) => {
    const tried = await world.call("POST", "/v1/studies/rules/backtest", { earlyStopping });
    await page.getByText(`Saved: ${tried.stepsSaved} of ${tried.steps} epochs`).waitFor();
    return tried;
  };
  const median = { rule: "median", warmupSteps: "1" };
  await shows([median, { rule: "threshold", above: 0.1 }]);
  assert.deepEqual([...new Set(await table.locator("tbody tr td:last-child").allInnerTexts())], ["threshold"], "it stops all at once");
  await page.getByRole("button", { name: "And another rule" }).click();
  const third = page.getByRole("group", { name: "Rule 3" });
  await third.getByLabel("Rule", { exact: true }).selectOption("plateau");
  await third.getByRole("textbox").fill("patience=zero");
  await third.getByRole("textbox").press("Enter");
  await page.getByRole("alert").filter({ hasText: "patience has to be a number" }).waitFor();
  assert.equal(await third.getByRole("textbox").getAttribute("aria-invalid"), "true");
  await third.getByRole("textbox").fill("patience=0");
  await page.getByRole("button", { name: "Try them together" }).click();
  await page.getByRole("alert").filter({ hasText: "early_stopping[2]" }).waitFor();
  assert.equal(await third.getByRole("textbox").getAttribute("aria-invalid"), "true");
  await third.getByRole("button", { name: "Leave out" }).click();
  await page.getByRole("group", { name: "Rule 2" }).getByRole("button", { name: "Leave out" }).click();
  await page.getByRole("button", { name: "Try it" }).click();
  const alone = await shows([median]);
  assert.equal(await table.locator("tbody tr").count(), alone.stops.length);
  assert.equal(new URL(page.url()).searchParams.get("and"), null);
  await isSound(view);
});

test("a rule that compares with a baseline is tried against the best trial, another one, and a curve that is written", async () => {
  await world.untilDone("rules");
  const view = await world.open("/studies/rules/training");
  const { page } = view;
  const baseline = page.getByLabel("Baseline", { exact: true });
  const field = page.getByLabel("with", { exact: true });
  const saves = async (/** @type {object} */ rule) => {
    const tried = await world.call("POST", "/v1/studies/rules/backtest", { earlyStopping: [{ rule: "below_baseline", ...rule }] });
    await page.getByText(`${(tried.stops ?? []).length} of ${tried.trials} trials with points would have been stopped`).waitFor();
    if (tried.stops?.length) await page.getByText(`Saved: ${tried.stepsSaved ?? 0} of ${tried.steps} epochs`).waitFor();
    return (tried.stops ?? []).length;
  };
  await page.getByRole("table", { name: "Rules" }).waitFor();
  assert.equal(await baseline.isVisible(), false);
  await page.getByLabel("Rule", { exact: true }).selectOption("below_baseline");
  const { best } = (await world.call("GET", "/v1/studies/rules")).study;
  await eventually("the trials are offered, the best first", async () => assert.equal((await baseline.locator("option").allInnerTexts())[1], `trial ${best.number}, ${four(best.value)}`));
  // The worst of those that were trained to the end stops few, the best many.
  const last = (await baseline.locator("option").evaluateAll((options) => options.map((option) => /** @type {HTMLOptionElement} */ (option).value))).at(-2) ?? "";
  await field.fill("tolerance=0.01");
  await baseline.selectOption(last);
  assert.equal(await field.inputValue(), `trial=${last} tolerance=0.01`);
  await page.getByRole("button", { name: "Try it" }).click();
  const few = await saves({ trial: last, tolerance: 0.01 });
  assert.match(decodeURIComponent(page.url()), new RegExp(`rule=below_baseline&with=trial=${last}\\+tolerance=0\\.01`));
  await baseline.selectOption("curve");
  const text = await field.inputValue();
  assert.match(text, /^curve=1:0\.\d+(,\d+:0\.\d+)* tolerance=0\.01$/);
  const { curves } = await world.call("GET", `/v1/studies/rules/curves?trials=${last}`);
  assert.equal(text.split(" ")[0], `curve=${curves[0].step.map((/** @type {string} */ step, /** @type {number} */ index) => `${step}:${four(curves[0].value[index])}`)}`, "it begins with the curve of the trial that was chosen");
  await field.fill("curve=1:0.6,4:0.9 tolerance=0.02");
  assert.equal(await baseline.inputValue(), "curve");
  await field.press("Enter");
  const many = await saves({ curve: [{ step: "1", value: 0.6 }, { step: "4", value: 0.9 }], tolerance: 0.02 });
  assert.ok(many > few, `${many} ${few}`);
  // The address has it all.
  await page.reload();
  await page.getByText(`${many} of 14 trials with points would have been stopped`).waitFor();
  assert.equal(await baseline.inputValue(), "curve");
  for (const wrong of ["curve=1:0.6,4", "curve=a:1", "curve=1:2:3"]) {
    await field.fill(wrong);
    await field.press("Enter");
    await page.getByRole("alert").filter({ hasText: "is no point of a curve; write step:value" }).waitFor();
  }
  await field.fill("warmup_steps=2,tolerance=0.5");
  await field.press("Enter");
  await saves({ warmupSteps: "2", tolerance: 0.5 });
  await isSound(view);
});

test("rungs show how many trials came to each, went on and rest, as the study counts them", async () => {
  const view = await world.open("/studies/halving/training");
  const { page } = view;
  await world.untilDone("halving");
  const { study } = await world.call("GET", "/v1/studies/halving");
  const steps = study.brackets[0].rungs;
  assert.deepEqual(steps.map((/** @type {{step: string}} */ { step }) => step), ["1", "3"]);
  await eventually("the last trial is there", async () => {
    for (const { step, reached, resting = "0", best } of steps) {
      const row = await cells(page, "Rungs: Trials by rung", new RegExp(`^${step} `));
      assert.deepEqual([row[0], row[2], row[4]], [reached, resting, four(best)]);
    }
    assert.equal((await cells(page, "Rungs: Trials by rung", /^1 /))[1], steps[1].reached, "who went on came to the next rung");
  });
  const rows = (await saved(page, "Save “Trials by rung” as CSV")).content.toString().trim().split("\r\n").map((row) => row.split(","));
  assert.deepEqual(rows[0], ["trial", "state", "epoch", "val_acc", "rank", "went_on"]);
  const wanted = [];
  for (let number = 1; number <= 12; number += 1) {
    const { trial } = await world.call("GET", `/v1/studies/halving/trials/${number}`);
    for (const { rung, value } of trial.rungs) wanted.push(`${number} ${rung} ${value}`);
    if (trial.state === "TRIAL_STATE_COMPLETED") wanted.push(`${number} 9 ${trial.value}`);
  }
  assert.deepEqual(rows.slice(1).map(([trial, , step, value]) => `${trial} ${step} ${value}`).sort(), wanted.sort());
  assert.equal(rows.filter(([, , step, , rank]) => step === "1" && rank === "1").length, 1);
  await page.getByLabel("Trials at rungs by").selectOption("rank");
  assert.match(page.url(), /rungs=rank/);
  await isSound(view);
});

test("a population shows who began with whose training, and the schedule that led to a trial", async () => {
  const { best } = await world.untilDone("population");
  /** @type {Map<string, any>} */
  const trials = new Map((await world.call("GET", "/v1/studies/population/trials?page_size=1000")).trials.map((/** @type {any} */ trial) => [trial.number, trial]));
  const children = [...trials.values()].filter(({ parent }) => parent);
  assert.ok(children.length > 0);
  /** @param {string} number @returns {any[]} */
  const lineOf = (number) => [...(trials.get(number).parent ? lineOf(trials.get(number).parent.trial) : []), trials.get(number)];
  const view = await world.open("/studies/population/training");
  const { page } = view;
  const row = page.getByRole("table", { name: "Line of training" }).locator("tbody tr");
  const shows = async (/** @type {string} */ number) => {
    const line = lineOf(number);
    await page.getByRole("heading", { name: `What led to trial ${number}`, exact: true }).waitFor();
    assert.deepEqual(await row.locator("th").allInnerTexts(), line.map((trial) => trial.number));
    for (const [index, { parent, lastStep, value }] of line.entries()) {
      const next = line[index + 1]?.parent;
      const [from, to, came, changed] = await row.nth(index).locator("td").allInnerTexts();
      assert.deepEqual([from, to, came], [parent?.step ?? "0", next?.step ?? lastStep, four(next?.value ?? value)]);
      for (const { name } of parent?.changed ?? []) assert.ok(changed.includes(`${name} `), changed);
    }
  };
  await shows(best.number);
  await page.getByText(`${children.length} trial${children.length === 1 ? "" : "s"} began with another's training`).waitFor();
  // Another line, by keyboard, and a parameter; both stand in the address.
  const child = children.sort((a, b) => lineOf(b.number).length - lineOf(a.number).length).find(({ number }) => number !== best.number && !children.some(({ parent }) => parent.trial === number)) ?? children[0];
  await page.getByLabel("Highlighted line").selectOption(child.number);
  await page.getByLabel("Lines of training by").selectOption("momentum");
  await shows(child.number);
  await page.getByRole("img", { name: new RegExp(`^Lines of training: momentum of ${trials.size} trials; the line of trial ${child.number} goes through .*${child.parent.trial}, ${child.number}$`) }).waitFor();
  await page.reload();
  await shows(child.number);
  assert.equal(await page.getByLabel("Lines of training by").inputValue(), "momentum");
  const rows = (await saved(page, "Save “Lines of training” as CSV")).content.toString().trim().split("\r\n").map((line) => line.split(","));
  assert.deepEqual(
    rows.slice(1).map(([trial, , parent, from]) => [trial, parent, from].join()).sort(),
    [...trials.values()].map(({ number, parent }) => [number, parent?.trial ?? "", parent?.step ?? 0].join()).sort(),
  );
  // A click in the chart chooses the line that is there.
  const figure = page.locator("figure");
  const box = await figure.locator(".plot").boundingBox();
  assert.ok(box);
  await figure.locator("canvas").first().waitFor();
  for (let y = 10; y < box.height - 40 && (await figure.locator(".tip").isHidden()); y += 6) await page.mouse.move(box.x + 120, box.y + y);
  const number = /Trial (\d+)/.exec(await figure.locator(".tip").innerText())?.[1] ?? "";
  await page.mouse.down();
  await page.mouse.up();
  await shows(number);
  assert.match(page.url(), new RegExp(`line=${number}`));
  await isSound(view);
});

test("what bad people write into values is shown as it is and does nothing", async () => {
  await world.ownStudy("evil", { message: EVIL, space: [{ name: "kind", type: "categorical", choices: [EVIL, `${EVIL}2`] }], strategy: { name: "pbt", seed: "3", population: 4, interval: "2", maxSteps: "8" }, trial: { command: ["true"], steps: { name: EVIL.slice(0, 9), max: "8" } } });
  const { trial } = (await world.call("POST", "/v1/studies/evil/ask", { client: EVIL })).trials[0];
  await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["loss"], metric: [0], step: ["1"], value: [0.5] } });
  const view = await world.open("/studies/evil/training?y=kind");
  const { page } = view;
  await page.getByRole("table", { name: "Line of training" }).getByText("began with kind <img src=x onerror=").waitFor();
  await page.getByRole("img", { name: /^Lines of training: kind/ }).locator("canvas").first().waitFor();
  await page.setViewportSize({ width: 1024, height: 640 });
  for (const path of ["/studies/evil/training", "/studies/evil/time", "/studies/rules/training?rule=median", "/studies/halving/training"]) {
    await page.goto(world.url + path);
    await page.locator("figure canvas, .plain").first().waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), true, `${path} scrolls sideways`);
  }
  await isSound(view);
});

test("a trial whose time was up and that goes on has one result", async () => {
  const save = 'cd "$TUNESMITH_CHECKPOINT_DIR" && mkdir step-1.tmp && echo 1 > step-1.tmp/state && mv step-1.tmp step-1';
  const program = script(world, "late.sh", `if [ -n "$TUNESMITH_RESUME_FROM" ]; then echo '{"step": 2, "loss": 0.75}'; exit 0; fi; (${save}); echo '{"step": 1, "loss": 0.5}'; trap 'exit 0' TERM; while :; do sleep 0.1; done`);
  await world.ownStudy("late", { budget: { trials: "2", parallel: 1 }, trial: { command: ["sh", program], metrics: { stdoutJson: {} }, maxRuntime: "2s", grace: "5s" } });
  await eventually("it runs", async () => assert.equal((await world.call("GET", "/v1/studies/late/trials/1")).trial.state, "TRIAL_STATE_RUNNING"));
  // No other one is to begin.
  await world.call("POST", "/v1/studies/late/pause", {});
  const view = await world.open("/studies/late");
  const { page } = view;
  await page.getByRole("img", { name: /^Best so far: loss 0.5 by trial 1, after 1 trial;/ }).waitFor();
  await world.call("PATCH", "/v1/studies/late?update_mask=trial.max_runtime", { trial: { maxRuntime: "3600s" } });
  await world.call("POST", "/v1/studies/late/resume", {});
  await page.getByRole("img", { name: /^Best so far: loss 0.75 by trial 1, after 1 trial;/ }).waitFor();
  await world.call("POST", "/v1/studies/late/stop", {});
  await isSound(view);
});

test("studies that train all in one go without rules have no such part", async () => {
  await world.ownStudy("plain");
  const view = await world.open("/studies/plain");
  await view.page.getByRole("link", { name: "Time" }).waitFor();
  assert.equal(await view.page.getByRole("link", { name: "Training" }).count(), 0);
  await isSound(view);
});

for (const theme of /** @type {const} */ (["light", "dark"])) {
  test(`axe objects to nothing about training, in the ${theme} theme`, async () => {
    const { page } = await world.open("/studies/rules/training?rule=median", { colorScheme: theme, bypassCSP: true });
    await page.getByRole("table", { name: "Judgements" }).locator("tbody tr[data-id]").first().waitFor();
    await page.getByText("with points would have been stopped").waitFor();
    assert.deepEqual(await violations(page), []);
    await page.goto(`${world.url}/studies/halving/training`);
    await page.getByRole("table", { name: "Rungs: Trials by rung" }).waitFor();
    assert.deepEqual(await violations(page), []);
    await page.goto(`${world.url}/studies/population/training`);
    await page.getByRole("table", { name: "Line of training" }).waitFor();
    assert.deepEqual(await violations(page), []);
    await page.context().close();
  });
}
