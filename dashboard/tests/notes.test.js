// Notes and messages in Markdown: what is meant is seen, what is hostile stays text, and they are written with what becomes of them beside.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EVIL, eventually, isSound, violations, World } from "./support.js";

/** @type {World} */
let world;
before(async () => {
  world = await World.start({ worker: false });
  await world.ownStudy("noted");
  for (const value of [1, 2, 3]) await world.call("POST", "/v1/studies/noted/trials", { parameters: { x: value / 4 }, result: { value } });
});
after(() => world.stop());

const NOTE = `### Warm-up helps

First line
second line with **strong**, *em*, ~~gone~~ and \`a < b\`.

##### Skipped two levels

- one
  1. inner
- [x] did that
- [ ] to do

> quoted

| run | loss |
|-----|-----:|
| a   | 0.25 |

\`\`\`
for x in y:
    print(x)
\`\`\`

---

See [the paper](https://example.test/a?b=c "A title"), [trial 1](/studies/noted/trials/1), https://example.test/auto and <me@example.test>.
![a plot](https://example.test/plot.png)`;

/** @param {string} study @param {number} trial */
const trialOf = async (study, trial) => (await world.call("GET", `/v1/studies/${study}/trials/${trial}`)).trial;
/** @param {number} trial @param {string} note */
const setNote = (trial, note) => world.call("PATCH", `/v1/studies/noted/trials/${trial}`, { note });

for (const theme of /** @type {const} */ (["light", "dark"])) {
  test(`a note and a message are shown as they are meant, in the ${theme} theme`, async () => {
    await setNote(1, NOTE);
    await world.call("PATCH", "/v1/studies/noted?update_mask=message", { message: `# What we want\n\n${"a line\n".repeat(20)}` });
    const view = await world.open("/studies/noted/trials/1", { colorScheme: theme, bypassCSP: true });
    const { page } = view;
    const note = page.locator(".side .prose");
    await note.getByRole("heading", { level: 3, name: "Warm-up helps" }).waitFor();
    await note.getByRole("heading", { level: 4, name: "Skipped two levels" }).waitFor();
    for (const [tag, text] of [["strong", "strong"], ["em", "em"], ["del", "gone"], ["p > code", "a < b"], ["pre code", "for x in y:\n    print(x)"], ["blockquote", "quoted"], ["ul > li > ol > li", "inner"]]) {
      assert.equal(await note.locator(tag).first().textContent(), text, tag);
    }
    assert.equal(await note.locator("p:has(br)").first().locator("br").count(), 1);
    assert.equal(await note.locator("hr").count(), 1);
    assert.deepEqual(await note.locator(".task [role=img]").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label"))), ["done", "to do"]);
    assert.deepEqual(await note.locator("td").allTextContents(), ["a", "0.25"]);
    const links = await note.locator("a").evaluateAll((all) => all.map((one) => [one.textContent, one.getAttribute("href"), one.getAttribute("rel"), one.getAttribute("target")]));
    assert.deepEqual(links, [
      ["the paper", "https://example.test/a?b=c", "noopener noreferrer", "_blank"],
      ["trial 1", "/studies/noted/trials/1", null, null],
      ["https://example.test/auto", "https://example.test/auto", "noopener noreferrer", "_blank"],
      ["me@example.test", "mailto:me@example.test", "noopener noreferrer", "_blank"],
      ["Image: a plot", "https://example.test/plot.png", "noopener noreferrer", "_blank"],
    ]);
    assert.deepEqual(await violations(page), []);
    await page.goto(`${world.url}/studies/noted`);
    await page.locator(".lead").getByRole("heading", { level: 2, name: "What we want" }).waitFor();
    assert.deepEqual(await violations(page), []);
    await isSound(view);
  });
}

test("links lead within the dashboard, or say where they lead; everything else stays as it was written", async () => {
  const wrong = ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "&#106;avascript:alert(1)", "data:text/html,<script>1</script>", "vbscript:x", "file:///etc/passwd", "blob:https://x/1", "//example.test/x", "/\\example.test", "/v1/session", "/studies/../v1/session", "relative", "#place", "ftp://example.test"];
  const note = [
    ...wrong.flatMap((address) => [`[a](${address})`, `![i](${address})`, `<${address}>`]),
    "[b][ref]",
    EVIL,
    "<div onclick=\"window.pwned=3\">\n*inside*\n</div>",
    "<!-- hidden -->",
    "\n[ref]: javascript:alert(2)",
  ].join("\n\n");
  await setNote(2, note);
  const view = await world.open("/studies/noted/trials/2");
  const { page } = view;
  const shown = page.locator(".side .prose");
  await shown.locator("p").nth(3).waitFor();
  const links = await shown.locator("a").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
  assert.deepEqual(links, []);
  const text = (await shown.textContent()) ?? "";
  for (const part of ["[a](javascript:alert(1))", "![i](data:text/html,<script>1</script>)", "[a](/v1/session)", "[b][ref]", "<img src=x onerror=", '<div onclick="window.pwned=3">', "*inside*", "<!-- hidden -->"]) assert.ok(text.includes(part), part);
  assert.equal(await shown.locator(":not(p, br, a, span)").count(), 0);
  // A text that defines links and says nothing is shown as it is.
  await setNote(2, "[ref]: https://example.test");
  await shown.getByText("[ref]: https://example.test").waitFor();
  await isSound(view);
});

test("what is nested too deeply, or would take too long, is shown as it was written", async () => {
  const most = 16_000;
  const bombs = {
    quotes: ">".repeat(most),
    spaced: "> ".repeat(most / 2),
    mixed: "> - ".repeat(most / 4),
    numbers: "1. ".repeat(most / 3),
    emphasis: `${"*a **b ".repeat(2_000)}${"c** d*".repeat(300)}`,
    underscores: "_a".repeat(most / 2),
    brackets: `${"[".repeat(most / 2)}${"]".repeat(most / 2)}`,
    columns: `${"|a".repeat(1_000)}\n${"|-".repeat(1_000)}\n${"|a\n".repeat(4_000)}`,
    apart: `a${" ".repeat(most - 2)}b`,
    indented: Array.from({ length: 170 }, (_, depth) => `${" ".repeat(depth)}- a`).join("\n"),
  };
  const view = await world.open("/studies/noted/trials/3");
  const { page } = view;
  const shown = page.locator(".side .prose");
  const letters = (/** @type {string} */ text) => text.replace(/[-\s]/g, "");
  for (const [name, text] of Object.entries(bombs)) {
    await setNote(3, text);
    await page.reload();
    await shown.locator("*").first().waitFor();
    await eventually(`${name} is shown`, async () => assert.equal(letters((await shown.textContent()) ?? ""), letters(text), name));
    assert.ok((await shown.locator("*").count()) < 5_000, name);
  }
  await isSound(view);
});

test("Markdown is loaded when something is shown that needs it", async () => {
  await setNote(3, "a plain remark, of one line.");
  await world.call("PATCH", "/v1/studies/noted?update_mask=message", { message: "" });
  const view = await world.open("/");
  const { page } = view;
  const loaded = /** @type {string[]} */ ([]);
  page.on("request", (request) => void (/mark(ed|down)/.test(request.url()) && loaded.push(request.url())));
  await page.goto(`${world.url}/studies/noted/trials/3`);
  await page.locator(".side .prose").getByText("a plain remark, of one line.").waitFor();
  assert.deepEqual(loaded, []);
  await setNote(3, "now **strong**");
  await page.locator(".side .prose strong").waitFor();
  assert.equal(loaded.length, 2);
  await isSound(view);
});

test("a note is written with what becomes of it beside it, by keyboard", async () => {
  await setNote(1, "**first** line\nsecond");
  await setNote(2, "one `line`");
  const view = await world.open("/studies/noted/trials/1", { bypassCSP: true });
  const { page } = view;
  const dialog = page.getByRole("dialog", { name: "Note on trial 1" });
  const preview = dialog.getByRole("region", { name: "Preview" });
  await page.locator(".side section", { hasText: "Note" }).getByRole("button", { name: "Edit…" }).press("Enter");
  await preview.locator("strong").getByText("first").waitFor();
  assert.equal(await dialog.getByLabel("Note", { exact: true }).evaluate((area) => area === document.activeElement), true);
  await page.keyboard.press("Control+End");
  await page.keyboard.type("\n\n# Heading\n- item");
  await preview.getByRole("heading", { level: 3, name: "Heading" }).waitFor();
  await preview.locator("li").getByText("item").waitFor();
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press("Tab");
  assert.equal(await preview.evaluate((node) => node === document.activeElement), true);
  // A click beside the dialog does not lose what was written.
  await page.mouse.click(5, 5);
  await dialog.getByLabel("Note", { exact: true }).press("Control+Enter");
  await page.locator(".side .prose li").getByText("item").waitFor();
  assert.equal((await trialOf("noted", 1)).note, "**first** line\nsecond\n\n# Heading\n- item");

  // In a table there is room for the first line; one of several is edited as a whole.
  await page.goto(`${world.url}/studies/noted?columns=note`);
  const cell = (/** @type {number} */ number) => page.locator(`.trials tr[data-id='${number}'] td[data-edit=note]`);
  await cell(1).getByText("first line", { exact: true }).waitFor();
  assert.equal(await cell(2).textContent(), "one line");
  await cell(1).dblclick();
  await dialog.getByLabel("Note", { exact: true }).fill("- [ ] only\nthis");
  await dialog.getByRole("button", { name: "Save" }).click();
  await cell(1).getByText("only", { exact: true }).waitFor();
  assert.equal((await trialOf("noted", 1)).note, "- [ ] only\nthis");
  await cell(2).dblclick();
  assert.equal(await page.getByLabel("Note on trial 2").inputValue(), "one `line`");
  await page.keyboard.press("Escape");
  await page.goto(`${world.url}/studies/noted/compare?trials=1,2`);
  const row = page.locator(".side-by-side tr").filter({ has: page.getByRole("rowheader", { name: "Note" }) });
  await row.first().waitFor();
  assert.deepEqual(await row.locator("td").allTextContents(), ["only", "one line"]);
  // A message is written in the same way.
  await page.goto(`${world.url}/studies/noted`);
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: "Message…" }).click();
  await page.getByRole("dialog").getByLabel("Message", { exact: true }).fill("read *this*");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.locator(".lead em").getByText("this").waitFor();
  await isSound(view);
});
