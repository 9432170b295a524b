import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LINK_LIMITS, type OutgoingToControlPlane } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { createJournal, type Journal } from "../journal/journal.ts";
import { stampNow } from "../journal/stamp.ts";
import { createFiles } from "../platform.ts";
import { createDelivery, type Delivery } from "./delivery.ts";

const clock = createFakeClock();
const operationId = newId();
let folder: string;
let journal: Journal;
let sent: OutgoingToControlPlane[];
let connected: boolean;
let delivery: Delivery;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-delivery-"));
  journal = createJournal(
    { clock, files: createFiles(), log: createMemoryLog(), onDamage: () => undefined },
    join(folder, "journal.db"),
  );
  journal.operations.put({ operationId, receivedAt: stampNow(clock), startedAt: stampNow(clock), acknowledged: false });
  sent = [];
  connected = true;
  delivery = createDelivery({
    clock,
    journal,
    send(frame) {
      if (connected) sent.push(frame);
      return connected;
    },
    stepOf: () => "waiting until the database answers",
  });
});
afterEach(() => {
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});

function write(count: number, text = "line") {
  const from = journal.lines.count(operationId);
  const lines = Array.from({ length: count }, (_, n) => ({
    at: stampNow(clock),
    level: "info" as const,
    text: `${text} ${from + n}`,
  }));
  journal.lines.add(operationId, from, lines);
  delivery.linesStored(operationId);
}
function finish() {
  const lineCount = journal.lines.count(operationId);
  journal.operations.change(operationId, { outcome: { state: "succeeded", lineCount, endedAt: stampNow(clock) } });
  delivery.finished(operationId);
}
const shape = () =>
  sent.map((frame) => (frame.type === "progress" ? [frame.data.from, frame.data.lines.length] : frame.type));

test("sends lines as they come and the result after the last of them", () => {
  write(2);
  write(3);
  finish();
  expect(shape()).toEqual([[0, 2], [2, 3], "result"]);
});

test("tells ages, not times", () => {
  write(1);
  clock.skip(4_000);
  finish();
  clock.skip(1_000);
  connected = true;
  delivery.begin();
  expect(sent.at(-1)).toMatchObject({ type: "result", data: { endedAgeMs: 1_000, startedAgeMs: 5_000, lineCount: 1 } });
});

test("sends again after a reconnect what was not acknowledged, from where the other side has it", () => {
  write(4);
  delivery.linesAcknowledged(operationId, 3);
  connected = false;
  write(2);
  finish();
  connected = true;
  sent = [];
  delivery.begin();
  expect(shape()).toEqual([[3, 3], "result"]);
  delivery.resultAcknowledged(operationId);
  sent = [];
  delivery.begin();
  expect(sent).toEqual([]);
});

test("keeps batches small, and waits when too much is under way", () => {
  write(2_500);
  expect(Math.max(...sent.map((frame) => JSON.stringify(frame).length))).toBeLessThan(256 * 1024);
  const lines = sent.reduce((sum, frame) => sum + (frame.type === "progress" ? frame.data.lines.length : 0), 0);
  expect(lines).toBe(2_000);
  delivery.linesAcknowledged(operationId, 2_000);
  expect(sent.at(-1)).toMatchObject({ data: { from: 2_400 } });
});

test("answers a command that comes again after its end with the result, even long after", () => {
  write(1);
  finish();
  delivery.resultAcknowledged(operationId);
  journal.compact();
  sent = [];
  delivery.resend(operationId);
  expect(shape()).toEqual(["result"]);
});

test("keeps a frame under its limit in bytes, whatever language the lines are in", () => {
  write(60, "日本語".repeat(1_300));
  const sizes = sent.map((frame) => Buffer.byteLength(JSON.stringify(frame)));
  expect(Math.max(...sizes)).toBeLessThan(LINK_LIMITS.jsonBytes);
  write(60, '"\\'.repeat(2_000));
  expect(Math.max(...sent.map((frame) => Buffer.byteLength(JSON.stringify(frame))))).toBeLessThan(
    LINK_LIMITS.jsonBytes,
  );
});

test("goes back to the line that a restored control plane is missing, once, and not for each answer alike", () => {
  write(5);
  delivery.linesAcknowledged(operationId, 5);
  sent = [];
  delivery.begin();
  write(1);
  expect(shape()).toEqual([[5, 1]]);
  sent = [];
  delivery.linesAcknowledged(operationId, 2);
  delivery.linesAcknowledged(operationId, 2);
  expect(shape()).toEqual([[2, 4]]);
  delivery.linesAcknowledged(operationId, 6);
  write(1);
  expect(shape()).toEqual([
    [2, 4],
    [6, 1],
  ]);
});

test("sends the lines that are asked for after the result, and the result again when they are gone", () => {
  write(3);
  delivery.linesAcknowledged(operationId, 3);
  finish();
  sent = [];
  delivery.linesAcknowledged(operationId, 1);
  expect(shape()).toEqual([[1, 2]]);
  delivery.resultAcknowledged(operationId);
  sent = [];
  delivery.linesAcknowledged(operationId, 1);
  expect(shape()).toEqual(["result"]);
});
