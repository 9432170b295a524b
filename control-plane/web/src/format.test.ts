/** Times, durations and sizes in words. */
import { describe, expect, it } from "vitest";
import { ago, bytes, clockTime, count, duration, moment, until } from "./format.ts";

const NOW = Date.parse("2026-11-23T12:00:00.000Z");
const before = (ms: number) => new Date(NOW - ms).toISOString();

describe("ago", () => {
  it.each([
    [0, "just now"],
    [999, "just now"],
    [3_000, "3 s ago"],
    [59_999, "59 s ago"],
    [60_000, "1 min ago"],
    [3_599_000, "59 min ago"],
    [3_600_000, "1 h ago"],
    [86_400_000, "1 day ago"],
    [4 * 86_400_000, "4 days ago"],
    [40 * 86_400_000, "on 2026-10-14"],
  ])("says %i ms as %s", (ms, words) => {
    expect(ago(before(ms), NOW)).toBe(words);
  });

  it("never shows something from the future", () => {
    expect(ago(before(-5_000), NOW)).toBe("just now");
  });
});

describe("until", () => {
  it.each([
    [-1, "now"],
    [12_000, "in 12 s"],
    [14 * 60_000, "in 14 min"],
    [5 * 3_600_000, "in 5 h"],
    [7 * 86_400_000, "in 7 days"],
  ])("says %i ms ahead as %s", (ms, words) => {
    expect(until(before(-ms), NOW)).toBe(words);
  });
});

describe("duration", () => {
  it.each([
    [-5, "0 ms"],
    [840, "840 ms"],
    [3_260, "3.2 s"],
    [9_990, "9.9 s"],
    [42_900, "42 s"],
    [120_000, "2 min"],
    [125_000, "2 min 5 s"],
    [4_800_000, "1 h 20 min"],
    [3 * 86_400_000, "3 days"],
  ])("says %i ms as %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

describe("bytes", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [512 * 1024 ** 2, "512 MiB"],
    [1.5 * 1024 ** 3, "1.5 GiB"],
    [93.1 * 1024 ** 3, "93.1 GiB"],
    [2 ** 80, "1073741824 PiB"],
  ])("says %d as %s", (size, words) => {
    expect(bytes(size)).toBe(words);
  });
});

describe("moments", () => {
  it("names the day, the time and the zone", () => {
    expect(moment("2026-11-23T14:05:09Z", "UTC")).toBe("23 Nov 2026, 14:05:09 UTC");
  });
  it("shows a log line's time of day to the millisecond", () => {
    expect(clockTime("2026-11-23T14:05:09.123456789Z")).toMatch(/^\d\d:\d\d:09\.123$/);
  });
  it("leaves a time that is none as it came", () => {
    expect(clockTime("yesterday")).toBe("yesterday");
  });
});

it("counts one thing in the singular", () => {
  expect([count(0, "service"), count(1, "service"), count(2, "service")]).toEqual([
    "0 services",
    "1 service",
    "2 services",
  ]);
});
