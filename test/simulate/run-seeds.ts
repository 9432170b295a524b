/** Many runs, side by side on all cores. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { WorkerData } from "./worker.ts";

export interface Failure {
  seed: number;
  violations: string[];
}

/** Runs these seeds; the failures come back in the order of their seeds. With `onlyFirst` no more are begun after one. */
export async function runSeeds(seeds: readonly number[], onlyFirst = false): Promise<Failure[]> {
  const workers = Math.min(availableParallelism(), seeds.length);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const share = (nth: number) => seeds.filter((_, index) => index % workers === nth);
  const running = Array.from({ length: workers }, (_, nth) => runWorker({ seeds: share(nth), stop, onlyFirst }));
  return (await Promise.all(running)).flat().toSorted((a, b) => a.seed - b.seed);
}

function runWorker(workerData: WorkerData): Promise<Failure[]> {
  const failures: Failure[] = [];
  return new Promise((done, failed) => {
    const worker = new Worker(new URL("worker.ts", import.meta.url), { workerData });
    worker.on("message", (failure: Failure) => failures.push(failure));
    worker.once("error", failed);
    worker.once("exit", (code) => (code === 0 ? done(failures) : failed(new Error(`a worker ended with ${code}`))));
  });
}
