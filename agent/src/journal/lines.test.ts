import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { createFiles } from "../platform.ts";
import { type Database, openDatabase } from "./database.ts";
import { createLines, LINES_SCHEMA, type Lines } from "./lines.ts";
import { createRecords, recordsSchema, SET_ASIDE_ROWS_MAX, SET_ASIDE_SCHEMA } from "./records.ts";
import { stampNow, stampSchema } from "./stamp.ts";

const LOST = "(this line was lost on the agent's disk)";
const DAMAGED = "(this line was damaged on the agent's disk)";
let folder: string;
let database: Database;
let lines: Lines;
const clock = createFakeClock();
const log = createMemoryLog();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-lines-"));
  database = openDatabase(
    { files: createFiles(), clock, log },
    {
      path: join(folder, "journal.db"),
      schema: [SET_ASIDE_SCHEMA, LINES_SCHEMA, recordsSchema("operations")].join("\n"),
      trials: [],
      onDamage: (error) => expect.unreachable(error.message),
    },
  );
  lines = createLines({ clock, database, log });
  const texts = ["zero", "one", "two", "three"];
  lines.add(
    "a",
    0,
    texts.map((text) => ({ at: stampNow(clock), level: "info", text })),
  );
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const texts = (from: number, limit = 100, until?: number) =>
  lines.read("a", from, limit, until).map(({ text }) => text);

test("a line that is gone keeps its number, and so do all after it", () => {
  database.run("DELETE FROM lines WHERE n = 1");
  expect(texts(0)).toEqual(["zero", LOST, "two", "three"]);
  expect(texts(1, 2)).toEqual([LOST, "two"]);
  expect(lines.count("a")).toBe(4);
});

test("lines that are gone at the end are said to be lost, up to as many as there were", () => {
  database.run("DELETE FROM lines WHERE n > 1");
  expect(texts(0, 100, 4)).toEqual(["zero", "one", LOST, LOST]);
  expect(texts(4, 100, 4)).toEqual([]);
});

test("a line under another number than its own is damaged, and counts for nothing where it would move the next one far away", () => {
  database.run("UPDATE lines SET n = 70000 WHERE n = 3");
  expect(lines.count("a")).toBe(3);
  database.run("UPDATE lines SET n = 3 WHERE n = 2");
  expect(texts(0)).toEqual(["zero", "one", LOST, DAMAGED]);
});

test("lines of operations that there is no record of are removed", () => {
  database.run("INSERT INTO operations VALUES ('b', '', '')");
  lines.add("b", 0, [{ at: stampNow(clock), level: "info", text: "kept" }]);
  lines.removeOrphans();
  expect([lines.count("a"), lines.count("b")]).toEqual([0, 1]);
});

test("rows that are set aside are bounded in number and length, and what stands in for one is written with it", () => {
  const standIn = stampNow(clock);
  const records = createRecords(database, "operations", stampSchema, () => standIn);
  for (let n = 0; n < SET_ASIDE_ROWS_MAX + 20; n += 1) {
    database.run("INSERT INTO operations VALUES (?, ?, 'not its checksum')", `id ${n}`, `{"n":${"1".repeat(20_000)}}`);
    expect(records.get(`id ${n}`)).toEqual(standIn);
  }
  const [kept] = database.all("SELECT count(*) AS n, max(length(body)) AS longest, max(id) AS newest FROM set_aside");
  expect(kept).toMatchObject({ n: SET_ASIDE_ROWS_MAX, longest: 16_384 });
  expect(records.all()).toHaveLength(SET_ASIDE_ROWS_MAX + 20);
  expect(database.all("SELECT count(*) AS n FROM set_aside WHERE reason NOT LIKE '%checksum%'")).toEqual([{ n: 0 }]);
});

test("a damaged row that cannot be set aside for want of room still reads as what stands in for it", () => {
  const standIn = stampNow(clock);
  const records = createRecords(database, "operations", stampSchema, () => standIn);
  const damaged = "y".repeat(12_000);
  database.run("INSERT INTO operations VALUES ('x', ?, 'not its checksum')", damaged);
  const [pages] = database.all("PRAGMA page_count");
  database.all(`PRAGMA max_page_count = ${Number(pages?.page_count)}`);
  expect(() => database.run("INSERT INTO set_aside VALUES ('', '', ?, '')", damaged)).toThrow(
    expect.objectContaining({ code: "disk_full" }),
  );
  expect(records.get("x")).toEqual(standIn);
  expect(database.all("SELECT body FROM operations WHERE id = 'x'")).toEqual([{ body: damaged }]);
});
