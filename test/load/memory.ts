/** What a process of ours holds, apart from the garbage that V8 has not come to yet. */
import { readdirSync, readFileSync } from "node:fs";
import type { Process } from "../support/product.ts";
import { until } from "../support/until.ts";

/** Given to a process as NODE_OPTIONS, it lets `held` ask it; nothing listens before that. */
export const INSPECTOR_OPTIONS = "--inspect-port=127.0.0.1:0";

/** MiB of memory that the process has of the machine. */
export function rssMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 1024);
}

export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** A tenth of a second apart. */
const READINGS = 12;

export interface Held {
  /** MiB of JavaScript objects that something refers to. */
  heap: number;
  /** MiB of the machine's memory. */
  rss: number;
}

/**
 * What is held after a collection. V8 collects when it needs room and on a machine with much memory that is seldom: what
 * a flood leaves behind stays resident though nothing refers to it. So the test asks for a collection, from outside and
 * through the inspector; the product itself forces nothing. What then stays beyond the heap is what the C library keeps
 * of the most connections there ever were, for the next ones.
 */
export async function held(process_: Process): Promise<Held> {
  const { pid } = process_;
  if (pid === undefined) throw new Error(`${process_.name} does not run`);
  const address = () => /Debugger listening on (ws:\S+)/.exec(process_.log())?.[1];
  if (address() === undefined) process.kill(pid, "SIGUSR1");
  const socket = new WebSocket(await until("the inspector", address));
  await new Promise((done, failed) => {
    socket.addEventListener("open", done, { once: true });
    socket.addEventListener("error", () => failed(new Error("the inspector refuses")), { once: true });
  });
  let asked = 0;
  const call = (method: string, params: Record<string, unknown> = {}) =>
    new Promise<string>((done) => {
      asked += 1;
      socket.addEventListener("message", ({ data }) => done(String(data)), { once: true });
      socket.send(JSON.stringify({ id: asked, method, params }));
    });
  await call("HeapProfiler.collectGarbage");
  const answer = await call("Runtime.evaluate", { expression: "process.memoryUsage().heapUsed" });
  socket.close();
  const bytes = Number(/"value":(\d+)/.exec(answer)?.[1]);
  // Pages go back to the machine a moment after the collection, and a password that is hashed just now has 32 MiB.
  const readings: number[] = [];
  while (readings.length < READINGS) {
    await new Promise((done) => setTimeout(done, 100));
    readings.push(rssMiB(pid));
  }
  return { heap: Math.round(bytes / 1024 / 1024), rss: Math.min(...readings) };
}
