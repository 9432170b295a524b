/** A person adds a server: the token on the screen, an agent that enrols with it by standard input, and the page that notices. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM } from "../support/chromium.ts";
import { createProcess, type Process, type Product, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

const ROOT = resolve(import.meta.dirname, "../..");

describe("adding a server", () => {
  let product: Product;
  let browser: Browser;
  let page: Page;
  let second: Process | undefined;

  async function signIn(): Promise<void> {
    await page.getByLabel("Email").fill(product.login.email);
    await page.getByLabel("Password").fill(product.login.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "Servers" }).click();
  }

  beforeAll(async () => {
    product = await startProduct();
    browser = await chromium.launch(CHROMIUM);
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(10_000);
    await page.goto(product.url);
    await signIn();
  });
  afterAll(async () => {
    await second?.stop();
    await browser?.close();
    await product?.stop();
  });

  it("shows a token, says that this control plane is reached from this machine only, and waits", async () => {
    await page.getByRole("button", { name: "Add server" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("fra-2");
    await dialog.getByRole("button", { name: "Create token" }).click();
    await dialog.getByText(/listens on its own machine only/).waitFor();
    await dialog.getByText("Waiting for the agent…").waitFor();
  });

  it("has no token in the commands, where a process list would show it", async () => {
    const commands = await page.getByRole("dialog").getByText("scripts/agent").allTextContents();
    expect(commands).toHaveLength(2);
    expect(commands.join(" ")).not.toContain("jt1.");
  });

  it("says connected, with the server's facts, as soon as its agent is there", async () => {
    const dialog = page.getByRole("dialog");
    const token = /jt1\.[0-9a-f-]{36}\.[\w-]{43}\.[\w-]{43}/.exec((await dialog.textContent()) ?? "")?.[0] ?? "";
    const data = join(product.home, "second-agent");
    const enrolled = spawnSync(
      process.execPath,
      [join(ROOT, "dist/agent.mjs"), "enrol", "--url", product.url, "--data-dir", data],
      { input: `${token}\n`, encoding: "utf8", timeout: 30_000 },
    );
    expect(enrolled.status, enrolled.stderr).toBe(0);
    expect(`${enrolled.stdout}${enrolled.stderr}`).not.toContain(token);
    second = createProcess("agent", ["run", "--data-dir", data], product.home, "second-agent");
    second.start();
    await dialog.getByText("fra-2 is connected").waitFor();
    await dialog.getByText("127.0.0.1").first().waitFor();
    await dialog
      .getByText(/Docker/)
      .first()
      .waitFor();
  });

  it("lists it beside the first, and calls it unreachable when its agent is gone", async () => {
    await page.keyboard.press("Escape");
    const row = page.getByRole("row", { name: /fra-2/ });
    await row.getByText("Online").waitFor();
    await second?.kill();
    await row.getByText("Unreachable").waitFor();
    await page
      .getByRole("row", { name: /test-server/ })
      .getByText("Online")
      .waitFor();
  });

  it("shows one line and the token where the control plane has a public address", async () => {
    const file = join(product.home, "control-plane.json");
    const config = JSON.parse(readFileSync(file, "utf8")) as object;
    await product.controlPlane.stop();
    writeFileSync(file, JSON.stringify({ ...config, publicUrl: "https://db.example.org" }));
    product.controlPlane.start();
    await until("ready", async () => (await fetch(`${product.url}/readyz`).catch(() => undefined))?.ok);
    await page.goto(product.url);
    await signIn();
    await page.getByRole("button", { name: "Add server" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("fra-3");
    await dialog.getByRole("button", { name: "Create token" }).click();
    await dialog.getByText("curl -fsSL https://db.example.org/install.sh | sudo sh").waitFor();
    await dialog.getByText(/^jt1\./).waitFor();
    expect(await dialog.getByText("scripts/agent").count()).toBe(0);
  });
});
