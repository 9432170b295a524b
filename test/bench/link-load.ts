/** What is asked of a control plane that is measured: commands at a steady rate, and logs to read, by its public API. */
import { Agent, request } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Fleet } from "./link-fleet.ts";
import { LOG_LINE_BYTES } from "./link-log.ts";
import type { Template } from "./link-template.ts";

/** Each address may ask 50 times a second, so several ask. */
const ADDRESSES = 8;
const ANSWER_MS = 30_000;

export interface CommandTimes {
  /** From the moment at which the request was due until the API's 202. Milliseconds, like the others. */
  accepted: number[];
  /** … until the agent has the command. */
  received: number[];
  /** … until the agent has the acknowledgement of its result, which leaves after the commit that ends the operation. */
  ended: number[];
  refused: number;
  /** Requests whose connection broke. */
  broken: number;
  unanswered: number;
  /** The longest that this process itself was late: it holds all agents, and its delays are in the times above. */
  ownLag: { p99Ms: number; maxMs: number };
}

/** The sampler sleeps this long; its figures hold the sleep too. */
const LAG_RESOLUTION_MS = 10;

/**
 * Restarts databases one after the other, `perSecond` for `seconds`. Each is counted from when it was due: a control plane
 * that stands still is charged for all that it holds up.
 */
export async function runCommands(
  { url, template, fleet }: { url: string; template: Template; fleet: Fleet },
  perSecond: number,
  seconds: number,
): Promise<CommandTimes> {
  const times: Omit<CommandTimes, "ownLag"> = {
    accepted: [],
    received: [],
    ended: [],
    refused: 0,
    broken: 0,
    unanswered: 0,
  };
  const sockets = new Agent({ keepAlive: true, maxSockets: 64 });
  const one = async (n: number, due: number): Promise<void> => {
    const { serviceId } = template.agents[n % template.agents.length] ?? raise("no agents");
    const apiKey = template.apiKeys[n % template.apiKeys.length] ?? raise("no keys");
    const localAddress = `127.0.0.${10 + (n % ADDRESSES)}`;
    const { status, body } = await post(`${url}/api/v1/services/${serviceId}/restart`, {
      apiKey,
      localAddress,
      sockets,
    });
    if (status !== 202) {
      times.refused += 1;
      if (times.refused === 1) process.stderr.write(`the first refused command: ${status} ${body.slice(0, 300)}\n`);
      return;
    }
    const answeredAt = performance.now();
    const { id } = JSON.parse(body) as { id: string };
    // The agent may have had its acknowledgement before we had our answer.
    const endedAt = fleet.acknowledgedAt(id) ?? (await within(ANSWER_MS, fleet.acknowledged(id)));
    if (endedAt === undefined) {
      times.unanswered += 1;
      return;
    }
    times.accepted.push(answeredAt - due);
    times.received.push((fleet.receivedAt(id) ?? Number.NaN) - due);
    times.ended.push(endedAt - due);
  };
  const noteBroken = (error: Error): void => {
    times.broken += 1;
    if (times.broken === 1) process.stderr.write(`the first broken request: ${error.message}\n`);
  };
  const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  lag.enable();
  const begun = performance.now();
  const running: Promise<void>[] = [];
  const total = Math.round(perSecond * seconds);
  while (running.length < total) {
    const due = begun + (running.length * 1000) / perSecond;
    const early = due - performance.now();
    if (early > 0) await new Promise((done) => setTimeout(done, early));
    else running.push(one(running.length, due).catch(noteBroken));
  }
  await Promise.all(running);
  sockets.destroy();
  lag.disable();
  const lagMs = (ns: number) => Math.max(0, ns / 1e6 - LAG_RESOLUTION_MS);
  return { ...times, ownLag: { p99Ms: lagMs(lag.percentile(99)), maxMs: lagMs(lag.max) } };
}

function post(
  url: string,
  { apiKey, localAddress, sockets }: { apiKey: string; localAddress: string; sockets: Agent },
): Promise<{ status: number; body: string }> {
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json", "content-length": "2" };
    const asked = request(url, { method: "POST", agent: sockets, localAddress, headers }, (answer) => {
      let body = "";
      answer.setEncoding("utf8");
      answer.on("data", (chunk: string) => {
        body += chunk;
      });
      answer.on("end", () => done({ status: answer.statusCode ?? 0, body }));
      answer.on("error", failed);
    });
    asked.on("error", failed);
    asked.end("{}");
  });
}

export interface LogThroughput {
  /** Readers that were let in. */
  readers: number;
  /** Of log text, to all readers together, in 10^6 bytes a second. */
  megabytesPerS: number;
}

/** So many read the log of one database for a while, each over its own connection. */
export async function readLogs(
  { url, template }: { url: string; template: Template },
  readers: number,
  seconds: number,
): Promise<LogThroughput> {
  const serviceId = template.agents[0]?.serviceId;
  const reads = Array.from({ length: readers }, (_, n) =>
    openReader(
      `${url}/api/v1/services/${serviceId}/logs?follow=true&tail=0`,
      template.apiKeys[n % template.apiKeys.length],
    ),
  );
  const open = (await Promise.all(reads)).filter((reader) => reader !== undefined);
  // What comes first is a start and not a rate.
  await new Promise((done) => setTimeout(done, 1_000));
  const before = open.reduce((sum, reader) => sum + reader.logBytes(), 0);
  const begun = performance.now();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  const bytes = open.reduce((sum, reader) => sum + reader.logBytes(), 0) - before;
  const megabytesPerS = bytes / 1e6 / ((performance.now() - begun) / 1000);
  for (const reader of open) reader.close();
  return { readers: open.length, megabytesPerS };
}

/** `undefined` when it is refused. */
function openReader(url: string, apiKey = ""): Promise<{ logBytes(): number; close(): void } | undefined> {
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${apiKey}`, accept: "text/event-stream" };
    const asked = request(url, { agent: false, headers }, (answer) => {
      if (answer.statusCode !== 200) {
        answer.resume();
        done(undefined);
        return;
      }
      let bytes = 0;
      let perLine: number | undefined;
      let head = "";
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (perLine !== undefined) return;
        head += chunk.toString("latin1");
        // All lines are as long as each other, and so are the events that carry them.
        perLine = /event: line\n[\s\S]*?\n\n/.exec(head)?.[0].length;
      });
      answer.on("error", () => undefined);
      done({
        logBytes: () => (perLine === undefined ? 0 : (bytes / perLine) * LOG_LINE_BYTES),
        close: () => asked.destroy(),
      });
    });
    asked.on("error", failed);
    asked.end();
  });
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((done) => {
    timer = setTimeout(() => done(undefined), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function raise(what: string): never {
  throw new Error(what);
}
