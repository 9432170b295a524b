/** The benchmark behind `npm run bench:logs`: a database writes a line; when does it stand on a screen? */
import { type ChildProcess, spawn } from "node:child_process";
import type { Credentials } from "@dflow/protocol";
import { chromium, type Page } from "playwright-core";
import { CHROMIUM } from "../support/chromium.ts";
import { type Product, psql, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

const LINES = 1_000;
const EVERY_S = 0.02;
const ALL_MS = 120_000;

/** Milliseconds since 1970 at which each line, by its number, was seen. */
type Seen = Map<number, number>;

const product = await startProduct();
try {
  const environmentId = await product.environment("bench");
  const service = await product.createService(environmentId, "talker");
  const deployed = await product.run(service.id, "deploy");
  if (deployed.state !== "succeeded") throw new Error(`deploy ended ${deployed.state}`);
  const { uri } = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);

  const browser = await chromium.launch(CHROMIUM);
  const written: Seen = new Map();
  const inClient: Seen = new Map();
  const follower = await followByDocker(service.id, (line, at) => {
    const [, number, wroteAt] = /stamp (\d+) (\d+\.\d+)/.exec(line) ?? [];
    if (number === undefined) return;
    written.set(Number(number), Number(wroteAt) * 1_000);
    if (!inClient.has(Number(number))) inClient.set(Number(number), at);
  });
  try {
    const page = await openLogs(product, service.id, await browser.newPage());
    const talk = `do $$ begin for n in 1..${LINES} loop
      raise log 'stamp % %', n, extract(epoch from clock_timestamp()); perform pg_sleep(${EVERY_S}); end loop; end $$`;
    const { code, output } = await psql(environmentId, uri, talk);
    if (code !== 0) throw new Error(`the database did not talk: ${output}`);
    const onScreen = await until(
      "the last line on the screen",
      async () => {
        const seen = new Map(await page.evaluate<[number, number][]>("[...window.seenLines]"));
        return seen.size === LINES && inClient.size === LINES ? seen : undefined;
      },
      ALL_MS,
    );
    report(delays(written, onScreen), delays(written, inClient));
  } finally {
    follower.kill();
    await browser.close();
  }
} finally {
  await product.stop();
}

/** The yardstick: the same lines by `docker logs --follow` on the server itself. */
async function followByDocker(serviceId: string, onLine: (line: string, atMs: number) => void): Promise<ChildProcess> {
  const filter = ["ps", "-q", "--filter", `label=sh.dflow.service=${serviceId}`];
  const listed = spawn("docker", filter, { stdio: ["ignore", "pipe", "inherit"] });
  let id = "";
  for await (const chunk of listed.stdout) id += String(chunk);
  const child = spawn("docker", ["logs", "--follow", "--tail", "0", id.trim()], { stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.on("data", (chunk: Buffer) => {
      const at = Date.now();
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line, at);
    });
  }
  return child;
}

/** A reader's page; from then on it notes the frame in which each numbered line was painted. */
async function openLogs(on: Product, serviceId: string, page: Page): Promise<Page> {
  await page.goto(on.url);
  await page.getByLabel("Email").fill(on.login.email);
  await page.getByLabel("Password").fill(on.login.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
  await page.goto(`${on.url}/services/${serviceId}`);
  await page.getByRole("tab", { name: "Logs" }).click();
  await page
    .getByText(/database system is ready to accept connections/)
    .first()
    .waitFor();
  await page.evaluate(`(() => {
    window.seenLines = new Map();
    const note = (text) => {
      for (const [, number] of text.matchAll(/stamp (\\d+) \\d+\\.\\d+/g)) {
        requestAnimationFrame(() => {
          const key = Number(number);
          if (!window.seenLines.has(key)) window.seenLines.set(key, performance.timeOrigin + performance.now());
        });
      }
    };
    new MutationObserver((records) => {
      for (const { addedNodes } of records) for (const node of addedNodes) note(node.textContent ?? "");
    }).observe(document.body, { childList: true, subtree: true });
  })()`);
  return page;
}

function delays(from: Seen, to: Seen): number[] {
  return [...from].map(([number, at]) => (to.get(number) ?? Number.NaN) - at).toSorted((a, b) => a - b);
}

function report(screen: number[], client: number[]): void {
  const at = (sorted: number[], part: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN) * 10) / 10;
  const rows = [
    ["median", at(screen, 0.5), at(client, 0.5), "≤ 300"],
    ["p95", at(screen, 0.95), at(client, 0.95), "–"],
    ["longest", at(screen, 1), at(client, 1), "–"],
  ] as const;
  console.log(["log line to screen", "ms", "docker logs -f, ms", "ratio", "target"].join(" | "));
  for (const [what, value, base, target] of rows) {
    console.log([what, value, base, (value / base).toFixed(2), target].join(" | "));
  }
  console.log(
    JSON.stringify({
      lines: screen.length,
      screenMedianMs: at(screen, 0.5),
      screenP95Ms: at(screen, 0.95),
      screenMaxMs: at(screen, 1),
      dockerMedianMs: at(client, 0.5),
    }),
  );
}
