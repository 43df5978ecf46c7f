// Studies made, cloned and changed by form and by text: what is meant is what comes of it, and what is wrong stands where it is.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ worker: false });
});
after(() => world.stop());

/** @param {import("playwright-core").Page} page */
const file = (page) => page.getByRole("textbox", { name: "Study file" });
/** @param {import("playwright-core").Page} page @param {string} name */
const field = (page, name) => page.getByRole("group", { name: "Form" }).getByLabel(name, { exact: true }).and(page.locator("input, select, textarea"));

/**
 * What stands in the study file, once a look at it succeeds.
 * @param {import("playwright-core").Page} page
 * @param {RegExp} pattern
 */
const says = (page, pattern) => eventually(`the study file says ${pattern}`, async () => assert.match(await file(page).inputValue(), pattern));

/** @param {import("playwright-core").Page} page */
async function create(page) {
  await page.getByRole("button", { name: "Create study" }).click();
  await page.locator(".figure").first().waitFor();
}

/** @param {string} study */
const specOf = async (study) => (await world.call("GET", `/v1/studies/${study}`)).study.spec;

test("a study that was written in the form is the one that was meant, and its comments stay", async () => {
  const view = await world.open("/");
  const { page } = view;
  await page.locator(".notice, .table").first().waitFor();
  await page.keyboard.press("n");
  await field(page, "Name").fill("by-form");
  await field(page, "Message").fill("two lines:\n- of text # and more");
  await field(page, "Goal").selectOption("maximize");
  await field(page, "Metric").fill("val/acc");
  await field(page, "Low of lr").fill("1e-3");
  await says(page, /low: 1e-3/);
  await field(page, "Type of width").selectOption("categorical");
  await field(page, "Choices of width").fill('8, "16", wide');
  await page.getByRole("button", { name: "Add parameter" }).click();
  const added = page.getByRole("group", { name: "Parameter parameter_3" });
  await added.getByLabel("Name of the parameter").fill("depth");
  await added.getByLabel("Name of the parameter").press("Tab");
  await field(page, "Type of depth").selectOption("int");
  await field(page, "High of depth").fill("4");
  await field(page, "Condition of depth").fill("width: wide");
  await field(page, "Strategy").selectOption("gp");
  await field(page, "Acquisition").selectOption("ucb");
  await page.getByRole("button", { name: "Add rule" }).click();
  await page.getByRole("group", { name: "Rule 1" }).getByLabel("Not before step").fill("2");
  await field(page, "Trials").fill("12");
  await field(page, "Time").fill("2h");
  await field(page, "Command, one argument a line").fill("python\ntrain.py\n{args}");
  await field(page, "Longest run").fill("90s");
  await field(page, "GPUs").fill("1");
  await field(page, "Memory").fill("2GiB");
  await says(page, /gpus: 1, memory: 2GiB/);
  assert.match(await file(page).inputValue(), /# Prints one line of JSON for each step\./, "what was not touched stays as it was written");
  await page.getByText("At most 36 epochs of training").waitFor();
  await create(page);
  assert.equal(new URL(page.url()).pathname, "/studies/by-form");
  const spec = await specOf("by-form");
  assert.equal(spec.message, "two lines:\n- of text # and more");
  assert.deepEqual(spec.objective, { metric: "val/acc", goal: "GOAL_MAXIMIZE" });
  assert.deepEqual(
    spec.space.map((/** @type {any} */ { name, type, low, high, choices, when }) => [name, type, low ?? high ?? null, choices ?? null, when ?? null]),
    [
      ["lr", "float", 0.001, null, null],
      ["width", "categorical", null, [8, "16", "wide"], null],
      ["depth", "int", 0, null, [{ parent: "width", values: ["wide"] }]],
    ],
  );
  assert.deepEqual([spec.strategy.name, spec.strategy.acquisition], ["gp", "ucb"]);
  assert.deepEqual(spec.earlyStopping, [{ rule: "median", warmupSteps: "2" }]);
  assert.deepEqual([spec.budget.trials, spec.budget.wallTime, spec.trial.maxRuntime], ["12", "7200s", "90s"]);
  assert.deepEqual(spec.trial.command, ["python", "train.py", "{args}"]);
  assert.deepEqual(spec.trial.resources, { gpus: 1, memoryBytes: String(2 * 2 ** 30) });
  await isSound(view);
});

test("a study that was written as a text shows in the form, and what the form does not show stays", async () => {
  const view = await world.open("/new");
  const { page } = view;
  const text = `name: by-text
project: vision
objective:
  - {metric: acc, goal: maximize}
  - {metric: ms, goal: minimize}   # on the phone
space:
  width:   {type: ordinal, choices: [8, 16]}
  "a.b":   {type: bool}
constraints: [width >= 8, {metric: mem, at_most: 16}]
strategy: sobol
`;
  await file(page).fill(text);
  await eventually("the form follows", async () => assert.equal(await field(page, "Name").inputValue(), "by-text"));
  assert.equal(await field(page, "Project").inputValue(), "vision");
  assert.deepEqual(await field(page, "Metric").evaluateAll((all) => all.map((one) => /** @type {HTMLInputElement} */ (one).value)), ["acc", "ms"]);
  assert.equal(await field(page, "Choices of width").inputValue(), "8, 16");
  assert.equal(await field(page, "Strategy").inputValue(), "sobol");
  assert.equal(await page.getByText("trials are run by programs that ask").isVisible(), true);
  await field(page, "Seed").fill("5");
  await field(page, "Trials").fill("3");
  await says(page, /strategy: \{name: sobol, seed: 5\}\nbudget: \{trials: 3\}\n$/);
  assert.ok((await file(page).inputValue()).startsWith(text.slice(0, text.indexOf("strategy"))), await file(page).inputValue());
  await create(page);
  const spec = await specOf("by-text");
  assert.deepEqual([spec.constraints, spec.measuredConstraints.length, spec.moreObjectives[0].metric, spec.project], [["width >= 8"], 1, "ms", "vision"]);
  await isSound(view);
});

test("each problem stands at its field and at its line, in the coordinator's words", async () => {
  await world.ownStudy("taken");
  const view = await world.open("/new");
  const { page } = view;
  const button = page.getByRole("button", { name: "Create study" });
  for (const [name, wrong, right, text] of [
    ["Name", "taken", "free", "choose another name, such as taken-2"],
    ["Name", "a/b", "free", "is not allowed in a study name"],
    ["Low of lr", "5", "0.1", "exchange them"],
    ["Low of lr", "little", "0.1", "expected a number"],
    ["Condition of width", "nothing: 1", "", "there is no parameter"],
    ["Trials", "-1", "4", "expected a whole number"],
    ["Time", "soon", "1h", ""],
    ["Priority", "0", "2", "must be between 1 and 1000"],
    ["Knows trials of", "nobody", "", "there is no study nobody"],
    ["Memory", "much", "1GiB", ""],
  ]) {
    const input = field(page, name);
    await input.fill(wrong);
    await eventually(`${name} = ${wrong} is refused`, async () => assert.equal(await input.getAttribute("aria-invalid"), "true"));
    const problem = page.locator(`[id="${await input.getAttribute("aria-describedby")}"]`);
    assert.ok((await problem.innerText()).includes(text), await problem.innerText());
    assert.equal(await button.isDisabled(), true);
    await page.locator(".problems").getByRole("button", { name: /^line \d+$/ }).first().click();
    assert.equal(await page.locator(".line-numbers .wrong").count(), 1);
    assert.ok(await file(page).evaluate((area) => area === document.activeElement), "the line is shown");
    await input.fill(right);
    await eventually(`${name} = ${right} is taken`, async () => assert.equal(await button.isEnabled(), true));
    assert.equal(await input.getAttribute("aria-invalid"), null);
  }
  // A text that cannot be read: the form waits until it can.
  await file(page).fill("name: [");
  await page.locator(".problems").getByText("not well-formed YAML").waitFor();
  assert.equal(await field(page, "Name").isDisabled(), true);
  await file(page).fill("name: again\nobjective: {metric: a, goal: minimize}\nspace: {x: {type: bool}}\nbugdet: {}\n");
  await page.locator(".problems").getByText('did you mean "budget"?').waitFor();
  assert.equal(await field(page, "Name").inputValue(), "again");
  // It is all there after the page was loaded anew.
  await page.reload();
  assert.match(await file(page).inputValue(), /bugdet/);
  await page.getByRole("button", { name: "Start over" }).click();
  await says(page, /name: first-study/);
  await isSound(view);
});

test("a study is cloned under another name, with what it knows", async () => {
  await world.ownStudy("origin", { message: "as it was", budget: { trials: "5" } });
  await world.call("POST", "/v1/studies/origin/trials", { parameters: { x: 0.5 }, result: { value: 1 } });
  const view = await world.open("/studies/origin");
  const { page } = view;
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("link", { name: "Clone…" }).click();
  await eventually("the name is another", async () => assert.equal(await field(page, "Name").inputValue(), "origin-2"));
  await page.getByRole("checkbox", { name: "Knows the trials of origin from the start" }).check();
  await says(page, /history: \[origin\]/);
  await field(page, "Low of x").fill("-1");
  await create(page);
  const spec = await specOf("origin-2");
  assert.deepEqual([spec.message, spec.space[0].low, spec.strategy.history, spec.strategy.seed], ["as it was", -1, ["origin"], "7"]);
  assert.equal((await world.call("GET", "/v1/studies/origin-2")).study.history[0].taken, "1");
  await page.goto(`${world.url}/new?from=origin-2`);
  await eventually("the number goes on", async () => assert.equal(await field(page, "Name").inputValue(), "origin-3"));
  await isSound(view);
});

test("what may change of a study changes, and one that used up its budget goes on", async () => {
  await world.ownStudy("edited", { budget: { trials: "1" } });
  await world.call("POST", "/v1/studies/edited/trials", { parameters: { x: 0.5 }, result: { value: 1 } });
  await world.untilDone("edited");
  const view = await world.open("/studies/edited");
  const { page } = view;
  await page.getByRole("button", { name: "Edit…" }).click();
  const dialog = page.getByRole("dialog", { name: "Edit edited" });
  const save = dialog.getByRole("button", { name: "Save" });
  assert.equal(await save.isDisabled(), true, "nothing would change");
  await dialog.getByText("Objective, space, strategy and what trials run stay as they are").waitFor();
  await dialog.getByLabel("Priority").fill("5000");
  await dialog.getByText("must be between 1 and 1000").waitFor();
  assert.equal(await save.isDisabled(), true);
  await dialog.getByLabel("Priority").fill("7");
  await dialog.getByLabel("Project").fill("vision");
  await dialog.getByLabel("Trials", { exact: true }).fill("4");
  await dialog.getByRole("button", { name: "Add rule" }).click();
  await dialog.getByLabel("Rule", { exact: true }).selectOption("plateau");
  await dialog.getByLabel("Steps without improvement").fill("4");
  await eventually("all of it is checked", async () => assert.equal(await save.isEnabled(), true));
  await save.click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  const spec = await specOf("edited");
  assert.deepEqual([spec.priority, spec.project, spec.budget.trials, spec.earlyStopping], [7, "vision", "4", [{ rule: "plateau", warmupSteps: "5", patience: "4" }]]);
  // Escape changes nothing.
  await page.getByRole("button", { name: "Edit…" }).click();
  await dialog.getByLabel("Trials", { exact: true }).fill("9");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal((await specOf("edited")).budget.trials, "4");
  await isSound(view);
});

test("the form is done by keyboard, and hostile texts stay texts", async () => {
  const view = await world.open("/new");
  const { page } = view;
  await eventually("the name has the keyboard", async () => assert.equal(await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).dataset.path), "name"));
  await page.keyboard.press("Control+A");
  await page.keyboard.type("by-keys");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type(EVIL);
  await field(page, "Type of width").focus();
  await page.keyboard.type("cat");
  await field(page, "Choices of width").fill(JSON.stringify(EVIL));
  await says(page, /type: categorical/);
  await eventually("it is fine", async () => assert.equal(await page.getByRole("button", { name: "Create study" }).isEnabled(), true));
  assert.equal(await field(page, "Choices of width").inputValue(), JSON.stringify(EVIL));
  await page.keyboard.press("Control+Enter");
  await page.locator(".lead").getByText("<img src=x").waitFor();
  const spec = await specOf("by-keys");
  assert.deepEqual([spec.message, spec.space[1].choices], [EVIL, [EVIL]]);
  await page.goto(`${world.url}/new?from=by-keys`);
  await file(page).waitFor();
  assert.equal(await field(page, "Message").inputValue(), EVIL);
  await field(page, "Name").fill(EVIL);
  await page.locator(".problems").getByText("is not allowed in a study name").waitFor();
  await page.goto(`${world.url}/new?from=${encodeURIComponent(EVIL)}`);
  await page.getByRole("alert").getByText("This cannot be shown").waitFor();
  await isSound(view);
});
