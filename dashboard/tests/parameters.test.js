// Which values lead to good results: the charts of parameters, the filter that all parts share, the model, the Pareto front, and new studies over a
// part of the space.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, saved, World } from "./support.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @typedef {import("playwright-core").Page} Page */

/** @type {World} */
let world;
const SPACE = [
  { name: "lr", type: "float", low: 1e-4, high: 1, scale: "log" },
  { name: "optimizer", type: "categorical", choices: ["sgd", "adam"] },
  { name: "momentum", type: "float", low: 0.5, high: 0.99, when: [{ parent: "optimizer", values: ["sgd"] }] },
  { name: "layers", type: "int", low: 1, high: 6 },
];

before(async () => {
  world = await World.start({ worker: false });
  await world.ownStudy("main", { space: SPACE });
  await tell("main", 40, ({ lr, layers }, number) => (number % 10 === 0 ? { failed: true, reason: "out of memory" } : { value: (Math.log10(lr) + 2) ** 2 + layers / 10 }));
  await world.ownStudy("front", { objective: { metric: "accuracy", goal: "GOAL_MAXIMIZE" }, moreObjectives: [{ metric: "latency", goal: "GOAL_MINIMIZE" }], measuredConstraints: [{ metric: "memory", atMost: 0.8 }] });
  for (let left = 12; left > 0; left -= 1) {
    const [{ trial }] = (await world.call("POST", "/v1/studies/front/ask", { client: "test" })).trials;
    const { x } = trial.parameters;
    await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["accuracy", "latency", "memory"], metric: [0, 1, 2], step: ["1", "1", "1"], value: [left % 3 ? x : x / 2, x * 10, x] } });
    await world.call("POST", `/v1/${trial.name}/tell`, {});
  }
  await world.ownStudy("model", { strategy: { name: "gp", seed: "3" }, space: SPACE.slice(0, 2) });
  await tell("model", 12, ({ lr, optimizer }) => ({ value: (Math.log10(lr) + 2) ** 2 + (optimizer === "sgd" ? 0.5 : 0) }));
  await world.ownStudy("young", { strategy: { name: "gp" } });
  await world.ownStudy("evil", { objective: { metric: "loss", goal: "GOAL_MINIMIZE" }, space: [{ name: "kind", type: "categorical", choices: [EVIL, "b;,=@"] }, { name: "x", type: "float", low: 0, high: 1 }] });
  await tell("evil", 8, ({ x }) => ({ value: x }));
});
after(() => world.stop());

/**
 * @param {string} study
 * @param {number} count
 * @param {(parameters: any, number: number) => object} result
 */
async function tell(study, count, result) {
  for (let left = count; left > 0; left -= 1) {
    const [{ trial }] = (await world.call("POST", `/v1/studies/${study}/ask`, { client: "test" })).trials;
    await world.call("POST", `/v1/${trial.name}/tell`, result(trial.parameters, Number(trial.number)));
  }
}

/** @param {string} study @returns {Promise<any[]>} */
const trialsOf = async (study) => (await world.call("GET", `/v1/studies/${study}/trials?page_size=1000`)).trials;

/** @param {Page} page @param {string} title */
const figure = (page, title) => page.locator("figure").filter({ has: page.getByRole("heading", { name: title, exact: true }) });

/** @param {Page} page @param {string} title of a chart that is to be seen */
async function plotOf(page, title) {
  const plot = figure(page, title).locator(".plot");
  await plot.scrollIntoViewIfNeeded();
  await plot.locator("canvas").first().waitFor();
  const box = await plot.boundingBox();
  assert.ok(box);
  return { plot, box };
}

/**
 * @param {Page} page
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
async function drag(page, from, to) {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move((from[0] + to[0]) / 2, (from[1] + to[1]) / 2);
  await page.mouse.move(...to);
  await page.mouse.up();
}

/** @param {Page} page */
const only = (page) => new URL(page.url()).searchParams.get("only") ?? "";

/** Where axes begin and end in parallel coordinates of a height of 340, without what is inactive. */
const [SIDE, TOP, BOTTOM] = [56, 36, 14];

test("a drag along an axis chooses trials for all charts, the table, the curves and the address", async () => {
  const view = await world.open("/studies/main/parameters?axes=p%3Alr,p%3Alayers,value");
  const { page } = view;
  const { plot, box } = await plotOf(page, "Parallel coordinates");
  assert.match(String(await plot.getAttribute("aria-label")), /^Parallel coordinates: 40 trials along lr, layers, loss$/);
  const y = (/** @type {number} */ place) => box.y + TOP + (1 - place) * (340 - TOP - BOTTOM);
  const x = box.x + SIDE;
  // From 0.001 to 0.1 on its logarithmic scale.
  await drag(page, [x, y(0.25)], [x, y(0.75)]);
  const chip = page.getByRole("button", { name: /^lr .*: remove the filter$/ });
  await chip.waitFor();
  const [, low, high] = /^p:lr=([\d.]+)\.\.([\d.]+)$/.exec(only(page)) ?? [];
  assert.ok(Math.abs(Math.log10(Number(low)) + 3) < 0.1 && Math.abs(Math.log10(Number(high)) + 1) < 0.1, only(page));
  const inside = (await trialsOf("main")).filter(({ parameters: { lr } }) => lr >= Number(low) && lr <= Number(high)).map(({ number }) => number);
  assert.ok(inside.length > 5 && inside.length < 35);
  await page.getByText(`${inside.length} of 40 trials`).waitFor();
  await page.getByRole("img", { name: new RegExp(`^Parallel coordinates: .*; the filter leaves ${inside.length}$`) }).waitFor();
  // Shift adds a range on the same axis.
  await page.keyboard.down("Shift");
  await drag(page, [x, y(0.85)], [x, y(0.95)]);
  await page.keyboard.up("Shift");
  await page.waitForFunction(() => new URL(location.href).searchParams.get("only")?.split(",").length === 2);
  await page.goto(`${world.url}/studies/main/parameters?only=p:lr%3D${low}..${high}`);
  await page.getByText(`${inside.length} of 40 trials`).waitFor();
  // The tab takes it along.
  await page.getByRole("link", { name: "Overview" }).click();
  await chip.waitFor();
  const rows = page.locator(".trials tbody tr[data-id]");
  await page.waitForFunction((count) => document.querySelectorAll(".trials tbody tr[data-id]").length === count, inside.length);
  assert.deepEqual((await rows.evaluateAll((nodes) => nodes.map((node) => node.getAttribute("data-id")))).sort(), inside.sort());
  const other = await page.context().newPage();
  await other.goto(page.url());
  await other.getByText(`${inside.length} of 40 trials`).waitFor();
  await chip.click();
  await page.waitForFunction(() => !location.search.includes("only"));
  await page.locator(".trials tbody tr[data-id='40']").waitFor();
  await isSound(view);
});

test("choices and inactive parameters lie apart, are chosen by drag and in the menu, and are saved", async () => {
  const view = await world.open("/studies/main/parameters?axes=p%3Aoptimizer,p%3Amomentum");
  const { page } = view;
  const all = await trialsOf("main");
  const sgd = all.filter(({ parameters }) => parameters.optimizer === "sgd").length;
  const { box } = await plotOf(page, "Parallel coordinates");
  // The lowest place of the second axis is for those that do not have it.
  const right = box.x + box.width - SIDE;
  await drag(page, [right, box.y + 340 - BOTTOM - 12], [right, box.y + 340 - BOTTOM + 6]);
  await page.getByRole("button", { name: "momentum inactive: remove the filter" }).waitFor();
  assert.equal(only(page), "p:momentum=@");
  await page.getByText(`${40 - sgd} of 40 trials`).waitFor();
  await page.mouse.dblclick(right, box.y + 100);
  await page.waitForFunction(() => !location.search.includes("only"));
  await figure(page, "momentum").scrollIntoViewIfNeeded();
  await page.getByRole("img", { name: new RegExp(`^momentum: loss against momentum of \\d+ trials, in \\d+ of all it is inactive$`) }).waitFor();
  await page.getByText("Filter", { exact: true }).click();
  // Whoever does not have it is in no range of it.
  await page.getByRole("textbox", { name: "momentum from" }).fill("0.5");
  await page.keyboard.press("Tab");
  await page.getByText(`${sgd} of 40 trials`).waitFor();
  assert.equal(only(page), "p:momentum=0.5..");
  await page.getByRole("textbox", { name: "momentum from" }).fill("");
  await page.keyboard.press("Tab");
  await page.waitForFunction(() => !location.search.includes("only"));
  await page.getByRole("group", { name: "optimizer" }).getByRole("checkbox", { name: "sgd" }).check();
  await page.getByText(`${sgd} of 40 trials`).waitFor();
  assert.equal(only(page), "p:optimizer=sgd");
  await page.getByRole("textbox", { name: "layers to" }).fill("three");
  await page.keyboard.press("Tab");
  assert.equal(await page.getByRole("textbox", { name: "layers to" }).getAttribute("aria-invalid"), "true");
  await page.getByRole("textbox", { name: "layers to" }).fill("3");
  await page.keyboard.press("Tab");
  const few = all.filter(({ parameters }) => parameters.optimizer === "sgd" && parameters.layers <= 3);
  await page.getByText(`${few.length} of 40 trials`).waitFor();
  await page.keyboard.press("Escape");
  const csv = (await saved(page, "Save “Parallel coordinates” as CSV")).content.toString().trim().split("\r\n");
  assert.equal(csv[0], "trial,state,chosen,optimizer,momentum");
  assert.equal(csv.filter((line) => line.split(",")[2] === "yes").length, few.length);
  for (const line of csv.slice(1)) assert.match(line, /,sgd,0\.\d+$|,adam,$/);
  assert.match((await saved(page, "Save “Parallel coordinates” as SVG")).content.toString(), /^<svg [\s\S]*inactive/);
  assert.equal((await saved(page, "Save “lr” as PNG")).content.subarray(1, 4).toString(), "PNG");
  await isSound(view);
});

test("a part of a slice that is zoomed into becomes the filter, and a new study within it", async () => {
  const view = await world.open("/studies/main/parameters");
  const { page } = view;
  const { box } = await plotOf(page, "lr");
  const chart = figure(page, "lr");
  assert.equal(await chart.getByRole("button", { name: "New study here…" }).count(), 0, "hidden until something is chosen");
  await drag(page, [box.x + box.width * 0.4, box.y + 20], [box.x + box.width * 0.7, box.y + 150]);
  await chart.getByRole("button", { name: "Only these: lr" }).click();
  await page.getByRole("button", { name: /^lr .*: remove the filter$/ }).waitFor();
  await page.getByRole("button", { name: /^loss .*: remove the filter$/ }).waitFor();
  await page.getByRole("button", { name: /^loss .*: remove the filter$/ }).click();
  await page.getByText("Filter", { exact: true }).click();
  await page.getByRole("group", { name: "optimizer" }).getByRole("checkbox", { name: "adam" }).check();
  await page.keyboard.press("Escape");
  await page.locator(".filter-chips").getByRole("button", { name: "New study here…" }).click();
  const dialog = page.getByRole("dialog", { name: "New study over a part of main" });
  await dialog.getByRole("row", { name: /^optimizer always adam|^optimizer adam was sgd, adam/ }).waitFor();
  await dialog.getByRole("row", { name: /^lr .* was 1e−4 to 1, log/ }).waitFor();
  await dialog.getByLabel("Name").fill("not a name");
  await dialog.getByLabel("Trials").fill("-1");
  await dialog.getByRole("button", { name: "Create and start" }).click();
  await dialog.getByRole("alert").getByText("trials is -1").waitFor();
  await dialog.getByLabel("Trials").fill("25");
  await page.keyboard.press("Enter");
  await dialog.getByRole("alert").getByText("name").waitFor();
  await dialog.getByLabel("Name").fill("closer");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "closer" }).waitFor();
  const { study } = await world.call("GET", "/v1/studies/closer");
  const lr = study.spec.space.find((/** @type {any} */ { name }) => name === "lr");
  assert.ok(lr.low > 1e-4 && lr.high < 1 && lr.low < lr.high, JSON.stringify(lr));
  assert.equal(study.spec.parent, "main");
  assert.equal(study.spec.budget.trials, "25");
  const [{ trial }] = (await world.call("POST", "/v1/studies/closer/ask", { client: "test" })).trials;
  assert.equal(trial.parameters.optimizer ?? "adam", "adam");
  assert.ok(trial.parameters.lr >= lr.low && trial.parameters.lr <= lr.high);
  await isSound(view);
});

test("a filter of results is zoomed into by way of the trials that it leaves", async () => {
  const view = await world.open("/studies/main/parameters?only=value%3D..0.5");
  const { page } = view;
  const good = (await trialsOf("main")).filter(({ value }) => value <= 0.5);
  await page.getByText(`${good.length} of 40 trials`).waitFor();
  await page.locator(".filter-chips").getByRole("button", { name: "New study here…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(`taken from the ${good.length} trial`).waitFor();
  await dialog.getByLabel("Name").fill("around-the-best");
  await dialog.getByRole("button", { name: "Create and start" }).click();
  await page.getByRole("heading", { level: 1, name: "around-the-best" }).waitFor();
  const { study } = await world.call("GET", "/v1/studies/around-the-best");
  const rates = good.map(({ parameters }) => parameters.lr);
  const lr = study.spec.space.find((/** @type {any} */ { name }) => name === "lr");
  assert.deepEqual([lr.low, lr.high], [Math.min(...rates), Math.max(...rates)]);
  await isSound(view);
});

test("a scatter and a heat map show any two, a dot opens its trial", async () => {
  const view = await world.open("/studies/main/parameters");
  const { page } = view;
  await plotOf(page, "Scatter");
  await page.getByLabel("Scatter: x axis").selectOption({ label: "trial number" });
  await page.getByLabel("Scatter: y axis").selectOption({ label: "loss" });
  await page.getByLabel("Scatter: colour").selectOption({ label: "optimizer" });
  await page.getByRole("img", { name: /^Scatter: loss against trial of 36 trials/ }).waitFor();
  await figure(page, "Scatter").getByRole("listitem").filter({ hasText: "adam" }).waitFor();
  await page.getByLabel("Heat map: y axis").selectOption({ label: "layers" });
  await page.getByLabel("Heat map: value of a cell").selectOption("median");
  await page.getByRole("img", { name: /^Heat map: layers against lr/ }).waitFor();
  const address = new URL(page.url()).searchParams;
  assert.deepEqual([address.get("x"), address.get("y"), address.get("z"), address.get("hy"), address.get("of")], ["number", "value", "p:optimizer", "p:layers", "median"]);
  await page.reload();
  const { box } = await plotOf(page, "Heat map");
  await page.getByRole("img", { name: /^Heat map: layers against lr/ }).waitFor();
  const tip = figure(page, "Heat map").locator(".tip");
  look: for (let y = 40; y < box.height - 60; y += 12) {
    for (let x = 80; x < box.width - 40; x += 24) {
      await page.mouse.move(box.x + x, box.y + y);
      if (await tip.isVisible()) {
        assert.match(await tip.innerText(), /Trial \d+[\s\S]*layers[\s\S]*lr[\s\S]*loss[\s\S]*median of the \d+ in the cell/);
        const number = /Trial (\d+)/.exec(await tip.innerText())?.[1];
        await page.mouse.click(box.x + x, box.y + y);
        await page.getByRole("heading", { level: 1, name: `Trial ${number}` }).waitFor();
        break look;
      }
    }
  }
  assert.match(page.url(), /\/trials\/\d+$/);
  await isSound(view);
});

test("the model of a study is shown through the best trial, the next proposal, and a trial that is named", async () => {
  const view = await world.open("/studies/young/parameters");
  const { page } = view;
  const model = page.getByRole("region", { name: "Model" });
  await model.scrollIntoViewIfNeeded();
  await model.getByText("Nothing to show yet: study young has no best trial yet").waitFor();
  await page.goto(`${world.url}/studies/model/parameters`);
  await model.scrollIntoViewIfNeeded();
  const of = async (/** @type {object} */ fields) => (await world.call("POST", "/v1/studies/model/slice", { points: 60, ...fields })).slices;
  await page.getByRole("img", { name: /^Expected over lr: expected loss from .*; most promising at .*; the best trial has / }).locator("canvas").first().waitFor();
  const csv = (await saved(page, "Save “Expected over lr” as CSV")).content.toString().trim().split("\r\n");
  assert.equal(csv[0], "lr,loss mean,low,high,acquisition");
  const [slice] = await of({});
  assert.deepEqual(csv.slice(1).map((line) => Number(line.split(",")[1])), slice.objectives[0].mean);
  await page.goto(`${world.url}/studies/model/trials/12`);
  await page.getByRole("link", { name: "What the model expected" }).click();
  await page.getByRole("img", { name: /^Expected over lr: .*; the trial 12 has / }).waitFor();
  // A proposal that took long has not seen the newest ones.
  const { provenance } = (await world.call("GET", "/v1/studies/model/trials/12")).trial;
  await model.getByText(`when trial 12 was proposed, from ${provenance.results} results`).waitFor();
  await page.getByLabel("Through trial").fill("5");
  await page.keyboard.press("Enter");
  await model.getByText(/when trial 5 was proposed/).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("through"), "5");
  await page.getByRole("combobox", { name: "Through" }).selectOption({ label: "Through the next proposal" });
  const { chosen } = await world.call("POST", "/v1/studies/model/slice", { points: 2, parameters: ["lr"] });
  await page.getByRole("img", { name: /^Expected over lr: .*; the next proposal has [^;]*$/ }).locator("canvas").first().waitFor();
  await model.getByText(/^The model of gp now, .* goes through the next proposal/).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("through"), "next");
  const next = (await saved(page, "Save “Expected over lr” as CSV")).content.toString().trim().split("\r\n").slice(1).map((line) => line.split(",").map(Number));
  assert.ok(next.some(([lr]) => lr === chosen.lr), "the point itself is among them");
  const most = next.reduce((a, b) => (b[4] > a[4] ? b : a))[0];
  const near = next.reduce((a, b) => (Math.abs(Math.log(b[0] / chosen.lr)) < Math.abs(Math.log(a[0] / chosen.lr)) ? b : a))[0];
  assert.ok(Math.abs(next.findIndex(([lr]) => lr === most) - next.findIndex(([lr]) => lr === near)) <= 1, `most promising at ${most}, proposed ${chosen.lr}`);
  await page.getByRole("combobox", { name: "Through" }).selectOption({ label: "Through the best trial" });
  await page.getByRole("img", { name: /^Expected over lr: .*; the best trial has .*; the next proposal / }).waitFor();
  await model.getByText(/Next would be tried: lr /).waitFor();
  // A study without a model has no such section.
  await page.goto(`${world.url}/studies/main/parameters`);
  await plotOf(page, "Scatter");
  assert.equal(await model.count(), 0);
  await isSound(view);
});

test("the Pareto front has the trials of the set, and tells which are better and which break a constraint", async () => {
  const view = await world.open("/studies/front");
  const { page } = view;
  const { study } = await world.call("GET", "/v1/studies/front");
  const set = study.paretoSet.map(Number);
  assert.ok(set.length > 1 && set.length < 12);
  const { box } = await plotOf(page, "Pareto front");
  await page.getByRole("img", { name: `Pareto front: latency (smaller is better) against accuracy (larger is better): ${set.length} trials of 12 in the Pareto set` }).waitFor();
  await figure(page, "Pareto front").getByRole("listitem").filter({ hasText: "breaks a constraint" }).waitFor();
  const csv = (await saved(page, "Save “Pareto front” as CSV")).content.toString().trim().split("\r\n").map((line) => line.split(","));
  assert.deepEqual(csv[0], ["trial", "state", "in_pareto_set", "feasible", "accuracy", "latency"]);
  assert.deepEqual(csv.slice(1).filter((row) => row[2] === "yes").map((row) => Number(row[0])).sort((a, b) => a - b), set.sort((/** @type {number} */ a, /** @type {number} */ b) => a - b));
  assert.match((await saved(page, "Save “Pareto front” as SVG")).content.toString(), /accuracy → better[\s\S]*latency ↓ better|latency ↓ better[\s\S]*accuracy → better/);
  const tip = figure(page, "Pareto front").locator(".tip");
  for (let y = 24; y < box.height - 40 && !(await tip.isVisible()); y += 8) await page.mouse.move(box.x + box.width / 2, box.y + y);
  assert.match(await tip.innerText(), /Trial \d+[\s\S]*accuracy[\s\S]*latency/);
  // A result that is better than all others belongs to it at once.
  const [{ trial }] = (await world.call("POST", "/v1/studies/front/ask", { client: "test" })).trials;
  await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["accuracy", "latency", "memory"], metric: [0, 1, 2], step: ["1", "1", "1"], value: [5, 0, 0.1] } });
  await world.call("POST", `/v1/${trial.name}/tell`, {});
  await page.getByRole("img", { name: /: 1 trial of 13 in the Pareto set$/ }).waitFor();
  await page.getByRole("link", { name: "Parameters" }).click();
  await page.getByLabel("Objective", { exact: true }).selectOption("latency");
  await page.getByRole("img", { name: "x", exact: true }).scrollIntoViewIfNeeded();
  await page.getByRole("img", { name: /^x: latency against x of 13 trials/ }).waitFor();
  await isSound(view);
});

test("a trial tells how it stands with each constraint", async () => {
  const { trials } = await world.call("GET", "/v1/studies/front/trials");
  for (const kept of [true, false]) {
    const trial = trials.find((/** @type {any} */ { feasible }) => feasible === kept);
    const [{ value, violation }] = trial.constraints;
    const view = await world.open(`/studies/front/trials/${trial.number}`);
    const row = (/** @type {string} */ name) => view.page.locator("dl > div").filter({ has: view.page.getByText(name, { exact: true }) }).locator("dd");
    await row("All kept").getByText(kept ? "yes" : "no", { exact: true }).waitFor();
    const four = (/** @type {unknown} */ one) => String(Number(Number(one).toPrecision(4)));
    assert.equal(await row("memory").last().innerText(), kept ? `${four(value)}, kept` : `${four(value)}, violated by ${four(violation)}`);
    await isSound(view);
  }
});

test("hostile names of choices stay texts, also in the address", async () => {
  const view = await world.open("/studies/evil/parameters");
  const { page } = view;
  await page.getByText("Filter", { exact: true }).click();
  const boxes = page.getByRole("group", { name: "kind" }).getByRole("checkbox");
  await boxes.nth(0).check();
  await boxes.nth(1).check();
  await page.keyboard.press("Escape");
  await page.getByText("8 of 8 trials").waitFor();
  await page.reload();
  const chip = page.getByRole("button", { name: /^kind .*: remove the filter$/ });
  await chip.waitFor();
  await page.getByText("8 of 8 trials").waitFor();
  assert.match(await chip.innerText(), /<img src=x onerror=[\s\S]*b;,=@/);
  await page.getByLabel("Scatter: colour").selectOption({ label: "kind" });
  await plotOf(page, "Scatter");
  await figure(page, "Scatter").getByText("<img src=x onerror=").waitFor();
  await page.goto(`${world.url}/studies/evil/parameters?only=${encodeURIComponent(`p:${EVIL}=1..2;p:x=a..b;p:x=0..%zz;${EVIL};p:kind=%zz`)}&axes=%zz,${encodeURIComponent(EVIL)}&x=${encodeURIComponent(EVIL)}&through=${encodeURIComponent(EVIL)}`);
  await page.getByText("0 of 8 trials").waitFor();
  await isSound(view);
});

test("axes are hidden and moved by keyboard, and so is everything chosen", async () => {
  const view = await world.open("/studies/main/parameters");
  const { page } = view;
  await plotOf(page, "Parallel coordinates");
  await page.getByText("Axes", { exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("checkbox", { name: "Show momentum" }).focus();
  await page.keyboard.press("Space");
  await page.getByRole("img", { name: /along lr, optimizer, layers, loss$/ }).waitFor();
  await page.getByRole("button", { name: "Move loss to the left" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("img", { name: /along lr, optimizer, loss, layers$/ }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "Move loss to the left");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Axes");
  await page.getByText("Filter", { exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "lr from");
  await page.keyboard.type("0.01");
  await page.keyboard.press("Tab");
  await page.getByRole("button", { name: "lr from 0.01: remove the filter" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "lr from 0.01: remove the filter" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !location.search.includes("only"));
  await isSound(view);
});

test("a large study shows its best and its first trials, and says so", async () => {
  await world.ownStudy("many");
  for (let left = 5_100; left > 0; ) {
    const { trials } = await world.call("POST", "/v1/studies/many/ask", { count: Math.min(100, left) });
    await Promise.all(trials.map((/** @type {any} */ { trial }) => world.call("POST", `/v1/${trial.name}/tell`, { value: trial.parameters.x })));
    left -= trials.length;
  }
  const view = await world.open("/studies/many/parameters?only=p%3Ax%3D0..0.01");
  const { page } = view;
  await page.getByText(/^The charts show \d[\d\s\u202f]* of 5100 trials: the best, and the first/).waitFor();
  await eventually("the sample is read", async () => assert.match(await page.locator(".filter-chips [role=status]").innerText(), /^\d+ of \d{4} trials that are read, of 5100$/));
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByText("5100 trials, of which those are filtered that are read.").waitFor();
  for (const text of await page.locator(".trials tbody tr[data-id] td:nth-child(3)").allInnerTexts()) assert.ok(Number(text.replace("−", "-")) <= 0.01, text);
  await isSound(view);
});

test("the Pareto set of a large study is shown as a whole, and what comes to it later", async () => {
  await world.ownStudy("wide", { objective: { metric: "cost", goal: "GOAL_MINIMIZE" }, moreObjectives: [{ metric: "error", goal: "GOAL_MINIMIZE" }] });
  const [trials, first, set] = [5_100, 3_000, 1_200];
  // The set is neither among the first trials nor among the cheapest, and larger than a page.
  const valuesOf = (/** @type {number} */ number) => (number === first ? { cost: 0.01, error: 900 } : number > first && number < first + set ? { cost: 10 + number, error: 100 - number / 100 } : { cost: 0.1 + number / 1e6, error: 1_000 });
  for (let left = trials; left > 0; ) {
    const { trials: some } = await world.call("POST", "/v1/studies/wide/ask", { count: Math.min(100, left), client: "test" });
    await Promise.all(some.map((/** @type {any} */ { trial }) => world.call("POST", `/v1/${trial.name}/tell`, { values: valuesOf(Number(trial.number)) })));
    left -= some.length;
  }
  assert.equal((await world.call("GET", "/v1/studies/wide")).study.paretoSet.length, set);
  const view = await world.open("/studies/wide");
  const { page } = view;
  const inSet = (/** @type {number} */ number) => page.getByRole("img", { name: new RegExp(`^Pareto front: .*: ${number} trials of \\d+ in the Pareto set$`) });
  await inSet(set).waitFor();
  const csv = (await saved(page, "Save “Pareto front” as CSV")).content.toString().trim().split("\r\n").map((line) => line.split(","));
  assert.deepEqual(csv.filter((row) => row[2] === "yes").map(([number]) => Number(number)).sort((a, b) => a - b), Array.from({ length: set }, (_, index) => first + index));
  const [{ trial }] = (await world.call("POST", "/v1/studies/wide/ask", { client: "test" })).trials;
  await world.call("POST", `/v1/${trial.name}/tell`, { values: { cost: 100_000, error: 1 } });
  await inSet(set + 1).waitFor();
  await isSound(view);
});

for (const theme of /** @type {const} */ (["light", "dark"])) {
  test(`axe has no objection to the parts in the ${theme} theme`, async () => {
    const view = await world.open("/", { colorScheme: theme, bypassCSP: true });
    const { page } = view;
    const check = async (/** @type {string} */ what) => {
      const violations = await page.evaluate(async (source) => {
        const scope = /** @type {any} */ (window);
        if (!scope.axe) (0, eval)(source);
        const { violations } = await scope.axe.run(document, { resultTypes: ["violations"] });
        return violations.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes.map((/** @type {any} */ { html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
      }, axe);
      assert.deepEqual(violations, [], what);
    };
    await page.goto(`${world.url}/studies/main/parameters?only=p%3Alr%3D0.001..0.1%3Bp%3Aoptimizer%3Dsgd`);
    await plotOf(page, "Parallel coordinates");
    await plotOf(page, "Heat map");
    await page.getByText("Axes", { exact: true }).click();
    await page.getByRole("checkbox", { name: "Show lr" }).waitFor();
    await check("parameters with the menu of axes");
    await page.getByText("Filter", { exact: true }).click();
    await page.getByRole("textbox", { name: "lr from" }).waitFor();
    await check("the filter");
    await page.keyboard.press("Escape");
    await page.locator(".filter-chips").getByRole("button", { name: "New study here…" }).click();
    await page.getByRole("dialog").waitFor();
    await check("the dialog");
    await page.keyboard.press("Escape");
    await page.goto(`${world.url}/studies/model/parameters?through=12`);
    await page.getByRole("img", { name: /^Expected over lr: / }).waitFor();
    await check("the model");
    await page.goto(`${world.url}/studies/front?only=value%3D0..1`);
    await plotOf(page, "Pareto front");
    await check("the Pareto front");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), true);
    await page.context().close();
  });
}
