// Which parameters matter: bars with how sure they are, whether that is to be trusted, and what is said where there is nothing to say.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isSound, saved, violations, World } from "./support.js";

/** @type {World} */
let world;

/**
 * A study of two objectives with so many results: `lr` decides whether it works at all, `width` how well, `idle` nothing.
 * @param {string} name
 * @param {number} trials
 */
async function study(name, trials) {
  await world.ownStudy(name, {
    objective: { metric: "loss", goal: "GOAL_MINIMIZE" },
    moreObjectives: [{ metric: "size", goal: "GOAL_MINIMIZE" }],
    strategy: { name: "random", seed: "7" },
    space: ["lr", "width", "idle"].map((parameter) => ({ name: parameter, type: "float", low: 0, high: 1 })),
  });
  // Spread evenly in each direction, and independently of each other.
  const at = (/** @type {number} */ index, /** @type {number} */ step) => (0.5 + index * step) % 1;
  for (let index = 0; index < trials; index += 1) {
    const parameters = { lr: at(index, 0.8191725134), width: at(index, 0.6710436067), idle: at(index, 0.5497004779) };
    const loss = parameters.lr > 0.35 ? 10 + parameters.lr : parameters.width;
    await world.call("POST", `/v1/studies/${name}/trials`, { parameters, result: { value: loss, values: { size: parameters.width } }, requestId: crypto.randomUUID() });
  }
}

before(async () => {
  world = await World.start({ worker: false });
  await study("matters", 160);
  await study("few", 12);
});
after(() => world.stop());

/**
 * @param {string} name
 * @param {string} query
 */
const shown = (name, query) => world.open(`/studies/${name}/parameters${query}`);

test("bars tell what matters among all results and among the best, and the choice stands in the address", async () => {
  const view = await shown("matters", "");
  const { page } = view;
  const plot = page.getByRole("img", { name: /^What matters: lr 9\d\s% ± / });
  await plot.locator("canvas").first().waitFor();
  await page.getByText(/A forest of trees explains \d+\s% of the differences among 160 results that it has not seen\./).waitFor();
  await page.getByLabel("Importance among").selectOption("best");
  await page.getByRole("img", { name: /^What matters: width / }).waitFor();
  await page.getByText(/the differences among the best 40 of 160 results/).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("among"), "best");
  await page.getByLabel("Importance for").selectOption("size");
  await page.getByRole("img", { name: /^What matters: width (9\d|100)\s%/ }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("matters"), "size");
  assert.deepEqual(await violations(page), []);
  await isSound(view);

  const again = await shown("matters", "?among=best&matters=size");
  assert.equal(await again.page.getByLabel("Importance among").inputValue(), "best");
  await again.page.getByRole("img", { name: /^What matters: width (9\d|100)\s%/ }).waitFor();
  await isSound(again);
});

test("a bar is explained under the pointer and saved with its deviation", async () => {
  const view = await shown("matters", "");
  const { page } = view;
  const plot = page.getByRole("img", { name: /^What matters: lr/ });
  await plot.locator("canvas").first().waitFor();
  const box = await plot.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + box.width * 0.4, box.y + 28);
  await page.locator(".importance .tip").getByText("alone").waitFor();
  assert.match(await page.locator(".importance .tip").innerText(), /lr[\s\S]*alone[\s\S]*9\d\u202f% ± [<\d]/);
  const csv = (await saved(page, "Save “What matters” as CSV")).content.toString().trim().split("\r\n");
  assert.equal(csv[0], "parameter,with,share,deviation,active");
  assert.match(csv[1], /^lr,,0\.9\d*,0\.\d+,160$/);
  assert.ok(csv.some((line) => /^lr,width,/.test(line)), csv.join("\n"));
  const svg = await saved(page, "Save “What matters” as SVG");
  assert.match(svg.content.toString(), /^<svg [\s\S]*idle/);
  await isSound(view);
});

test("with too few results it is said how many are needed", async () => {
  const view = await shown("few", "");
  await view.page.getByText("study few: there are 12 results, and at least 20 are needed").waitFor();
  await isSound(view);
});
