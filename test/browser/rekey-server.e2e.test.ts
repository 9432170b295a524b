/** A machine was set back to an older disk: the dashboard says that its server is quarantined, and leads out of it. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Server } from "@dflow/protocol";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM } from "../support/chromium.ts";
import { type Product, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

const AGENT = resolve(import.meta.dirname, "../../dist/agent.mjs");

describe("a quarantined server", () => {
  let product: Product;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    product = await startProduct();
    const epochFile = join(product.home, "agent/epoch.json");
    const snapshot = readFileSync(epochFile, "utf8");
    const { connectedAt } = await product.call<Server>("GET", `/servers/${product.serverId}`);
    await product.agent.kill();
    product.agent.start();
    await until("the next connection", async () => {
      const server = await product.call<Server>("GET", `/servers/${product.serverId}`);
      return server.link === "online" && server.connectedAt !== connectedAt;
    });
    await product.agent.stop();
    writeFileSync(epochFile, snapshot);
    product.agent.start();
    browser = await chromium.launch(CHROMIUM);
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(10_000);
    await page.goto(product.url);
    await page.getByLabel("Email").fill(product.login.email);
    await page.getByLabel("Password").fill(product.login.password);
    await page.getByRole("button", { name: "Sign in" }).click();
  });
  afterAll(async () => {
    await browser?.close();
    await product?.stop();
  });

  it("is named so in the list and on its page, with what happened and what it means", async () => {
    await page.getByRole("link", { name: "Servers" }).click();
    const row = page.getByRole("row", { name: /test-server/ });
    await row.getByText("Quarantined", { exact: true }).waitFor();
    await row.getByRole("link", { name: "test-server" }).click();
    const told = page.getByRole("alert");
    await told.getByText(/^Quarantined/).waitFor();
    await told.getByText(/Two machines use this server's identity: a cloned disk, or a restored snapshot/).waitFor();
    await told.getByText(/databases keep running/).waitFor();
  });

  it("is re-keyed by the commands that the dialog shows, none of which holds the token", async () => {
    await page.getByRole("button", { name: "Re-key this server" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Create token" }).click();
    const shown = await dialog.getByText(/rk1\./).first().textContent();
    const token = /rk1\.[0-9a-f-]{36}\.[\w-]{43}\.[\w-]{43}/.exec(shown ?? "")?.[0] ?? "";
    const commands = await dialog.getByText("scripts/agent").allTextContents();
    expect([commands.length, commands.join(" ").includes("rk1.")]).toEqual([2, false]);
    const folder = join(product.home, "agent");
    const args = [AGENT, "enrol", "--url", product.url, "--data-dir", folder];
    const rekeyed = spawnSync(process.execPath, args, { input: token, encoding: "utf8", timeout: 30_000 });
    expect([rekeyed.status, rekeyed.stdout]).toEqual([0, expect.stringContaining("Re-keyed")]);
    await dialog.getByText(/Waiting for the agent to connect/).waitFor();
    await product.agent.stop();
    product.agent.start();
    await dialog.getByText("It has its new key and is connected.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByText("Online", { exact: true }).first().waitFor();
    expect(await page.getByRole("button", { name: "Re-key this server" }).count()).toBe(0);
  });
});
