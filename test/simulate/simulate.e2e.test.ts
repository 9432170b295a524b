/** A sample of `npm run simulate`, and every seed that ever failed. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { runSeed } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";
import { createTemplate, type Template } from "./template.ts";

/** The same ones each time: what they find was made by the change at hand. New ones are for the command. */
const SEEDS = 1_000;
/** Seeds above those under which something was wrong once. */
const PAST_FAILURES: number[] = [];

let template: Template;
beforeAll(async () => {
  template = await createTemplate();
});
afterAll(() => template?.remove());

it("holds what is promised under every seed (npm run simulate -- --seeds 1 --from SEED --trace)", async () => {
  expect(await runSeeds([...PAST_FAILURES, ...Array.from({ length: SEEDS }, (_, nth) => 1 + nth)])).toEqual([]);
}, 600_000);

it("repeats a run by its seed, step by step", async () => {
  const [first, second] = [await runSeed(template, 7), await runSeed(template, 7)];
  const plain = (trace: readonly string[]) => trace.map((line) => line.replace(/run-\d+/, "run"));
  expect(first.trace.length).toBeGreaterThan(20);
  expect(plain(second.trace)).toEqual(plain(first.trace));
});
