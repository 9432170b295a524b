/** Plays its share of the rounds one after the other; failures are told as they come. */
import { parentPort, workerData } from "node:worker_threads";
import { createTemplate } from "../simulate/template.ts";
import { playRound } from "./play.ts";

export interface Share {
  /** Seeds: the first, the one behind the last, and from one to the next. */
  from: number;
  to: number;
  step: number;
}

const { from, to, step } = workerData as Share;
const template = await createTemplate();
try {
  for (let seed = from; seed < to; seed += step) {
    const { violations } = await playRound(template, seed);
    if (violations.length > 0) parentPort?.postMessage({ seed, violations });
  }
} finally {
  template.remove();
}
