// Who looks at it: by keyboard, by screen reader, in the dark; and what bad people write into it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, script, violations, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ labels: ["zone=north"] });
  const program = script(
    world,
    "evil.sh",
    `i=0; while [ $i -lt 5 ]; do i=$((i+1)); printf '{"step": %s, "loss": 0.%s}\\n' $i $i; done\nprintf '%s\\n' "$1"\nprintf '%s\\n' "$1" >&2\nexit 3\n`,
  );
  await world.ownStudy("evil", {
    message: EVIL,
    space: [{ name: "kind", type: "categorical", choices: [EVIL, `=HYPERLINK("http://evil.test")${EVIL}`] }],
    trial: { command: ["sh", program, EVIL], metrics: { stdoutJson: {} } },
    budget: { trials: "2" },
  });
  await eventually("its trials fail", async () => assert.equal((await world.call("GET", "/v1/studies/evil")).study.counts.failed, "2"));
  await world.call("PATCH", "/v1/studies/evil/trials/1", { note: EVIL });
  await world.call("PATCH", "/v1/studies/evil/trials/1?update_mask=tags", { tags: [EVIL.slice(0, 60)] });
  await world.call("PATCH", "/v1/studies/evil?update_mask=project", { project: "vision" });
  await world.ownStudy("other");
  for (const value of [0.5, 0.25, 0.75, 0.125]) {
    const { trial } = (await world.call("POST", "/v1/studies/other/ask", { client: EVIL })).trials[0];
    await world.call("POST", `/v1/${trial.name}/report`, { points: { metrics: ["loss"], metric: [0, 0], step: ["1", "2"], value: [value * 2, value] } });
    if (value === 0.75) await world.call("POST", `/v1/${trial.name}/tell`, { failed: true, reason: EVIL });
    else if (value !== 0.125) await world.call("POST", `/v1/${trial.name}/tell`, {});
  }
});
after(() => world.stop());

const VIEWS = [
  { path: "/", shown: ".table tbody tr[data-id]" },
  { path: "/studies/evil", shown: ".trials tbody tr[data-id]" },
  { path: "/studies/other", shown: ".plot canvas" },
  { path: "/studies/evil/trials/1", shown: ".log" },
  { path: "/studies/other/trials/3", shown: ".side dd" },
  { path: "/workers", shown: ".worker" },
  { path: "/new", shown: ".editor" },
  { path: "/new?from=evil", shown: ".editor" },
  { path: "/studies/evil?chosen=1,2&columns=tags,note", shown: ".trials tbody tr[data-id]" },
  { path: "/studies/evil/compare?trials=1,2", shown: ".side-by-side" },
  { path: "/studies/other/compare?trials=1,2,3", shown: ".plot canvas" },
  { path: "/compare?studies=evil,other", shown: ".side-by-side" },
  { path: "/?group=project&chosen=evil", shown: ".project" },
];

for (const theme of /** @type {const} */ (["light", "dark"])) {
  test(`no view has anything that axe objects to, in the ${theme} theme`, async () => {
    const view = await world.open("/", { colorScheme: theme, bypassCSP: true });
    const { page } = view;
    const check = async (/** @type {string} */ what) => assert.deepEqual(await violations(page), [], what);
    for (const { path, shown } of VIEWS) {
      await page.goto(world.url + path);
      await page.locator(shown).first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), theme);
      await check(path);
    }
    await page.goto(`${world.url}/studies/other`);
    await page.getByText("More", { exact: true }).click();
    await check("the menu");
    await page.getByRole("button", { name: "Add trial…" }).click();
    await page.getByRole("dialog").waitFor();
    await check("adding a trial");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit…" }).click();
    await page.getByRole("dialog").getByLabel("Priority").fill("0");
    await page.getByRole("dialog").getByText("must be between 1 and 1000").waitFor();
    await check("editing a study");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await check("help");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    await check("signing in");
    await page.context().close();
  });
}

test("what is written into names, notes, parameters, reasons and logs is shown as it is and does nothing", async () => {
  const view = await world.open("/");
  const { page } = view;
  const shows = async (/** @type {string} */ selector) => page.locator(selector).getByText("<img src=x onerror=").first().waitFor();
  await shows(".table");
  await page.goto(`${world.url}/studies/evil?columns=p:kind,note`);
  await shows(".lead");
  await shows(".trials td:nth-child(2)");
  await shows(".trials td:nth-child(3)");
  await page.goto(`${world.url}/studies/evil/trials/1`);
  await shows(".log");
  await shows(".side .facts");
  await shows(".side .prose");
  await shows(".side .tag");
  await page.goto(`${world.url}/studies/evil/compare?trials=1,2`);
  await shows(".side-by-side td");
  await shows(".side-by-side .tag");
  await page.goto(`${world.url}/compare?studies=evil,other`);
  await shows(".side-by-side td");
  await page.goto(`${world.url}/studies/evil/trials/1`);
  await shows(".log");
  await page.getByLabel("Stream").selectOption("stderr");
  await shows(".log");
  await page.goto(`${world.url}/studies/other/trials/3`);
  await shows(".title-row .reason");
  await shows(".side .attempt");
  await page.goto(`${world.url}/studies/${encodeURIComponent(EVIL)}`);
  await page.getByRole("alert").getByText("This cannot be shown").waitFor();
  assert.equal(await page.locator(".health").textContent(), "", "nothing more is waited for");
  await page.goto(`${world.url}/?q=${encodeURIComponent(EVIL)}`);
  await page.locator(".table").waitFor();
  await isSound(view);
});

test("everything is reached by keyboard", async () => {
  const view = await world.open("/");
  const { page } = view;
  const at = () => page.evaluate(() => document.activeElement?.getAttribute("data-id") ?? document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent);
  const rows = page.locator(".table tbody tr[data-id]");
  await rows.nth(1).waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await at(), "To the content");
  const seen = [];
  for (let presses = 0; presses < 20; presses += 1) {
    await page.keyboard.press("Tab");
    seen.push(await at());
    if (await page.evaluate(() => document.activeElement?.tagName === "TR")) break;
  }
  assert.deepEqual(seen.slice(0, 6), ["Tunesmith", "Studies", "Workers", "Light or dark (d)", "Keyboard (?)", "Sign out"]);
  const ids = await rows.evaluateAll((nodes) => nodes.map((node) => node.getAttribute("data-id")));
  assert.equal(seen.at(-1), ids[0]);
  await page.keyboard.press("ArrowDown");
  assert.equal(await at(), ids[1]);
  await page.keyboard.press("Home");
  await page.keyboard.press("/");
  assert.equal(await at(), "Search studies");
  await page.keyboard.type("evil");
  await page.waitForFunction(() => document.querySelectorAll(".table tbody tr[data-id]").length === 1);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "evil" }).waitFor();
  await page.locator(".trials tbody tr[data-id]").first().waitFor();
  await page.keyboard.press("t");
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /^Trial \d/ }).waitFor();
  await page.keyboard.press("u");
  await page.getByRole("heading", { level: 1, name: "evil" }).waitFor();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  // Keys of the page are not for dialogs.
  await page.keyboard.press("u");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByRole("heading", { level: 1, name: "evil" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("w");
  await page.getByRole("heading", { level: 1, name: /Workers/ }).waitFor();
  const before = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.keyboard.press("d");
  const now = await page.evaluate(() => document.documentElement.dataset.theme);
  assert.notEqual(now, before);
  await page.reload();
  await page.getByRole("heading", { level: 1, name: /Workers/ }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), now, "it is kept");
  await isSound(view);
});

test("on the screen of a small laptop nothing but tables scrolls sideways", async () => {
  const view = await world.open("/", { viewport: { width: 1024, height: 640 } });
  for (const { path, shown } of VIEWS) {
    await view.page.goto(world.url + path);
    await view.page.locator(shown).first().waitFor();
    assert.equal(await view.page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth), true, path);
  }
  await isSound(view);
});
