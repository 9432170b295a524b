/** The switch for outgoing traffic in a real Chromium: when a database is created, later, and for a viewer. */
import type { Service } from "@dflow/protocol";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHROMIUM } from "../support/chromium.ts";
import { type Product, startProduct } from "../support/product.ts";

const PASSWORD = "a long enough password";

describe("the switch for outgoing traffic", () => {
  let product: Product;
  let browser: Browser;
  let page: Page;
  let environmentId: string;
  const problems: string[] = [];

  beforeAll(async () => {
    product = await startProduct();
    environmentId = await product.environment();
    browser = await chromium.launch(CHROMIUM);
    page = await signedIn(product.login.email, product.login.password);
  });
  afterAll(async () => {
    await browser?.close();
    await product?.stop();
  });

  async function signedIn(email: string, password: string): Promise<Page> {
    const on = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage();
    on.setDefaultTimeout(10_000);
    on.on("pageerror", (error) => problems.push(error.message));
    await on.goto(product.url);
    await on.getByLabel("Email").fill(email);
    await on.getByLabel("Password").fill(password);
    await on.getByRole("button", { name: "Sign in" }).click();
    await on.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
    return on;
  }
  const theSwitch = (on: Page) => on.getByRole("switch", { name: "Outgoing traffic" });
  const only = async () =>
    (await product.call<{ items: Service[] }>("GET", `/environments/${environmentId}/services`)).items[0] as Service;

  it("is off in the create form, under Advanced, and goes along when it is switched on by the keyboard", async () => {
    await page.goto(`${product.url}/environments/${environmentId}?add=database`);
    const dialog = page.getByRole("dialog");
    expect(await theSwitch(page).isVisible()).toBe(false);
    await dialog.getByText("Advanced").click();
    expect(await theSwitch(page).isChecked()).toBe(false);
    await theSwitch(page).focus();
    await page.keyboard.press("Space");
    expect(await theSwitch(page).isChecked()).toBe(true);
    await dialog.getByLabel("Version").selectOption({ index: 0 });
    await dialog.getByLabel("Name", { exact: true }).fill("replica");
    await dialog.getByRole("button", { name: "Create Service" }).click();
    await page.getByRole("heading", { name: "replica", level: 1 }).waitFor();
    expect((await only()).outgoing).toBe(true);
    await page.getByText("On", { exact: true }).waitFor();
  });

  it("says after a change of a running database that its container is still otherwise, and when that ends", async () => {
    const { id } = await only();
    expect((await product.run(id, "deploy")).state).toBe("succeeded");
    await page.getByRole("tab", { name: "Settings" }).click();
    await theSwitch(page).click();
    await page.getByRole("status").getByText("Its container still has it. Applies at the next Restart.").waitFor();
    expect(await theSwitch(page).isChecked()).toBe(false);
    await page.getByRole("tab", { name: "Overview" }).click();
    // Not the toast, which says the same for a moment.
    const overview = page.getByRole("tabpanel").getByText("Its container still has it. Applies at the next Restart.");
    await overview.waitFor();
    expect((await product.run(id, "restart")).state).toBe("succeeded");
    await overview.waitFor({ state: "detached" });
  });

  it("stands still for a viewer and says why", async () => {
    const invitations = `/workspaces/${product.login.workspaceId}/invitations`;
    const email = "viewer@example.test";
    const { token } = await product.call<{ token: string }>("POST", invitations, { email, role: "viewer" });
    await product.call("POST", "/invitations/accept", { token, name: "Vera", password: PASSWORD });
    const viewing = await signedIn(email, PASSWORD);
    await viewing.goto(`${product.url}/services/${(await only()).id}?tab=settings`);
    const off = theSwitch(viewing);
    await off.waitFor();
    expect(await off.getAttribute("aria-disabled")).toBe("true");
    await off.focus();
    await viewing.keyboard.press("Space");
    expect(await off.isChecked()).toBe(false);
    await viewing.getByText(/Your role here is viewer, which cannot change services/).waitFor();
    expect((await only()).outgoing).toBe(false);
  });

  it("met no error in the page", () => {
    expect(problems).toEqual([]);
  });
});
