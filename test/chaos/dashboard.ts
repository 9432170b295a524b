/** What a person sees meanwhile: the environment's page in a real Chromium, opened once and never loaded anew. */
import { SERVICE_STATE_LABELS, type Service } from "@dflow/protocol";
import { type Browser, chromium, type Page } from "playwright-core";
import { CHROMIUM } from "../support/chromium.ts";
import type { Product } from "../support/product.ts";

export interface Dashboard {
  /** Sentences where a badge is not the label of what the API says; waits that long for the page to catch up. */
  disagreements(services: () => Promise<Service[]>, withinMs: number): Promise<string[]>;
  close(): Promise<void>;
}

/** A signal ends the run after its schedule, and the browser must not be gone before. */
const TO_THE_END = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };

export async function openDashboard(product: Product, environmentId: string): Promise<Dashboard> {
  const browser: Browser = await chromium.launch({ ...CHROMIUM, ...TO_THE_END });
  const page: Page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`the page threw: ${error.message}`));
  await page.goto(product.url);
  await page.getByLabel("Email").fill(product.login.email);
  await page.getByLabel("Password").fill(product.login.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
  await page.goto(`${product.url}/environments/${environmentId}`);
  await page.getByRole("main").getByRole("table").waitFor();

  const badges = async (): Promise<Map<string, string>> => {
    const rows = await page.getByRole("main").getByRole("table").locator("tbody tr").all();
    const cells = await Promise.all(rows.map((row) => row.locator("td").allInnerTexts()));
    return new Map(cells.map(([name = "", state = ""]) => [name.trim(), state.trim()]));
  };

  return {
    async disagreements(services, withinMs) {
      const end = performance.now() + withinMs;
      for (;;) {
        const wanted = new Map((await services()).map(({ name, state }) => [name, SERVICE_STATE_LABELS[state]]));
        const shown = await badges();
        const said = [...new Set([...wanted.keys(), ...shown.keys()])]
          .filter((name) => wanted.get(name) !== shown.get(name))
          .map(
            (name) =>
              `${name}: the API says ${wanted.get(name) ?? "nothing"}, the page shows ${shown.get(name) ?? "nothing"}`,
          );
        if ((said.length === 0 && problems.length === 0) || performance.now() > end)
          return [...problems.splice(0), ...said];
        await new Promise((done) => setTimeout(done, 500));
      }
    },
    close: () => browser.close(),
  };
}
