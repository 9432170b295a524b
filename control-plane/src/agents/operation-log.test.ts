/** Lines of operations: once each, in order, within bounds, told to browsers in moderation. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import { LOG_CUT_TEXT } from "./log-bound.ts";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
let socket: FakeSocket;
let operationId: string;
beforeEach(async () => {
  platform = createTestPlatform();
  harness = await startHarness({ platform });
  agent = await harness.enrolled();
  operationId = await harness.makeOperation(await harness.makeService(agent.agentId), "deploy");
  socket = await harness.connect(agent);
  await socket.next("command");
});
afterEach(() => harness.stop());

const lines = (...texts: string[]) => texts.map((text) => ({ ageMs: 0, level: "info" as const, text }));
const progress = async (from: number, texts: string[], step?: string): Promise<number> => {
  socket.send({ type: "progress", data: { operationId, from, lines: lines(...texts), ...(step ? { step } : {}) } });
  return (await socket.next("progress_ack")).data.next;
};
const texts = async () => (await harness.logOf(operationId)).map((row) => row.text);

describe("progress", () => {
  it("stores lines, step and start, dated by their age", async () => {
    platform.advance(5_000);
    socket.send({
      type: "progress",
      data: { operationId, from: 0, step: "pull", lines: [{ ageMs: 300, level: "output", text: "Pulling" }] },
    });
    await socket.next("progress_ack");
    const at = platform.clock.now() - 300;
    expect(await harness.logOf(operationId)).toEqual([
      { operation_id: operationId, n: 0, at, level: "output", text: "Pulling" },
    ]);
    expect(await harness.operation(operationId)).toMatchObject({
      state: "running",
      step: "pull",
      started_at: at,
      line_count: 1,
    });
  });

  it("stores each line once, however often it comes", async () => {
    expect(await progress(0, ["a", "b"])).toBe(2);
    expect(await progress(0, ["a", "b"])).toBe(2);
    expect(await progress(1, ["b", "c"])).toBe(3);
    expect(await texts()).toEqual(["a", "b", "c"]);
  });

  it("asks for what is missing instead of storing a log with a hole", async () => {
    await progress(0, ["a"]);
    expect(await progress(5, ["f"])).toBe(1);
    expect(await texts()).toEqual(["a"]);
    expect(await progress(1, ["b", "c"])).toBe(3);
  });

  it("goes on where it was on the next session", async () => {
    await progress(0, ["a"]);
    socket.cut();
    socket = await harness.connect(agent);
    expect(await progress(0, ["a", "b"])).toBe(2);
    expect(await texts()).toEqual(["a", "b"]);
  });

  it("ends a long log with one line that says so, and is complete with it", async () => {
    const long = "x".repeat(4_000);
    let from = 0;
    while (from < 400)
      from = await progress(
        from,
        Array.from({ length: 50 }, () => long),
      );
    const stored = await texts();
    expect(stored).toHaveLength(263);
    expect(stored.at(-1)).toBe(LOG_CUT_TEXT);
    expect(stored.filter((text) => text === LOG_CUT_TEXT)).toHaveLength(1);
    expect(await progress(0, [long])).toBe(263);
    socket.send({ type: "result", data: { operationId, state: "succeeded", lineCount: 400, endedAgeMs: 0 } });
    await socket.next("result_ack");
    // Who follows the log reaches its end with the last line that is kept.
    expect(await harness.operation(operationId)).toMatchObject({ line_count: 263, lines_total: 263 });
  });

  it("tells browsers of a growing log ten times a second, the newest always last", async () => {
    const hints = () => harness.events.filter((event) => event.type === "operation_log").map((event) => event.revision);
    for (let count = 0; count < 5; count++) await progress(count, [`line ${count}`]);
    expect(hints()).toEqual([1]);
    platform.advance(100);
    expect(hints()).toEqual([1, 5]);
    platform.advance(100);
    await progress(5, ["line 5"]);
    expect(hints()).toEqual([1, 5, 6]);
  });

  it("tells of a new step, not of the same one", async () => {
    await progress(0, ["a"], "pull");
    harness.events.length = 0;
    await progress(1, ["b"], "pull");
    expect(harness.events.filter((event) => event.type === "operation")).toEqual([]);
    await progress(2, ["c"], "start");
    await until(() => harness.events.some((event) => event.type === "operation" && event.id === operationId));
  });
});

describe("a log that went because of its age", () => {
  it("stays away: lines that still come are acknowledged and let go of", async () => {
    await progress(0, ["a", "b"]);
    await harness.deps.db.deleteFrom("operation_log").where("operation_id", "=", operationId).execute();
    await harness.deps.db.updateTable("operation").set({ log_removed_at: 1 }).where("id", "=", operationId).execute();
    expect(await progress(2, ["c"])).toBe(3);
    expect(await texts()).toEqual([]);
    expect(await harness.operation(operationId)).toMatchObject({ line_count: 2 });
  });
});
