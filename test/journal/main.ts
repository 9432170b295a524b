/** `npm run test:journal -- --times N --seed S`: the last line is {"times","seed","violations","seconds"}. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { createTemplate } from "../simulate/template.ts";
import { playRound } from "./play.ts";
import type { Share } from "./worker.ts";

const { values } = parseArgs({
  options: {
    times: { type: "string", default: "1000" },
    /** Of the first round; the others have those that follow. */
    seed: { type: "string", default: "1" },
    /** Prints what happened in the one round. */
    trace: { type: "boolean", default: false },
  },
});
const [times, seed] = [Number(values.times), Number(values.seed)];
if (!Number.isInteger(times) || times < 1 || !Number.isInteger(seed))
  throw new Error("--times N --seed S: whole numbers");

const startedAt = performance.now();
let violations = 0;
if (values.trace) {
  const template = await createTemplate();
  const round = await playRound(template, seed);
  template.remove();
  console.log([...round.trace, ...round.violations.map((what) => `VIOLATION ${what}`)].join("\n"));
  violations = round.violations.length === 0 ? 0 : 1;
} else {
  const workers = Math.min(availableParallelism(), times);
  const run = (nth: number) =>
    new Promise<void>((done, failed) => {
      const workerData: Share = { from: seed + nth, to: seed + times, step: workers };
      const worker = new Worker(new URL("worker.ts", import.meta.url), { workerData });
      worker.on("message", (failure: { seed: number; violations: string[] }) => {
        violations += 1;
        console.log(`seed ${failure.seed}:\n${failure.violations.map((what) => `  ${what}`).join("\n")}`);
      });
      worker.once("error", failed);
      worker.once("exit", (code) => (code === 0 ? done() : failed(new Error(`a worker ended with ${code}`))));
    });
  await Promise.all(Array.from({ length: workers }, (_, nth) => run(nth)));
}
const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
console.log(JSON.stringify({ times: values.trace ? 1 : times, seed, violations, seconds }));
process.exitCode = violations === 0 ? 0 : 1;
