import { expect, test } from "vitest";
import { createRateLimiter } from "./rate-limit.ts";

test("memory stays bounded in a flood of keys, and the newest are still counted", () => {
  const limiter = createRateLimiter({ limit: 1, windowMs: 1_000 }, { monotonicMs: () => 0 });
  for (let n = 0; n < 30_000; n += 1) limiter.take(`key ${n}`);
  expect(limiter.size()).toBe(20_000);
  expect(() => limiter.take("key 29999")).toThrow("Too many requests");
  // The first keys were forgotten: they may come again.
  limiter.take("key 0");
});

test("a flood's memory is given back when its windows have ended", () => {
  let now = 0;
  const limiter = createRateLimiter({ limit: 1, windowMs: 1_000 }, { monotonicMs: () => now });
  for (let n = 0; n < 10_000; n += 1) limiter.take(`key ${n}`);
  now = 1_000;
  limiter.take("someone");
  expect(limiter.size()).toBe(1);
});

test("a window ends after its time, not after the last event", () => {
  let now = 0;
  const limiter = createRateLimiter({ limit: 2, windowMs: 1_000 }, { monotonicMs: () => now });
  limiter.take("a");
  now = 900;
  limiter.take("a");
  expect(limiter.isSpent("a")).toBe(true);
  expect(limiter.refusal("a")).toBe(1);
  now = 1_000;
  expect(limiter.isSpent("a")).toBe(false);
  limiter.take("a");
});

test("a refused event says how long to wait, and is not counted itself", () => {
  let now = 0;
  const limiter = createRateLimiter({ limit: 1, windowMs: 60_000 }, { monotonicMs: () => now });
  expect(limiter.refusal("a")).toBe(undefined);
  now = 15_500;
  for (let n = 0; n < 5; n += 1) expect(limiter.refusal("a")).toBe(45);
});
