import { expect, test } from "vitest";
import { createRateLimiter } from "./rate-limit.ts";

test("memory stays bounded in a flood of keys, and the newest are still counted", () => {
  const limiter = createRateLimiter({ limit: 1, windowMs: 1_000 }, { monotonicMs: () => 0 });
  for (let n = 0; n < 30_000; n += 1) limiter.take(`key ${n}`);
  expect(() => limiter.take("key 29999")).toThrow("Too many requests");
  // The first keys were forgotten: they may come again.
  limiter.take("key 0");
});

test("a window ends after its time, not after the last event", () => {
  let now = 0;
  const limiter = createRateLimiter({ limit: 2, windowMs: 1_000 }, { monotonicMs: () => now });
  limiter.take("a");
  now = 900;
  limiter.take("a");
  expect(() => limiter.check("a")).toThrow();
  now = 1_000;
  limiter.check("a");
  limiter.take("a");
});
