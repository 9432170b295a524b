import fc from "fast-check";
import { expect, test } from "vitest";
import { type Bucket, fullBucket, give, take } from "./token-bucket.ts";

const LIMITS = { perSecond: 10, burst: 20 };

test("a bucket gives its burst at once, and then what the seconds bring", () => {
  const emptied = take(fullBucket(LIMITS, 0), LIMITS, 0, 20) as Bucket;
  expect(take(emptied, LIMITS, 99, 1)).toBeUndefined();
  expect(take(emptied, LIMITS, 100, 1)).toEqual({ tokens: 0, atMs: 100 });
  expect(take(emptied, LIMITS, 3_600_000, 21)).toBeUndefined();
  expect(take(emptied, LIMITS, 3_600_000, 20)?.tokens).toBe(0);
});

test("what is given beyond the burst stays until it is taken, up to the most", () => {
  const limits = { ...LIMITS, most: 50 };
  const given = give(fullBucket(limits, 0), limits, 0, 100);
  expect(given.tokens).toBe(50);
  expect(take(given, limits, 60_000, 10)?.tokens).toBe(40);
  expect(give(fullBucket(LIMITS, 0), LIMITS, 0, 100).tokens).toBe(20);
});

test("a clock that stands still or goes back brings nothing and takes nothing", () => {
  const bucket = { tokens: 3, atMs: 1_000 };
  expect(take(bucket, LIMITS, 500, 3)?.tokens).toBe(0);
  expect(take(bucket, LIMITS, 500, 4)).toBeUndefined();
});

test("nobody ever takes more than the burst and the rate together", () => {
  const takes = fc.array(fc.record({ waitMs: fc.nat(500), amount: fc.integer({ min: 1, max: 8 }) }), { minLength: 1 });
  fc.assert(
    fc.property(takes, (asked) => {
      let bucket = fullBucket(LIMITS, 0);
      let nowMs = 0;
      let taken = 0;
      for (const { waitMs, amount } of asked) {
        nowMs += waitMs;
        const next = take(bucket, LIMITS, nowMs, amount);
        if (next === undefined) continue;
        bucket = next;
        taken += amount;
      }
      expect(taken).toBeLessThanOrEqual(LIMITS.burst + (LIMITS.perSecond * nowMs) / 1000 + 1e-6);
    }),
  );
});
