import { describe, expect, test } from "vitest";
import { parseRetryAfterMs, reconnectDelayMs, type SocketEnd } from "./reconnect.ts";
import { CLOSE } from "./wire/close-codes.ts";

const half = () => 0.5;
const LOST = { code: 1006, failures: 3, awayMs: 0 };

describe("the wait until the next attempt", () => {
  const table: [what: string, end: SocketEnd, delayMs: number][] = [
    ["is the backoff's when nothing was asked for", LOST, 4_000],
    ["is what Retry-After says, with a fraction of a second of its own", { ...LOST, retryAfterMs: 20_000 }, 20_500],
    ["is what Retry-After says when that is sooner than the backoff", { ...LOST, retryAfterMs: 1_000 }, 1_500],
    ["is the drain's moment", { ...LOST, code: CLOSE.goingAway, drainMs: 7_000 }, 7_000],
    ["is the drain's moment also beside a Retry-After", { ...LOST, drainMs: 7_000, retryAfterMs: 1_000 }, 7_000],
    ["is the drain's moment when that is at once", { ...LOST, drainMs: 0 }, 0],
    ["is never shorter than a removed agent's hour", { ...LOST, code: CLOSE.revoked, drainMs: 7_000 }, 3_600_000],
    ["is long enough for a spent budget to be full again", { ...LOST, code: CLOSE.overBudget }, 75_000],
    ["is never shorter than a refused key's", { ...LOST, code: CLOSE.unauthenticated, retryAfterMs: 1_000 }, 30_000],
    [
      "may be longer than the close code asks for",
      { ...LOST, code: CLOSE.unauthenticated, retryAfterMs: 60_000 },
      60_500,
    ],
  ];
  test.each(table)("%s", (_what, end, delayMs) => {
    expect(reconnectDelayMs(end, half)).toBe(delayMs);
  });
});

test("Retry-After is a count of seconds, ten minutes at most; anything else says nothing", () => {
  const said = ["0", "7", " 12 ", "600", "86400", "999999999999999"];
  expect(said.map(parseRetryAfterMs)).toEqual([0, 7_000, 12_000, 600_000, 600_000, 600_000]);
  const nothing = [
    undefined,
    "",
    "-1",
    "NaN",
    "1.5",
    "1e9",
    "Infinity",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "9".repeat(400),
  ];
  for (const header of nothing) expect(parseRetryAfterMs(header), header).toBeUndefined();
});
