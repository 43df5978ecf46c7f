// What is loaded when it is needed: no more than that, all of it at once, and what is said when it cannot be had.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NEEDS } from "../web/needs.js";
import { isSound, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ worker: false });
  await world.ownStudy("small", { earlyStopping: [{ rule: "median" }] });
  const { trial } = (await world.call("POST", "/v1/studies/small/ask", { client: "test" })).trials[0];
  await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["loss"], metric: [0, 0], step: ["1", "2"], value: [0.5, 0.25] } });
  await world.call("POST", `/v1/${trial.name}/tell`, {});
});
after(() => world.stop());

/** @param {string} url */
const fileOf = (url) => (/\/assets\/[^/]+\/(.*\.m?js)$/.exec(new URL(url).pathname) ?? [])[1];

/**
 * Keeps the modules that a page asks for.
 * @param {import("playwright-core").Page} page
 */
function watch(page) {
  const asked = /** @type {Set<string>} */ (new Set());
  page.on("request", (request) => {
    const file = fileOf(request.url());
    if (file) asked.add(file);
  });
  return asked;
}

/** What a page names as wanted at once. @param {string} html */
const firstOf = (html) => [...html.matchAll(/\/assets\/[^/]+\/([\w/-]+\.js)"/g)].map(([, name]) => name);

const LIBRARY = "vendor/echarts/echarts.esm.min.mjs";
const tab = (/** @type {import("playwright-core").Page} */ page, /** @type {string} */ name) => page.getByRole("navigation", { name: "Parts of the study" }).getByRole("link", { name });

test("each view loads what it needs and nothing else, and charts where there are some", async () => {
  for (const { path, modules, shown } of [
    { path: "/", modules: ["views/studies.js"], shown: ".table tbody tr[data-id]" },
    { path: "/studies/small", modules: ["views/study.js", "views/tabs/overview.js"], shown: ".plot canvas" },
    { path: "/studies/small/training", modules: ["views/study.js", "views/tabs/training.js"], shown: ".training" },
    { path: "/studies/small/trials/1", modules: ["views/trial.js"], shown: ".plot canvas" },
    { path: "/workers", modules: ["views/workers.js"], shown: ".notice" },
    { path: "/new", modules: ["views/new.js"], shown: "textarea" },
  ]) {
    const view = await world.open("/nothing/here");
    const { page } = view;
    await page.getByText("There is no such page").waitFor();
    const asked = watch(page);
    const html = (await (await page.goto(world.url + path))?.text()) ?? "";
    await page.locator(shown).first().waitFor();
    await page.waitForLoadState("load");
    const wanted = new Set(["main.js", ...firstOf(html), ...modules.flatMap((name) => [name, ...NEEDS[name]])]);
    assert.deepEqual([...asked].sort(), [...wanted].filter((name) => name !== LIBRARY || shown.includes("canvas")).sort(), path);
    assert.equal(asked.has(LIBRARY), shown.includes("canvas"), path);
    await isSound(view);
  }
});

test("a part that was opened once is there at once, and one that is pointed at is fetched already", async () => {
  const view = await world.open("/studies/small");
  const { page } = view;
  await page.locator(".plot canvas").first().waitFor();
  const asked = watch(page);
  await Promise.all([page.waitForRequest((request) => fileOf(request.url()) === "views/tabs/time.js"), tab(page, "Time").hover()]);
  for (const name of ["views/tabs/burndown.js", "views/tabs/lanes.js", "views/tabs/timeline.js"]) assert.ok(asked.has(name), `${name} comes with it`);
  await tab(page, "Time").click();
  await page.getByRole("figure").filter({ hasText: "Attempts" }).first().waitFor();
  await tab(page, "Overview").click();
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  // In the same moment in which it is asked for.
  const there = await page.evaluate(() => {
    const link = [...document.querySelectorAll(".tabs a")].find(({ textContent }) => textContent === "Time");
    /** @type {HTMLElement} */ (link).click();
    return { loading: document.querySelectorAll(".panel .notice.loading").length, charts: document.querySelectorAll(".panel figure").length };
  });
  assert.equal(there.loading, 0);
  assert.ok(there.charts > 0);
  await isSound(view);
});

test("who has left a part before it came sees nothing of it", async () => {
  const view = await world.open("/studies/small");
  const { page } = view;
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  /** @type {(value?: unknown) => void} */
  let release = () => {};
  const held = new Promise((resolve) => (release = resolve));
  await page.route(/views\/tabs\/time\.js$/, async (route) => {
    await held;
    await route.fallback();
  });
  await tab(page, "Time").click();
  await page.locator(".panel .notice.loading").waitFor();
  await tab(page, "Training").click();
  await page.locator(".panel .training").waitFor();
  const came = page.waitForResponse((response) => fileOf(response.url()) === "views/tabs/time.js");
  release();
  await came;
  // What imports it has been told, too, before this answer comes.
  await page.evaluate(async () => {
    const { href } = /** @type {HTMLLinkElement} */ (document.querySelector("link[href$='views/tabs/time.js']"));
    await import(href);
  });
  assert.equal(await page.locator(".panel .training").count(), 1);
  assert.match(page.url(), /training$/);
  await isSound(view);
});

test("a part that is not there since the coordinator was upgraded says so, and the page can be loaded again", async () => {
  const view = await world.open("/studies/small");
  const { page } = view;
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  // The library is there already, and works on.
  await page.locator(".plot canvas").first().waitFor();
  await page.route(/\/assets\//, (route) => route.fulfill({ status: 404, body: "no such page" }));
  await tab(page, "Parameters").click();
  await page.getByRole("alert").filter({ hasText: "This page is of an earlier version" }).waitFor();
  await tab(page, "Overview").click();
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  // The same for what is pressed.
  await page.getByRole("button", { name: "Edit…" }).click();
  const question = page.getByRole("dialog", { name: "Load the page again?" });
  await question.getByText("The coordinator was upgraded since this page was loaded.").waitFor();
  await question.getByRole("button", { name: "Cancel" }).click();
  await tab(page, "Parameters").click();
  const again = page.getByRole("button", { name: "Load the page again" });
  await again.waitFor();
  await page.unroute(/\/assets\//);
  await again.click();
  await page.getByRole("figure").filter({ hasText: "Parallel coordinates" }).first().waitFor();
  assert.match(page.url(), /parameters$/);
  await isSound(view);
});

test("a part that is asked for while the coordinator is away comes when it is back", async () => {
  const view = await world.open("/studies/small");
  const { page } = view;
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  await page.route(/\/assets\//, (route) => route.abort());
  await tab(page, "Parameters").click();
  await page.locator(".panel").getByText("The coordinator does not answer").waitFor();
  await page.getByRole("button", { name: "Edit…" }).click();
  await page.getByText("The coordinator does not answer. Try again in a moment.").waitFor();
  await page.unroute(/\/assets\//);
  await page.getByRole("figure").filter({ hasText: "Parallel coordinates" }).first().waitFor();
  await page.getByRole("button", { name: "Edit…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await isSound(view);
});

test("charts come when the coordinator is back", async () => {
  const view = await world.open("/");
  const { page } = view;
  await page.getByRole("row", { name: /small/ }).waitFor();
  await page.route(/\/vendor\//, (route) => route.abort());
  await page.getByRole("link", { name: "small", exact: true }).click();
  await page.locator(".chart-empty").getByText("The coordinator does not answer.").first().waitFor();
  await page.unroute(/\/vendor\//);
  await page.locator(".plot canvas").first().waitFor();
  await page.locator(".chart-empty").first().waitFor({ state: "hidden" });
  await isSound(view);
});

test("a dialog that is asked for twice while it is loading opens once", async () => {
  const view = await world.open("/studies/small");
  const { page } = view;
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  /** @type {(value?: unknown) => void} */
  let release = () => {};
  const held = new Promise((resolve) => (release = resolve));
  await page.route(/views\/edit\.js$/, async (route) => {
    await held;
    await route.fallback();
  });
  const edit = page.getByRole("button", { name: "Edit…" });
  await edit.click();
  await edit.click();
  release();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  // One that is closed is hidden at once, and leaves the page a moment later; a second one would stay.
  await page.locator("dialog").waitFor({ state: "detached" });
  await isSound(view);
});
