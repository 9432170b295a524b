/** A person's way through the dashboard, in a real Chromium: sign in, create, deploy, watch, copy, restart, stop, delete. */
import type { Operation } from "@dflow/protocol";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM } from "../support/chromium.ts";
import { type Product, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

describe("the dashboard", () => {
  let product: Product;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    product = await startProduct();
    browser = await chromium.launch(CHROMIUM);
    context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: product.url });
    page = await context.newPage();
    page.setDefaultTimeout(10_000);
    page.on("pageerror", (error) => problems.push(error.message));
  });
  afterAll(async () => {
    await browser?.close();
    await product?.stop();
  });

  async function signIn(on: Page, email: string, password: string): Promise<void> {
    await on.goto(product.url);
    await on.getByLabel("Email").fill(email);
    await on.getByLabel("Password").fill(password);
    await on.getByRole("button", { name: "Sign in" }).click();
  }

  const badge = (text: string) => page.getByRole("main").getByText(text, { exact: true }).first();

  it("refuses a wrong password in words and takes the right one", async () => {
    await signIn(page, product.login.email, "not the password");
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Password").fill(product.login.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
  });

  it("shows the server with its facts", async () => {
    await page.getByRole("link", { name: "Servers" }).click();
    await page.getByRole("link", { name: "test-server" }).first().click();
    await page.getByRole("heading", { name: "test-server", level: 1 }).waitFor();
    await page.getByText("Docker").first().waitFor();
  });

  it("creates an application, an environment and a Postgres", async () => {
    await page.getByRole("link", { name: "Applications" }).click();
    await page
      .getByRole("button", { name: /New application|Create application/ })
      .first()
      .click();
    await page.getByRole("dialog").getByLabel("Name").fill("Shop");
    await page
      .getByRole("dialog")
      .getByRole("button", { name: /Create/ })
      .click();
    await page.getByRole("heading", { name: "Shop", level: 1 }).waitFor();
    await page
      .getByRole("button", { name: /New environment|Create environment/ })
      .first()
      .click();
    await page.getByRole("dialog").getByLabel("Name").fill("production");
    await page
      .getByRole("dialog")
      .getByRole("button", { name: /Create/ })
      .click();
    await page.getByRole("heading", { name: "production", level: 1 }).waitFor();
    await page.getByRole("button", { name: "Add New" }).first().click();
    await page.getByRole("menuitem", { name: /Add service/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Database", { exact: true }).first().click();
    await dialog.getByText("Postgres", { exact: true }).first().click();
    await dialog.getByLabel("Name", { exact: true }).fill("Orders");
    await dialog
      .getByText(/lowercase/i)
      .first()
      .waitFor();
    await dialog.getByLabel("Name", { exact: true }).fill("orders-db");
    await dialog.getByRole("button", { name: "Create Service" }).click();
    await page.getByRole("heading", { name: "orders-db", level: 1 }).waitFor();
    await badge("Not deployed").waitFor();
  });

  it("deploys, with the live log on the screen until Success", async () => {
    await page.getByRole("button", { name: "Deploy", exact: true }).first().click();
    const log = page.getByRole("log", { name: "Log of the deployment" });
    await log.getByText(/database cluster will be initialized/).waitFor();
    await page.getByRole("tab", { name: "Deployments" }).click();
    await page.getByText("Success", { exact: true }).first().waitFor({ timeout: 90_000 });
    const run = page.getByRole("tabpanel").getByRole("button", { name: /deployment, Success/ });
    // The newest run is open while it is under way; a reader may have closed it.
    if ((await run.getAttribute("aria-expanded")) !== "true") await run.click();
    await log.getByText(/PostgreSQL init process complete/).waitFor();
    await badge("Running").waitFor();
    await until(
      "Deploy absent",
      async () => (await page.getByRole("button", { name: "Deploy", exact: true }).count()) === 0,
    );
  });

  it("masks the credentials, reveals them, and copies the URL", async () => {
    await page.getByRole("tab", { name: "Overview" }).click();
    const { items } = await product.call<{ items: { id: string }[] }>(
      "GET",
      `/environments/${await environmentId()}/services`,
    );
    const { uri, password } = await product.call<{ uri: string; password: string }>(
      "GET",
      `/services/${items[0]?.id}/credentials`,
    );
    await page
      .getByRole("button", { name: /Copy.*URL/i })
      .first()
      .waitFor();
    expect(await page.getByRole("main").textContent()).not.toContain(password);
    await page
      .getByRole("button", { name: /Copy.*URL/i })
      .first()
      .click();
    await page.getByText("Copied").first().waitFor();
    expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe(uri);
    await page
      .getByRole("button", { name: /(Reveal|Show).*password/i })
      .first()
      .click();
    await page.getByText(password).first().waitFor();
  });

  it("streams the container's log", async () => {
    await page.getByRole("tab", { name: "Logs" }).click();
    await page
      .getByText(/database system is ready to accept connections/)
      .first()
      .waitFor();
  });

  it("catches up without a reload when the control plane was killed", async () => {
    await page.getByRole("tab", { name: "Overview" }).click();
    await page.evaluate("window.stillTheSamePage = true");
    await product.controlPlane.kill();
    await page
      .getByText(/offline|reconnecting|catching up/i)
      .first()
      .waitFor();
    product.controlPlane.start();
    await until("ready", async () => (await fetch(`${product.url}/readyz`).catch(() => undefined))?.ok);
    const { items } = await product.call<{ items: { id: string }[] }>(
      "GET",
      `/environments/${await environmentId()}/services`,
    );
    await until(
      "agent back",
      async () => (await product.call("GET", `/servers/${product.serverId}`)).link === "online",
    );
    const operation = await product.call<Operation>("POST", `/services/${items[0]?.id}/stop`);
    await product.ended(operation.id);
    await badge("Stopped").waitFor({ timeout: 30_000 });
    expect(await page.evaluate<boolean>("window.stillTheSamePage === true")).toBe(true);
  });

  it("restarts and stops by its buttons", async () => {
    await page.getByRole("button", { name: "Restart", exact: true }).click();
    await badge("Running").waitFor({ timeout: 60_000 });
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await badge("Stopped").waitFor({ timeout: 60_000 });
  });

  it("tells a viewer why the buttons are off, and shows no credentials", async () => {
    const invitation = await product.call<{ token: string }>(
      "POST",
      `/workspaces/${product.login.workspaceId}/invitations`,
      {
        email: "viewer@example.test",
        role: "viewer",
      },
    );
    const accepted = await product.ask("POST", "/invitations/accept", {
      ...{ token: invitation.token, name: "Vera", password: "a long enough password" },
    });
    expect(accepted.status).toBeLessThan(300);
    const path = new URL(page.url()).pathname;
    const viewing = await (await browser.newContext()).newPage();
    await signIn(viewing, "viewer@example.test", "a long enough password");
    await viewing.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
    await viewing.goto(`${product.url}${path}`);
    const restart = viewing.getByRole("button", { name: "Restart", exact: true });
    await restart.waitFor();
    expect(await restart.getAttribute("aria-disabled")).toBe("true");
    await restart.hover();
    await viewing
      .getByText(/Your role here is viewer/)
      .first()
      .waitFor();
    expect(await viewing.getByRole("button", { name: /Copy.*URL/i }).count()).toBe(0);
    await viewing.context().close();
  });

  it("deletes after the name was typed", async () => {
    await page.getByRole("tab", { name: "Settings" }).click();
    await page.getByRole("button", { name: "Delete service" }).click();
    const dialog = page.getByRole("dialog").or(page.getByRole("alertdialog"));
    const confirm = dialog.getByRole("button", { name: /Delete/ });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("orders-db");
    await dialog.getByRole("checkbox", { name: /data/i }).click();
    await confirm.click();
    await page.getByRole("heading", { name: "production", level: 1 }).waitFor({ timeout: 60_000 });
    await until("no service left", async () => {
      const { items } = await product.call<{ items: unknown[] }>(
        "GET",
        `/environments/${await environmentId()}/services`,
      );
      return items.length === 0;
    });
  });

  it("met no error in the page", () => {
    expect(problems).toEqual([]);
  });

  async function environmentId(): Promise<string> {
    const { items } = await product.call<{ items: { environments: { id: string }[] }[] }>(
      "GET",
      `/workspaces/${product.login.workspaceId}/applications`,
    );
    return String(items[0]?.environments[0]?.id);
  }
});
