/** A sample of `npm run simulate`, and every seed that ever failed. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";
import { createTemplate, type Template } from "./template.ts";

const SEEDS = 1_000;
/** Seeds under which something was wrong once; whatever becomes of the schedule, they stay. */
const PAST_FAILURES = [61, 770];

let template: Template;
beforeAll(async () => {
  template = await createTemplate();
});
afterAll(() => template?.remove());

it("holds what is promised under every seed (npm run simulate -- --seeds 1 --from SEED --trace)", async () => {
  const from = 1 + Math.floor(Math.random() * 1_000_000);
  console.log(`simulated: seeds ${from} to ${from + SEEDS - 1}, and ${PAST_FAILURES.length} of the past`);
  const seeds = [...PAST_FAILURES, ...Array.from({ length: SEEDS }, (_, nth) => from + nth)];
  expect(await runSeeds(seeds)).toEqual([]);
});

it("repeats a run by its seed, step by step", async () => {
  const [first, second] = [await runSeed(template, 7), await runSeed(template, 7)];
  const plain = (trace: readonly string[]) => trace.map((line) => line.replace(/run-\d+/, "run"));
  expect(first.trace.length).toBeGreaterThan(20);
  expect(plain(second.trace)).toEqual(plain(first.trace));
});
