/** The table of crash points: made of what the processes passed while an action was carried out undisturbed. */
import { createRandom } from "../support/random.ts";

/** In the words of `createProcess`. */
export type ProcessName = "agent" | "control-plane";

export interface Row {
  action: string;
  process: ProcessName;
  point: string;
  /** Which passing of it, from 1. */
  occurrence: number;
}

/** Places that repeat while time passes (polls, batches of log lines) are killed at their first passings only. */
const OCCURRENCES_MAX = 3;

export function rowsOf(action: string, process: ProcessName, passed: readonly string[]): Row[] {
  const counts = new Map<string, number>();
  const rows: Row[] = [];
  for (const point of passed) {
    const occurrence = (counts.get(point) ?? 0) + 1;
    counts.set(point, occurrence);
    if (occurrence <= OCCURRENCES_MAX) rows.push({ action, process, point, occurrence });
  }
  return rows;
}

/** What two runs both passed: a place that is passed now and then is no row of the table. */
export function commonRows(one: readonly Row[], other: readonly Row[]): Row[] {
  const names = new Set(other.map(nameOf));
  return one.filter((row) => names.has(nameOf(row)));
}

/** Those whose place no other action has passed: a variant adds only what is its own. */
export function withoutKnown(rows: readonly Row[], known: readonly Row[]): Row[] {
  const places = new Set(known.map(({ process, point }) => `${process} ${point}`));
  return rows.filter(({ process, point }) => !places.has(`${process} ${point}`));
}

/** The same `seed` gives the same rows; the process alternates, so that both have their share. */
export function sampleRows(rows: readonly Row[], count: number, seed: number): Row[] {
  const random = createRandom(seed);
  const drawn = rows
    .map((row) => ({ row, at: random.next() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ row }) => row);
  const agent = drawn.filter(({ process }) => process === "agent").slice(0, Math.ceil(count / 2));
  const controlPlane = drawn.filter(({ process }) => process === "control-plane").slice(0, count - agent.length);
  return [...agent, ...controlPlane];
}

export function nameOf({ action, process, point, occurrence }: Row): string {
  return `${process}, ${action}: ${point} #${occurrence}`;
}
