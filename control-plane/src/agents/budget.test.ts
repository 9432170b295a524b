import { LINK_LIMITS } from "@dflow/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { createTestPlatform, type TestPlatform } from "../testing/platform.ts";
import { AGENT_BUDGET, askedFor, type Budget, createBudgets } from "./budget.ts";

let platform: TestPlatform;
let budget: Budget;
beforeEach(() => {
  platform = createTestPlatform();
  budget = createBudgets(platform.clock).of("server");
});

/** Sends frames of this size, this many a second, until the budget says no or the time is over. */
function sendsFor(seconds: number, framesPerSecond: number, frameBytes: number, isNew = false): boolean {
  for (let n = 0; n < seconds * framesPerSecond; n += 1) {
    platform.advance(1000 / framesPerSecond);
    if (!budget.spend("bytes", frameBytes) || !budget.spend("frames", 1)) return false;
    if (isNew) budget.giveBack({ frames: 1, bytes: frameBytes });
  }
  return true;
}

describe("an agent's budget", () => {
  test("has room for a busy server, all the time", () => {
    expect(sendsFor(600, 100, 2_000)).toBe(true);
  });

  test("has room for reports that bring something new, as many as are worked off", () => {
    expect(sendsFor(60, 500, 100_000, true)).toBe(true);
  });

  test("has room for a journal full of lines that comes at once, as far as it is read before it is worked off", () => {
    for (let n = 0; n < 200; n += 1) expect(budget.spend("bytes", 100_000)).toBe(true);
  });

  test("has room for everything about 500 operations twice", () => {
    for (let n = 0; n < 500 * 3 * 2; n += 1) expect(budget.spend("frames", 1)).toBe(true);
  });

  test("ends within a second under 100 MB/s, and under frames as fast as they come", () => {
    expect(sendsFor(1, 1_600, 64 * 1024)).toBe(false);
    expect(
      createBudgets(platform.clock)
        .of("other")
        .spend("frames", AGENT_BUDGET.frames.burst + 1),
    ).toBe(false);
  });

  test("has room for 64 logs at full speed under their credit, however short the lines are", () => {
    const lineBytes = 32;
    const onWire = lineBytes + 14 + 8;
    let creditFrames = 0;
    const grant = (bytes: number) => {
      budget.giveBack(askedFor({ type: "log_credit", data: { streamId: 1, bytes } }) ?? { frames: 0, bytes: 0 });
      creditFrames += bytes / lineBytes;
    };
    for (let stream = 0; stream < LINK_LIMITS.logStreamsPerAgent; stream += 1) grant(LINK_LIMITS.logCreditBytes);
    // No time passes.
    for (let round = 0; round < 20; round += 1) {
      for (; creditFrames > 0; creditFrames -= 1) {
        if (!budget.spend("frames", 1) || !budget.spend("bytes", onWire)) throw new Error(`refused in round ${round}`);
      }
      grant(LINK_LIMITS.logCreditBytes / 2);
    }
  });

  test("does not grow without end by logs that are opened and not sent", () => {
    for (let n = 0; n < 10_000; n += 1) budget.giveBack({ frames: 8_192, bytes: 512 * 1024 });
    expect(budget.spend("frames", AGENT_BUDGET.frames.most + 1)).toBe(false);
    expect(budget.spend("bytes", AGENT_BUDGET.bytes.most + 1)).toBe(false);
  });

  test("is the server's, not the socket's", () => {
    const budgets = createBudgets(platform.clock);
    expect(budgets.of("a").spend("frames", AGENT_BUDGET.frames.burst)).toBe(true);
    expect(budgets.of("a").spend("frames", 1)).toBe(false);
    expect(budgets.of("b").spend("frames", 1)).toBe(true);
  });

  test("is full again when the agent comes back after being closed for it", () => {
    budget.spend("frames", AGENT_BUDGET.frames.burst);
    budget.spend("bytes", AGENT_BUDGET.bytes.burst);
    platform.advance(60_000);
    expect(budget.spend("frames", AGENT_BUDGET.frames.burst)).toBe(true);
    expect(budget.spend("bytes", AGENT_BUDGET.bytes.burst)).toBe(true);
  });
});
