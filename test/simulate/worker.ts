/** Runs its share of the seeds one after the other; failures are told as they come. */
import { parentPort, workerData } from "node:worker_threads";
import { runSeed } from "./run-seed.ts";
import { createTemplate } from "./template.ts";

export interface WorkerData {
  seeds: readonly number[];
  /** Not 0: begin no more. */
  stop: Int32Array;
  /** Set `stop` at a failure. */
  onlyFirst: boolean;
}

const { seeds, stop, onlyFirst } = workerData as WorkerData;
const template = await createTemplate();
try {
  for (const seed of seeds) {
    if (Atomics.load(stop, 0) !== 0) break;
    const { violations } = await runSeed(template, seed);
    if (violations.length === 0) continue;
    parentPort?.postMessage({ seed, violations });
    if (onlyFirst) Atomics.store(stop, 0, 1);
  }
} finally {
  template.remove();
}
