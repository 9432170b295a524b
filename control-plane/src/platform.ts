/** Time, randomness and timers of the real world, as types and as the one implementation that main.ts passes in. */
import { randomBytes, randomUUIDv7 } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { CrashPointEffects } from "@dflow/protocol";

export interface Clock {
  /** Milliseconds UTC. */
  now(): number;
  /** Milliseconds that never go back, for ages and deadlines. */
  monotonicMs(): number;
}

export interface Timers {
  /** Runs `task` once; the function that comes back cancels it. */
  after(delayMs: number, task: () => void): () => void;
  /** Runs `task` again and again; the function that comes back ends it. */
  every(intervalMs: number, task: () => void): () => void;
}

export interface Random {
  bytes(count: number): Buffer;
  /** UUIDv7. */
  id(): string;
  /** In [0, 1): for jitter, never for secrets. */
  fraction(): number;
}

export interface Platform {
  clock: Clock;
  timers: Timers;
  random: Random;
}

/** Timers are unreferenced: none of them keeps a process alive that has nothing else to do. */
export function createPlatform(): Platform {
  return {
    clock: { now: () => Date.now(), monotonicMs: () => performance.now() },
    timers: {
      after(delayMs, task) {
        const timer = setTimeout(task, delayMs).unref();
        return () => clearTimeout(timer);
      },
      every(intervalMs, task) {
        const timer = setInterval(task, intervalMs).unref();
        return () => clearInterval(timer);
      },
    },
    random: {
      bytes: (count) => randomBytes(count),
      id: () => randomUUIDv7(),
      fraction: () => Math.random(),
    },
  };
}

/** Opened once: whichever way a file is written, the kernel brings all of it to the disk. */
export function createDiskSync(): { sync(path: string): Promise<void>; close(): Promise<void> } {
  let file: FileHandle | undefined;
  return {
    async sync(path) {
      file ??= await open(path, "r");
      await file.datasync();
    },
    async close() {
      await file?.close();
      file = undefined;
    },
  };
}

/** A test's folder: it puts the place to die at into "armed" and finds in "passed" where this process has been. */
export function createCrashPointEffects(folder: string): CrashPointEffects {
  const armedFile = `${folder}/armed`;
  return {
    armed: () => (existsSync(armedFile) ? readFileSync(armedFile, "utf8") : undefined),
    note: (name) => appendFileSync(`${folder}/passed`, `${name}\n`),
    die: () => void process.kill(process.pid, "SIGKILL"),
  };
}
