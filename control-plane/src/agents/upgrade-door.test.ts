import { describe, expect, test } from "vitest";
import { createRandom } from "../../../test/support/random.ts";
import { createTestPlatform } from "../testing/platform.ts";
import { fullBucket } from "./token-bucket.ts";
import { admit, bucketLimits, type Crowd, createUpgradeDoor, drainWindowMs } from "./upgrade-door.ts";

const LIMITS = bucketLimits({ perSecond: 200 });

/** A herd that comes at once and does as it is told: how many were let in by each second, and how many upgrades that took. */
function herd(agents: number, seed: number): { inBySecond: number[]; upgrades: number } {
  const random = createRandom(seed);
  let crowd: Crowd = { bucket: fullBucket(LIMITS, 0), bookedToMs: 0 };
  /** A millisecond of the first second each, as they do not come in one instant. */
  let coming = Array.from({ length: agents }, () => Math.floor(random.next() * 1_000));
  const inBySecond: number[] = [];
  let upgrades = 0;
  while (coming.length > 0) {
    coming.sort((a, b) => a - b);
    const later: number[] = [];
    const untilMs = (Math.floor((coming[0] ?? 0) / 1000) + 1) * 1000;
    for (const atMs of coming) {
      if (atMs >= untilMs) {
        later.push(atMs);
        continue;
      }
      upgrades += 1;
      const admitted = admit(crowd, LIMITS, atMs, random.next());
      crowd = admitted.crowd;
      if (admitted.retryAfterS !== undefined) {
        later.push(atMs + admitted.retryAfterS * 1000 + Math.floor(random.next() * 1000));
      } else {
        const second = Math.floor(atMs / 1000);
        inBySecond[second] = (inBySecond[second] ?? 0) + 1;
      }
    }
    coming = later;
  }
  return { inBySecond: Array.from(inBySecond, (count) => count ?? 0), upgrades };
}

describe("a herd of 10,000 agents", () => {
  test("is let in at 200 a second after the burst, and is in after not much more than it has to take", () => {
    const { inBySecond } = herd(10_000, 1);
    expect(Math.max(...inBySecond)).toBeLessThanOrEqual(400);
    expect(inBySecond.reduce((a, b) => a + b)).toBe(10_000);
    // At the very least 49 seconds.
    expect(inBySecond.length).toBeLessThan(75);
  });

  test("does not hammer at the door: few have to ask more than three times", () => {
    expect(herd(10_000, 2).upgrades).toBeLessThan(35_000);
  });
});

describe("the door", () => {
  test("lets a fleet of 1,000 behind one address in within three minutes, though an address has 600 a minute", () => {
    const platform = createTestPlatform();
    const random = createRandom(3);
    const door = createUpgradeDoor(
      { perSecond: 200, perAddressAMinute: 600 },
      { clock: platform.clock, random: { fraction: () => random.next() } },
    );
    let coming = Array.from({ length: 1_000 }, () => Math.floor(random.next() * 2_000));
    let nowMs = 0;
    while (coming.length > 0) {
      coming.sort((a, b) => a - b);
      const atMs = coming.shift() ?? 0;
      platform.advance(atMs - nowMs);
      nowMs = atMs;
      const refusal = door.refusal("192.0.2.1");
      if (refusal !== undefined)
        coming = [...coming, atMs + refusal.retryAfterS * 1000 + Math.floor(random.next() * 1000)];
    }
    expect(nowMs).toBeLessThan(180_000);
    expect(door.refused().tooMany).toBeGreaterThan(0);
  });

  test("keeps an address that asks without end from taking the others' places", () => {
    const platform = createTestPlatform();
    const door = createUpgradeDoor({ perSecond: 200, perAddressAMinute: 50 }, platform);
    const flood = Array.from({ length: 10_000 }, () => door.refusal("192.0.2.66")?.status);
    expect(flood.filter((status) => status === undefined)).toHaveLength(50);
    expect(new Set(flood.slice(50))).toEqual(new Set([429]));
    expect(door.refusal("192.0.2.1")).toBeUndefined();
  });

  test("sends nobody away for more than about a minute, however many ask", () => {
    const platform = createTestPlatform();
    const door = createUpgradeDoor({ perSecond: 10, perAddressAMinute: 10 }, platform);
    const waits = Array.from({ length: 5_000 }, (_, n) => door.refusal(`192.0.2.${n}`)?.retryAfterS ?? 0);
    expect(Math.max(...waits)).toBeLessThanOrEqual(66);
    expect(door.refused()).toEqual({ tooMany: 0, busy: 4_990 });
  });
});

test("a drain's window grows with the agents, and is five seconds at least", () => {
  const windows = [0, 1, 1_000, 10_000].map((agents) => drainWindowMs(agents, { perSecond: 200 }));
  expect(windows).toEqual([5_000, 5_000, 5_000, 50_000]);
});
