/** One real control plane, its bundle on a SQLite file, under the agents of the fleet: what is measured of it, in order. */
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { databaseFile } from "../../control-plane/src/data-folder.ts";
import { CONTROL_PLANE_NODE_FLAGS } from "../../scripts/control-plane-flags.ts";
import { freePort } from "../support/product.ts";
import { readSqlite } from "../support/read-sqlite.ts";
import { until } from "../support/until.ts";
import { createFleet, type Fleet } from "./link-fleet.ts";
import type { Probe } from "./link-lag-probe.ts";
import { readLogs, runCommands } from "./link-load.ts";
import { type MeasuredProcess, startMeasured } from "./link-process.ts";
import { quantileOf } from "./link-report.ts";
import { writeTemplate } from "./link-template.ts";

export interface Plan {
  agents: number;
  seconds: number;
  rate: number;
  viewers: number;
  profileDir: string | undefined;
}

export interface Stage {
  home: string;
  onCleanUp(task: () => void): void;
  say(text: string): void;
}

const ROOT = resolve(import.meta.dirname, "../..");
const SETTLE_MS = 5_000;
/** No server of a real fleet is switched on in the same second as all others; after the kill -9 they are. */
const FIRST_CONNECTS_PER_S = 400;
const ALL_BACK_MS = 10 * 60_000;

export async function measureControlPlane(plan: Plan, { home, onCleanUp, say }: Stage) {
  const dataDir = join(home, "control-plane");
  say(`writing ${plan.agents} enrolled servers`);
  const template = await writeTemplate(dataDir, plan.agents);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(home, "control-plane.json");
  // All agents dial from 127.0.0.1 here, which otherwise may do so 600 times a minute; nothing else is set.
  const limits = { handshakesPerMinute: 1_000_000 };
  writeFileSync(config, JSON.stringify({ listen: { host: "127.0.0.1", port }, limits }));

  const start = async (): Promise<MeasuredProcess> => {
    const profile = plan.profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${resolve(plan.profileDir)}`];
    const probe = join(import.meta.dirname, "link-lag-probe.ts");
    const bundle = join(ROOT, "dist/control-plane.mjs");
    const args = [
      ...CONTROL_PLANE_NODE_FLAGS,
      ...profile,
      "--import",
      probe,
      bundle,
      "serve",
      "--data-dir",
      dataDir,
      "--config",
      config,
    ];
    const started = startMeasured(process.execPath, args, {
      logFile: join(home, "control-plane.log"),
      withChannel: true,
    });
    onCleanUp(() => started.child.kill("SIGKILL"));
    await until(
      "the control plane",
      () =>
        fetch(`${url}/readyz`).then(
          (answer) => answer.ok,
          () => false,
        ),
      60_000,
    );
    return started;
  };

  let process_ = await start();
  await pause(SETTLE_MS);
  const rssEmptyMiB = process_.rssMiB();

  const fleet = createFleet(url, template);
  onCleanUp(fleet.stop);
  say("connecting");
  const connectBegun = performance.now();
  fleet.start((plan.agents / FIRST_CONNECTS_PER_S) * 1000);
  await allOnline(fleet, plan.agents, say);
  const firstConnectS = (performance.now() - connectBegun) / 1000;
  await pause(SETTLE_MS);

  say(`at rest for ${plan.seconds} s`);
  reset(process_);
  const mark = process_.cpuMark();
  await pause(plan.seconds * 1000);
  const restCpu = process_.cpuSince(mark);
  const rest = await read(process_);
  const rssMiB = process_.rssMiB();

  say(`${plan.rate} commands/s for ${plan.seconds} s`);
  reset(process_);
  const commandMark = process_.cpuMark();
  const commands = await runCommands({ url, template, fleet }, plan.rate, plan.seconds);
  const commandCpu = process_.cpuSince(commandMark);
  const underCommands = await read(process_);

  say("logs");
  const logSeconds = Math.max(3, Math.round(plan.seconds / 4));
  const logOne = await readLogs({ url, template }, 1, logSeconds);
  reset(process_);
  const logMany = await readLogs({ url, template }, plan.viewers, logSeconds);
  const underLogs = await read(process_);
  await pause(SETTLE_MS);
  const rssAfterLogsMiB = process_.rssMiB();

  if (plan.profileDir !== undefined) {
    await process_.end("SIGTERM");
    process_ = await start();
  }
  const endsBefore = fleet.ends();
  say(`kill -9 with ${fleet.online()} agents online`);
  const returned = fleet.watchReturns();
  const killedAt = performance.now();
  await process_.end("SIGKILL");
  process_ = await start();
  const upAgainS = (performance.now() - killedAt) / 1000;
  await allOnline(fleet, plan.agents, say);
  const back = returned.times.map((at) => (at - killedAt) / 1000);
  const returning = await read(process_);
  await pause(SETTLE_MS * 2);
  const rssEndMiB = process_.rssMiB();
  if (plan.profileDir !== undefined) await process_.end("SIGTERM");
  fleet.stop();
  await process_.end("SIGKILL");

  const states = readSqlite(databaseFile(dataDir), (all) =>
    all("select state, count(*) as count from operation group by state"),
  );
  return {
    ...{ rssEmptyMiB, rssMiB, rssAfterLogsMiB, rssEndMiB, firstConnectS, restCpu, commandCpu },
    restHeapMiB: rest.heapBytes / 2 ** 20,
    restLag: lagOf(rest),
    commandLag: lagOf(underCommands),
    logLag: lagOf(underLogs),
    returnLag: lagOf(returning),
    accepted: timesOf(commands.accepted),
    received: timesOf(commands.received),
    ended: timesOf(commands.ended),
    commands: commands.ended.length,
    refused: commands.refused,
    broken: commands.broken,
    ownLag: commands.ownLag,
    unanswered: commands.unanswered,
    operationsInDatabase: Object.fromEntries(states.map(({ state, count }) => [String(state), Number(count)])),
    ...{ logOne, logMany },
    back: { upAgainS, halfS: quantileOf(back, 0.5), p99S: quantileOf(back, 0.99), allS: quantileOf(back, 1) },
    ends: since(endsBefore, fleet.ends()),
  };
}

/** Waits for all, and says how far they are: a fleet that never comes back is to be seen, not guessed. */
async function allOnline(fleet: Fleet, count: number, say: (text: string) => void): Promise<void> {
  let saidAt = performance.now();
  await until(
    `all ${count} agents online`,
    () => {
      if (performance.now() - saidAt > 5_000) {
        saidAt = performance.now();
        say(`${fleet.online()} of ${count} online; ${JSON.stringify(fleet.ends())}`);
      }
      return fleet.online() === count;
    },
    ALL_BACK_MS,
  );
}

function reset({ child }: MeasuredProcess): void {
  child.send("reset");
}

function read({ child }: MeasuredProcess): Promise<Probe> {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error("the control plane's probe does not answer")), 60_000);
    child.once("message", (probe) => {
      clearTimeout(timer);
      done(probe as Probe);
    });
    child.send("read");
  });
}

const lagOf = ({ lagP50Ms, lagP99Ms, lagMaxMs }: Probe) => ({ p50Ms: lagP50Ms, p99Ms: lagP99Ms, maxMs: lagMaxMs });
const timesOf = (times: readonly number[]) => ({
  p50Ms: quantileOf(times, 0.5),
  p99Ms: quantileOf(times, 0.99),
  maxMs: quantileOf(times, 1),
});

function since(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const entries = Object.entries(after).map(([end, count]): [string, number] => [end, count - (before[end] ?? 0)]);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
