/** The benchmark behind `npm run bench`: each figure beside a yardstick measured in the same run. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { Operation } from "@dflow/protocol";
import { chromium } from "playwright-core";
import { CHROMIUM } from "../support/chromium.ts";
import { clientImage, docker, type Product, startProduct, tryDocker } from "../support/product.ts";
import { until } from "../support/until.ts";

const DEPLOYS = 5;
const STARTS = 10;
const IDLE_MS = Number(process.env.DFLOW_BENCH_IDLE_MS ?? 60_000);
const CLOCK_TICKS_PER_S = 100;

const product = await startProduct({
  controlPlaneConfig: { heartbeatMs: 15_000, linkDeadlineMs: 45_000 },
  agentConfig: { observeMs: 10_000 },
});
try {
  const deploys = await measureDeploys(product);
  const bare = await measureBareDocker();
  const idle = await measureIdle(product);
  const connectedMs = await measureStarts(product);
  const load = await measureFirstLoad(product);

  const rows = [
    row("deploy, our own share", deploys.ownMs, "ms", "docker run to ready, whole", bare.readyMs, 400),
    row("deploy, engine's share", deploys.engineMs, "ms", "docker run to ready, whole", bare.readyMs),
    row("deploy, accepted to success", deploys.totalMs, "ms", "docker run to ready, whole", bare.readyMs),
    row("agent RSS, idle", idle.rssMiB, "MiB", "bare Node", idle.bareNodeMiB, 90),
    row("agent CPU, idle", idle.cpuPercent, "%", "one core", 100, 0.5),
    row("agent start to connected", connectedMs, "ms", "bare Node's start", idle.bareNodeStartMs, 500),
    row("dashboard first load, compressed", load.transferredKb, "kB", "the same uncompressed", load.decodedKb, 200),
  ];
  console.log(["what", "value", "unit", "yardstick", "its value", "ratio", "target"].join(" | "));
  for (const { what, value, unit, yardstick, base, target } of rows) {
    const ratio = (value / base).toFixed(2);
    console.log([what, value, unit, yardstick, base, ratio, target === undefined ? "–" : `≤ ${target}`].join(" | "));
  }
  const figures = { ...deploys, bareDockerReadyMs: bare.readyMs, ...idle, connectedMs, ...load };
  console.log(JSON.stringify(figures));
} finally {
  await product.stop();
}

function row(what: string, value: number, unit: string, yardstick: string, base: number, target?: number) {
  return { what, value, unit, yardstick, base, target };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return round(sorted[Math.floor(sorted.length / 2)] ?? Number.NaN);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Medians over several deploys with the image present, from the agent's own timings and the API's two times. */
async function measureDeploys(on: Product): Promise<{ ownMs: number; engineMs: number; totalMs: number }> {
  const environmentId = await on.environment("bench");
  const runs: Operation[] = [];
  for (let index = 0; index < DEPLOYS; index += 1) {
    const service = await on.createService(environmentId, `bench-${index}`);
    const operation = await on.run(service.id, "deploy");
    if (operation.state !== "succeeded")
      throw new Error(`deploy ended ${operation.state}: ${operation.error?.message}`);
    runs.push(operation);
    const { id } = await on.call<Operation>("DELETE", `/services/${service.id}?data=true`);
    await on.ended(id);
  }
  const times = (of: (run: Operation) => number) => median(runs.map(of));
  return {
    ownMs: times((run) => run.timings?.ownMs ?? Number.NaN),
    engineMs: times((run) => run.timings?.engineMs ?? Number.NaN),
    totalMs: times((run) => Date.parse(String(run.endedAt)) - Date.parse(run.createdAt)),
  };
}

/** The same image by `docker run`, until the same probe says ready. */
async function measureBareDocker(): Promise<{ readyMs: number }> {
  const times: number[] = [];
  for (let index = 0; index < DEPLOYS; index += 1) {
    const name = `dflow-bench-${randomUUID()}`;
    const begun = performance.now();
    docker("run", "-d", "--name", name, "-e", "POSTGRES_PASSWORD=bench", clientImage());
    try {
      await until(
        "ready",
        async () => (await tryDocker(["exec", name, "pg_isready", "-q", "-h", "127.0.0.1"])).code === 0,
        60_000,
      );
      times.push(performance.now() - begun);
    } finally {
      docker("rm", "-f", "-v", name);
    }
  }
  return { readyMs: median(times) };
}

async function measureIdle(on: Product): Promise<{
  rssMiB: number;
  cpuPercent: number;
  bareNodeMiB: number;
  bareNodeStartMs: number;
}> {
  const bare = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  // One database runs, as on a server in use; the agent has just been started, as after an upgrade.
  const environmentId = await on.environment("idle");
  const service = await on.createService(environmentId, "idle-db");
  await on.run(service.id, "deploy");
  await on.agent.stop();
  on.agent.start();
  await until("online", async () => (await on.call("GET", `/servers/${on.serverId}`)).link === "online");
  await new Promise((done) => setTimeout(done, 5_000));
  const pid = Number(on.agent.pid);
  const before = cpuTicks(pid);
  const begun = performance.now();
  await new Promise((done) => setTimeout(done, IDLE_MS));
  const seconds = (performance.now() - begun) / 1000;
  const cpuPercent = round(((cpuTicks(pid) - before) / CLOCK_TICKS_PER_S / seconds) * 100);
  const figures = { rssMiB: rssMiB(pid), cpuPercent, bareNodeMiB: rssMiB(Number(bare.pid)) };
  bare.kill("SIGKILL");
  const starts: number[] = [];
  for (let index = 0; index < STARTS; index += 1) {
    const start = performance.now();
    const child = spawn(process.execPath, ["-e", ""], { stdio: "ignore" });
    await new Promise((done) => child.once("exit", done));
    starts.push(performance.now() - start);
  }
  return { ...figures, bareNodeStartMs: median(starts) };
}

function rssMiB(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return round(Number(kib) / 1024);
}

function cpuTicks(pid: number): number {
  // Fields after the command's closing bracket: user time is the 12th, system time the 13th.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

/** From the process's start to the control plane's own `connectedAt` on the same clock. */
async function measureStarts(on: Product): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < STARTS; index += 1) {
    await on.agent.stop();
    const begun = Date.now();
    on.agent.start();
    const connectedAt = await until("connected", async () => {
      const server = await on.call<{ link: string; connectedAt: string | null }>("GET", `/servers/${on.serverId}`);
      const at = server.connectedAt === null ? 0 : Date.parse(server.connectedAt);
      return server.link === "online" && at >= begun ? at : undefined;
    });
    times.push(connectedAt - begun);
  }
  return median(times);
}

/** What a browser with an empty cache receives until the list of applications is on the screen. */
async function measureFirstLoad(on: Product): Promise<{ transferredKb: number; decodedKb: number }> {
  const browser = await chromium.launch(CHROMIUM);
  try {
    const page = await browser.newPage();
    await page.goto(on.url);
    await page.getByLabel("Email").fill(on.login.email);
    await page.getByLabel("Password").fill(on.login.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Applications", level: 1 }).waitFor();
    await page.waitForLoadState("load");
    const { transferred, decoded } = await page.evaluate<{ transferred: number; decoded: number }>(`(() => {
      const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      const sum = (of) => entries.reduce((total, entry) => total + of(entry), 0);
      return { transferred: sum((entry) => entry.encodedBodySize), decoded: sum((entry) => entry.decodedBodySize) };
    })()`);
    return { transferredKb: round(transferred / 1000), decodedKb: round(decoded / 1000) };
  } finally {
    await browser.close();
  }
}
