/** What the runs against either side share: what a run is, and when its memory has grown. */
import type { Random } from "../support/random.ts";

export interface FuzzRun {
  seed: number;
  frames: number;
  violations: readonly string[];
  /** How many frames came to which end, so that a run shows what it has reached. */
  ends: Readonly<Record<string, number>>;
}

/** Frames of a run: enough for what is kept of each to be seen, few enough to play a run again. */
export const RUN_FRAMES = 1_000;

/** What a process may hold more at the end of a run than after its first fifth, in bytes. */
export const HEAP_SLACK_BYTES = 12 * 1024 * 1024;

/** Only where the process was started with --expose-gc. */
export function heapBytes(): number | undefined {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  gc();
  return process.memoryUsage().heapUsed;
}

export interface Ends {
  count(what: string): void;
  all(): Record<string, number>;
}

export function createEnds(): Ends {
  const ends: Record<string, number> = {};
  return {
    count(what) {
      ends[what] = (ends[what] ?? 0) + 1;
    },
    all: () => ends,
  };
}

/** An id that no one has, as a side makes them. */
export function someId(random: Random): string {
  const hex = Array.from({ length: 32 }, () => random.between(0, 15).toString(16)).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-9${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** For a sentence: long texts say no more than their beginning. */
export const brief = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : text);
