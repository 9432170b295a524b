import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { createJournal, type Journal } from "../journal/journal.ts";
import { createFiles } from "../platform.ts";
import { createOperationLog } from "./operation-log.ts";

const OPERATION = "01890000-0000-7000-8000-000000000001";
const clock = createFakeClock();
let folder: string;
let journal: Journal;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-operation-log-"));
  journal = createJournal(
    { clock, files: createFiles(), log: createMemoryLog(), onDamage: () => undefined },
    join(folder, "journal.db"),
  );
});
afterEach(() => {
  journal.close();
  rmSync(folder, { recursive: true, force: true });
});

const open = () => createOperationLog({ clock, journal, onStored: () => undefined }, OPERATION);
const texts = () => journal.lines.read(OPERATION, 0, 1_000).map(({ text }) => text);

test("goes on behind the lines that an earlier run of the agent has written", () => {
  const before = open();
  before.add("info", "one\ntwo");
  before.flush();
  const after = open();
  after.add("warn", "three");
  after.flush();
  expect(texts()).toEqual(["one", "two", "three"]);
  expect(after.count()).toBe(3);
});

test("writes lines in batches, and tells of them only when they are on disk", async () => {
  const told: string[][] = [];
  const log = createOperationLog({ clock, journal, onStored: () => told.push(texts()) }, OPERATION);
  log.add("info", "one");
  log.add("info", "two");
  expect(texts()).toEqual([]);
  await clock.advance(100);
  expect(told).toEqual([["one", "two"]]);
});

test("keeps no more of a container's words than its share, and says so once", () => {
  const log = open();
  for (let line = 0; line < 5_010; line += 1) log.add("output", `line ${line}`);
  log.add("info", "our own go on");
  log.flush();
  const all = journal.lines.read(OPERATION, 0, 10_000).map(({ text }) => text);
  expect(all).toHaveLength(5_002);
  expect(all.slice(-2)).toEqual(["Further output is not kept in this log.", "our own go on"]);
});

test("takes colours and control characters out", () => {
  const log = open();
  log.add("output", "\u001b[31mred\u001b[0m\u0007 alert");
  log.flush();
  expect(texts()).toEqual(["red alert"]);
});
