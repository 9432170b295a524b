/** Time that a test moves, with real randomness. */
import { createPlatform, type Platform } from "../platform.ts";

export interface TestPlatform extends Platform {
  /** Moves both clocks and runs the timers that come due, in order. */
  advance(ms: number): void;
}

interface Task {
  at: number;
  every: number | undefined;
  run: () => void;
}

export function createTestPlatform(): TestPlatform {
  const startedAt = Date.now();
  let elapsed = 0;
  const tasks = new Set<Task>();
  const schedule = (delayMs: number, every: number | undefined, run: () => void) => {
    const task: Task = { at: elapsed + delayMs, every, run };
    tasks.add(task);
    return () => {
      tasks.delete(task);
    };
  };
  return {
    clock: { now: () => startedAt + elapsed, monotonicMs: () => elapsed },
    timers: {
      after: (delayMs, run) => schedule(delayMs, undefined, run),
      every: (intervalMs, run) => schedule(intervalMs, intervalMs, run),
    },
    random: createPlatform().random,
    advance(ms) {
      const end = elapsed + ms;
      for (;;) {
        const due = [...tasks].filter((task) => task.at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        elapsed = Math.max(elapsed, due.at);
        if (due.every === undefined) tasks.delete(due);
        else due.at += due.every;
        due.run();
      }
      elapsed = end;
    },
  };
}
