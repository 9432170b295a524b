/**
 * The benchmark behind `npm run bench:link`: thousands of agents on one control plane, and in the same run as many
 * connections on nats-server. Results go to stdout, the last line is JSON; progress goes to stderr.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureControlPlane } from "./link-control-plane.ts";
import { measureNats } from "./link-nats-server.ts";
import { type Row, rounded, tableOf } from "./link-report.ts";

const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "10000" },
    /** Of each phase: at rest, commands, logs. */
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "200" },
    viewers: { type: "string", default: "100" },
    /** A folder for the control plane's CPU profile; the run then ends before the kill -9. */
    profile: { type: "string" },
    "no-nats": { type: "boolean", default: false },
  },
});
const plan = {
  agents: positive("agents", values.agents),
  seconds: positive("seconds", values.seconds),
  rate: positive("rate", values.rate),
  viewers: positive("viewers", values.viewers),
  profileDir: values.profile,
};

const NOTES = [
  "A command: POST …/restart by the API with a key, due time → the agent has the acknowledgement of its result, which leaves",
  "after the commit that ends the operation. Four commits lie on that way, each on disk before what follows it. Of NATS: a",
  "request and its reply, in memory. Servers are enrolled by rows, not by HTTP; agents dial from 127.0.0.1, so the limit of",
  "handshakes of one address is lifted; nothing else of the control plane's configuration is.",
];

const home = mkdtempSync(join(tmpdir(), "dflow-bench-link-"));
/** Undone last first, however the run ends. */
const undo: (() => void)[] = [() => rmSync(home, { recursive: true, force: true })];
const cleanUp = (): void => {
  for (const task of undo.splice(0).reverse()) task();
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    cleanUp();
    process.exit(1);
  });
}
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.once(event, (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.stack : String(error)}\n`);
    cleanUp();
    process.exit(1);
  });
}
const stage = {
  home,
  onCleanUp: (task: () => void) => void undo.push(task),
  say: (text: string) => void process.stderr.write(`bench: ${text}\n`),
};

try {
  const begunAt = new Date();
  const loadBefore = loadavg();
  const ours = await measureControlPlane(plan, stage);
  const nats = values["no-nats"] || plan.profileDir !== undefined ? undefined : await measureNats(plan, stage);
  const rows: Row[] = [
    { what: "RSS, no agent", unit: "MiB", ours: ours.rssEmptyMiB, nats: nats?.rssEmptyMiB },
    { what: `RSS, ${plan.agents} agents`, unit: "MiB", ours: ours.rssMiB, nats: nats?.rssMiB, target: "≤ 400" },
    { what: "RSS at the end, after the kill -9", unit: "MiB", ours: ours.rssEndMiB, nats: nats?.rssEndMiB },
    { what: "CPU at rest, heartbeats only", unit: "% of a core", ours: ours.restCpu, nats: nats?.restCpu },
    { what: "event-loop lag at rest, p99", unit: "ms", ours: ours.restLag.p99Ms, target: "≤ 30" },
    { what: "event-loop lag at rest, longest", unit: "ms", ours: ours.restLag.maxMs },
    { what: `event-loop lag at ${plan.rate} commands/s, p99`, unit: "ms", ours: ours.commandLag.p99Ms, target: "≤ 30" },
    { what: `event-loop lag at ${plan.rate} commands/s, longest`, unit: "ms", ours: ours.commandLag.maxMs },
    { what: "the same of the process that holds all agents, p99", unit: "ms", ours: ours.ownLag.p99Ms },
    { what: "the same of the process that holds all agents, longest", unit: "ms", ours: ours.ownLag.maxMs },
    { what: "command: request → 202, p50", unit: "ms", ours: ours.accepted.p50Ms },
    { what: "command: request → 202, p99", unit: "ms", ours: ours.accepted.p99Ms },
    { what: "command: request → at the agent, p50", unit: "ms", ours: ours.received.p50Ms },
    { what: "command: request → at the agent, p99", unit: "ms", ours: ours.received.p99Ms },
    {
      what: "command: request → ended, acknowledged; p50",
      unit: "ms",
      ours: ours.ended.p50Ms,
      nats: nats?.reply.p50Ms,
      target: "≤ 10",
    },
    {
      what: "command: request → ended, acknowledged; p99",
      unit: "ms",
      ours: ours.ended.p99Ms,
      nats: nats?.reply.p99Ms,
      target: "≤ 50",
    },
    {
      what: "log, one reader",
      unit: "MB/s",
      ours: ours.logOne.megabytesPerS,
      nats: nats?.throughputOne,
      target: "≥ 50",
    },
    {
      what: `log, ${ours.logMany.readers} readers together`,
      unit: "MB/s",
      ours: ours.logMany.megabytesPerS,
      nats: nats?.throughputMany,
    },
    { what: "back after kill -9, half of them", unit: "s", ours: ours.back.halfS, nats: nats?.back.halfS },
    { what: "back after kill -9, 99 %", unit: "s", ours: ours.back.p99S, nats: nats?.back.p99S },
    { what: "back after kill -9, all", unit: "s", ours: ours.back.allS, nats: nats?.back.allS, target: "≤ 45" },
    { what: "event-loop lag while they return, p99", unit: "ms", ours: ours.returnLag.p99Ms, target: "≤ 200" },
    { what: "event-loop lag while they return, longest", unit: "ms", ours: ours.returnLag.maxMs },
  ];
  for (const line of tableOf(rows)) console.log(line);
  for (const line of NOTES) console.log(line);
  const machine = {
    date: begunAt.toISOString(),
    node: process.version,
    cores: availableParallelism(),
    cpu: /model name\s*: (.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown",
    loadBefore: loadBefore.map(rounded),
    loadAfter: loadavg().map(rounded),
  };
  const { agents, seconds, rate } = plan;
  console.log(JSON.stringify({ agents, seconds, rate, ...machine, dflow: ours, nats: nats ?? null }));
} finally {
  cleanUp();
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} has to be a whole number from 1 on: ${text}`);
  return number;
}
