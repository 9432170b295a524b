import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { createFiles } from "../platform.ts";
import { createJournal, type OperationRecord } from "./journal.ts";
import { ageMs, stampNow } from "./stamp.ts";

const OPERATION = "01890000-0000-7000-8000-000000000001";
const SERVICE = "01890000-0000-7000-8000-000000000002";
let folder: string;
const clock = createFakeClock();
const log = createMemoryLog();
const damages: Error[] = [];

beforeEach(() => {
  damages.length = 0;
  folder = mkdtempSync(join(tmpdir(), "dflow-journal-"));
  log.entries.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (path = join(folder, "journal.db")) =>
  createJournal({ clock, files: createFiles(), log, onDamage: (error) => damages.push(error) }, path);

function operation(part: Partial<OperationRecord> = {}): OperationRecord {
  return {
    operationId: OPERATION,
    command: {
      kind: "stop",
      operationId: OPERATION,
      serviceId: SERVICE,
      generation: 2,
      startWithinMs: 1_000,
      runMs: 10_000,
    },
    receivedAt: stampNow(clock),
    acknowledged: false,
    ...part,
  };
}

test("finds everything again in a file that was never closed", () => {
  const first = open();
  first.operations.put(operation());
  first.lines.add(OPERATION, 0, [{ at: stampNow(clock), level: "info", text: "one" }]);
  // A copy of the files as they are is what a killed process leaves.
  for (const name of readdirSync(folder)) copyFileSync(join(folder, name), join(folder, `copy-${name}`));
  const second = open(join(folder, "copy-journal.db"));
  expect(second.operations.unfinished()).toEqual([operation()]);
  expect(second.lines.read(OPERATION, 0, 10).map((line) => line.text)).toEqual(["one"]);
  first.close();
  second.close();
});

test("sets a row aside whose content changed, and answers that the outcome is unknown", () => {
  const journal = open();
  journal.operations.put(operation());
  journal.services.put({ serviceId: SERVICE, generation: 2, desired: "running", everDeployed: true, deleted: false });
  journal.close();
  const path = join(folder, "journal.db");
  const text = readFileSync(path, "latin1").replaceAll('"generation":2', '"generation":3');
  writeFileSync(path, text, "latin1");

  const again = open();
  expect(again.operations.get(OPERATION)?.outcome?.state).toBe("unknown");
  expect(again.services.get(SERVICE)).toBeUndefined();
  expect(log.entries.some((entry) => entry.message.includes("damaged"))).toBe(true);
  again.close();
});

test("opens whatever happened to the file, and keeps what it could not read", () => {
  const journal = open();
  journal.operations.put(operation());
  journal.close();
  const path = join(folder, "journal.db");
  const good = readFileSync(path);
  for (let round = 0; round < 60; round += 1) {
    const bytes = Buffer.from(good.subarray(0, round % 5 === 0 ? good.length - round * 37 : good.length));
    for (let flip = 0; flip < 40; flip += 1) {
      bytes[(round * 7919 + flip * 104_729) % bytes.length] = (round * 31 + flip) % 256;
    }
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    writeFileSync(path, bytes);
    const opened = open();
    opened.operations.unfinished();
    opened.operations.put(operation());
    expect(opened.operations.get(OPERATION)?.command?.kind).toBe("stop");
    opened.close();
  }
});

test("keeps the ids of finished operations for a week and drops their lines once delivered", () => {
  const journal = open();
  journal.operations.put(
    operation({ acknowledged: true, outcome: { state: "succeeded", lineCount: 1, endedAt: stampNow(clock) } }),
  );
  journal.lines.add(OPERATION, 0, [{ at: stampNow(clock), level: "info", text: "one" }]);
  journal.compact();
  expect(journal.lines.read(OPERATION, 0, 10)).toEqual([]);
  expect(journal.operations.get(OPERATION)).toBeDefined();
  clock.skip(9 * 86_400_000);
  journal.compact();
  expect(journal.operations.get(OPERATION)).toBeUndefined();
  journal.close();
});

test("tells ages by the monotonic clock within a boot and by the wall clock across boots", () => {
  const local = createFakeClock();
  const stamp = stampNow(local);
  local.skip(5_000);
  local.jumpWall(-3_600_000);
  expect(ageMs(local, stamp)).toBe(5_000);
  local.reboot();
  local.jumpWall(3_600_000);
  expect(ageMs(local, stamp)).toBe(5_000);
});

test("does not take a file for damaged that only cannot be opened now", () => {
  const journal = open();
  journal.operations.put(operation());
  journal.close();
  // In the place of the write-ahead log, which a full disk or a missing right also keeps SQLite from making.
  mkdirSync(join(folder, "journal.db-wal"));
  expect(() => open()).toThrow();
  rmSync(join(folder, "journal.db-wal"), { recursive: true });
  expect(readdirSync(folder).filter((name) => name.includes("damaged"))).toEqual([]);
  const again = open();
  expect(again.operations.unfinished()).toEqual([operation()]);
  again.close();
});
