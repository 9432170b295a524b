/** Starts a hostile client as a process. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Siege, Tally } from "./attacker.ts";

export interface RunningSiege {
  ended: Promise<Tally>;
  /** Ends a siege that would go on. */
  lift(): void;
}

/**
 * An attacker is another machine. Here it shares our cores, so it gets what the others leave: otherwise its own work, and
 * not the attacked process, would be what slows everybody down.
 */
export function besiege(siege: Siege): RunningSiege {
  const child = spawn(
    "nice",
    ["-n", "19", process.execPath, join(import.meta.dirname, "attacker.ts"), JSON.stringify(siege)],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data.toString();
  });
  const ended = new Promise<Tally>((done, failed) => {
    child.once("error", failed);
    child.once("close", (code) => {
      if (code === 0) done(JSON.parse(output) as Tally);
      else failed(new Error(`the attacker ended with ${code}`));
    });
  });
  return { ended, lift: () => child.stdin.end() };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN;
}
