/** The same phases on Debian's nats-server: what a hub costs that checks no identity and writes nothing to disk. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { freePort } from "../support/product.ts";
import { until } from "../support/until.ts";
import type { Plan, Stage } from "./link-control-plane.ts";
import { LOG_PAYLOAD } from "./link-log.ts";
import { createNatsFleet, runRequests, runThroughput } from "./link-nats.ts";
import { type MeasuredProcess, startMeasured } from "./link-process.ts";
import { quantileOf } from "./link-report.ts";

const SETTLE_MS = 5_000;
const FIRST_CONNECTS_PER_S = 400;
const ALL_BACK_MS = 5 * 60_000;
/** Debian puts it there, which is not in every PATH. */
const NATS_SERVER = "/usr/sbin/nats-server";

export async function measureNats(plan: Plan, { home, onCleanUp, say }: Stage) {
  const version = execFileSync(NATS_SERVER, ["--version"], { encoding: "utf8" }).trim();
  const port = await freePort();
  const start = (): MeasuredProcess => {
    const logFile = join(home, "nats-server.log");
    const started = startMeasured(NATS_SERVER, ["-a", "127.0.0.1", "-p", String(port)], { logFile });
    onCleanUp(() => started.child.kill("SIGKILL"));
    return started;
  };
  let server = start();
  await pause(SETTLE_MS);
  const rssEmptyMiB = server.rssMiB();
  say(`${version}: connecting`);
  const fleet = createNatsFleet(port, plan.agents, (plan.agents / FIRST_CONNECTS_PER_S) * 1000);
  onCleanUp(fleet.close);
  await until("all clients of nats-server", () => fleet.up() === plan.agents, ALL_BACK_MS);
  await pause(SETTLE_MS);
  const mark = server.cpuMark();
  const restSeconds = Math.min(plan.seconds, 15);
  await pause(restSeconds * 1000);
  const restCpu = server.cpuSince(mark);
  const rssMiB = server.rssMiB();
  say(`${plan.rate} requests/s for ${plan.seconds} s`);
  const replies = await runRequests(port, plan.agents, plan.rate, plan.seconds);
  say("throughput");
  const logSeconds = Math.max(3, Math.round(plan.seconds / 4));
  const throughputOne = await runThroughput(port, LOG_PAYLOAD, 1, logSeconds);
  const throughputMany = await runThroughput(port, LOG_PAYLOAD, plan.viewers, logSeconds);
  say("kill -9");
  const returned = fleet.watchReturns();
  const killedAt = performance.now();
  await server.end("SIGKILL");
  server = start();
  await until("all clients of nats-server again", () => returned.times.length >= plan.agents, ALL_BACK_MS);
  const back = returned.times.map((at) => (at - killedAt) / 1000);
  await pause(SETTLE_MS);
  const rssEndMiB = server.rssMiB();
  fleet.close();
  await server.end("SIGKILL");
  return {
    ...{ version, rssEmptyMiB, rssMiB, rssEndMiB, restCpu, throughputOne, throughputMany },
    reply: { p50Ms: quantileOf(replies, 0.5), p99Ms: quantileOf(replies, 0.99), maxMs: quantileOf(replies, 1) },
    replies: replies.length,
    back: { halfS: quantileOf(back, 0.5), p99S: quantileOf(back, 0.99), allS: quantileOf(back, 1) },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
