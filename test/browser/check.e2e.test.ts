/** A check in a real Chromium: passed, asked for again while the server is away, unknown, and settled by a person. */
import type { Operation, Service } from "@dflow/protocol";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM } from "../support/chromium.ts";
import { createHeldTable, type HeldTable } from "../support/held-table.ts";
import { docker, type Product, psql, startProduct } from "../support/product.ts";

describe("a check on the screen", () => {
  let product: Product;
  let browser: Browser;
  let page: Page;
  let service: Service;
  let rows: HeldTable;
  const problems: string[] = [];

  beforeAll(async () => {
    product = await startProduct();
    const environmentId = await product.environment();
    service = await product.createService(environmentId, "orders");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
    const uri = async () => (await product.call<{ uri: string }>("GET", `/services/${service.id}/credentials`)).uri;
    expect((await psql(environmentId, await uri(), "create table rows (n int)")).code).toBe(0);
    rows = createHeldTable(environmentId, "rows", uri);
    browser = await chromium.launch(CHROMIUM);
    page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(product.url);
    await page.getByLabel("Email").fill(product.login.email);
    await page.getByLabel("Password").fill(product.login.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
    await page.goto(`${product.url}/services/${service.id}`);
  });
  afterAll(async () => {
    await rows?.release();
    await browser?.close();
    await product?.stop();
  });

  const fact = (value: string | RegExp) =>
    page.getByText("Last check", { exact: true }).locator("..").getByText(value, { exact: true });
  const check = () => page.getByRole("button", { name: "Check", exact: true }).click();
  const open = async () => (await product.service(service.id)).openOperation as Operation;

  it("passes, and the facts say so with the time from then on", async () => {
    await fact("Never").waitFor();
    await check();
    await page.getByText("orders passed its check").waitFor({ timeout: 60_000 });
    await fact("Passed").waitFor();
    await fact(/now|ago/).waitFor();
    await page.reload();
    await fact("Passed").click();
    await page
      .getByRole("log", { name: "Log of the check" })
      .getByText(/Done in/)
      .waitFor();
  });

  it("is asked for again by a person while its server is away, and unknown when its job is gone", async () => {
    await rows.hold();
    await check();
    await rows.waitedFor();
    const { id } = await open();
    await page.getByRole("button", { name: "Checking" }).click();
    await product.agent.kill();
    await page.getByRole("button", { name: "Look again" }).click();
    await page.getByRole("button", { name: "Asked again" }).waitFor();
    docker("rm", "-f", `dflow-job-${id}`);
    await rows.release();
    product.agent.start();
    await page.getByRole("alert").filter({ hasText: "outcome_unknown" }).waitFor({ timeout: 60_000 });
    await page.getByRole("tab", { name: "Overview" }).click();
    await fact("Unknown").waitFor();
  });

  it("is settled with what was seen, once, and stays unknown", async () => {
    await fact("Unknown").click();
    const asFailed = page.getByRole("button", { name: "Settle as failed" });
    expect(await asFailed.isDisabled()).toBe(true);
    await page.getByLabel("What did you see?").fill("I removed its container.");
    await asFailed.click();
    await page.getByText(/Unknown, settled as failed by/).waitFor();
    await page.getByText("I removed its container.").waitFor();
    expect(await asFailed.count()).toBe(0);
    await page.getByRole("tab", { name: "Overview" }).click();
    await fact("Unknown").waitFor();
    expect((await product.service(service.id)).lastCheck).toMatchObject({ state: "unknown" });
  });

  it("met no error in the page", () => {
    expect(problems).toEqual([]);
  });
});
