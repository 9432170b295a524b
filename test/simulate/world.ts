/**
 * Virtual time for processes that run in this one. Between two moments everything that was begun comes to rest, so that a
 * seed gives the same run each time.
 */
import { createRandom, type Random } from "../support/random.ts";
import { cryptoAtRest } from "./crypto-at-rest.ts";

export type Cancel = () => void;

export interface World {
  random: Random;
  /** Milliseconds since the run began; never goes back. */
  nowMs(): number;
  after(delayMs: number, run: () => void): Cancel;
  /** Runs what falls due until then, in order. Ends early once something was wrong. */
  runUntil(untilMs: number): Promise<void>;
  /** Runs until it is so, at most until then. False when it did not come to be. */
  runUntilSo(untilMs: number, isSo: () => boolean): Promise<boolean>;
  /** Timers that wait. */
  pending(): number;
  wrong(what: string): void;
  violations(): readonly string[];
  note(what: string): void;
  /** What happened, with its moment. */
  trace(): readonly string[];
}

interface Timer {
  atMs: number;
  nth: number;
  run: () => void;
}

/** More than a run can need: a run that loops at one moment ends with a word instead of never. */
const STEPS_MAX = 200_000;

export function createWorld(seed: number): World {
  const random = createRandom(seed);
  const timers: Timer[] = [];
  const violations: string[] = [];
  const trace: string[] = [];
  let now = 0;
  let nth = 0;
  let steps = 0;

  const isBefore = (a: Timer, b: Timer) => a.atMs < b.atMs || (a.atMs === b.atMs && a.nth < b.nth);
  const insert = (timer: Timer) => {
    let low = 0;
    let high = timers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = timers[middle];
      // Sorted from last to first, so that the next one is popped.
      if (other !== undefined && isBefore(timer, other)) low = middle + 1;
      else high = middle;
    }
    timers.splice(low, 0, timer);
  };
  const after = (delayMs: number, run: () => void): Cancel => {
    const timer = { atMs: now + Math.max(0, delayMs), nth: nth++, run };
    insert(timer);
    return () => {
      const at = timers.indexOf(timer);
      if (at !== -1) timers.splice(at, 1);
    };
  };
  const wrong = (what: string) => void violations.push(`at ${Math.round(now)} ms: ${what}`);
  const runUntilSo = async (untilMs: number, isSo: () => boolean): Promise<boolean> => {
    await atRest();
    for (;;) {
      if (isSo()) return true;
      const next = timers.at(-1);
      if (next === undefined || next.atMs > untilMs || violations.length > 0) break;
      timers.pop();
      now = Math.max(now, next.atMs);
      steps += 1;
      if (steps > STEPS_MAX) wrong("time does not go on");
      next.run();
      await atRest();
    }
    now = Math.max(now, untilMs);
    return isSo();
  };

  return {
    random,
    nowMs: () => now,
    after,
    runUntil: async (untilMs) => void (await runUntilSo(untilMs, () => false)),
    runUntilSo,
    pending: () => timers.length,
    wrong,
    violations: () => violations,
    note: (what) => void trace.push(`${String(Math.round(now)).padStart(7)} ${what}`),
    trace: () => trace,
  };
}

/** Lets time go on until the work is done: what is written to a disk takes some. */
export async function whileTimeGoesOn<T>(world: World, work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  work.then(over, over);
  if (!(await world.runUntilSo(world.nowMs() + WORK_MS, () => isOver))) throw new Error("the work is not done in time");
  return work;
}
const WORK_MS = 60_000;

/** Promises, ticks and signatures: none of them may end a moment later, in real time, than it began. */
async function atRest(): Promise<void> {
  await new Promise((done) => setImmediate(done));
  await cryptoAtRest();
}
