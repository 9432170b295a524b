import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { createFiles } from "../platform.ts";
import { lockFolder, openDatabase } from "./database.ts";

let folder: string;
const clock = createFakeClock();
const log = createMemoryLog();
const damages: Error[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dflow-database-"));
  log.entries.length = 0;
  damages.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => join(folder, "small.db");
const open = (at = path()) =>
  openDatabase(
    { files: createFiles(), clock, log },
    {
      path: at,
      schema: "CREATE TABLE IF NOT EXISTS t (a TEXT) STRICT;",
      trials: ["SELECT a FROM t"],
      onDamage: (error) => damages.push(error),
    },
  );
const rows = (database: ReturnType<typeof open>) => database.all("SELECT a FROM t").map(({ a }) => a);
const setAside = () => readdirSync(folder).filter((name) => name.includes("damaged"));
const messages = () => log.entries.map(({ message }) => message).join("\n");
/** What a killed process leaves: nothing is closed, nothing is tidied up. */
const killed = (work: (database: ReturnType<typeof open>) => void) => {
  const database = open();
  work(database);
  const left = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))] as const);
  database.close();
  for (const [name, bytes] of left) writeFileSync(join(folder, name), bytes);
};

test("sets a journal aside that has lost its newest writes, although what is left of it is whole", () => {
  open().close();
  killed((database) => database.run("INSERT INTO t VALUES (?)", "one"));
  rmSync(`${path()}-wal`);
  const again = open();
  expect(rows(again)).toEqual([]);
  expect(setAside()).not.toEqual([]);
  expect(JSON.stringify(log.entries)).toContain("its newest writes are gone");
  again.run("INSERT INTO t VALUES (?)", "two");
  again.close();
  const third = open();
  expect(rows(third)).toEqual(["two"]);
  third.close();
});

test("takes up a journal whose mark was not written any more, was lost, or is damaged", () => {
  killed((database) => {
    database.run("INSERT INTO t VALUES (?)", "one");
    const mark = readFileSync(`${path()}-mark`);
    database.run("INSERT INTO t VALUES (?)", "two");
    writeFileSync(`${path()}-mark`, mark);
  });
  const spoil = [() => undefined, () => rmSync(`${path()}-mark`), () => writeFileSync(`${path()}-mark`, "xyz")];
  for (const act of spoil) {
    act();
    const again = open();
    expect(rows(again)).toEqual(["one", "two"]);
    again.close();
  }
  expect(setAside()).toEqual([]);
});

test("says so when the journal is gone, and begins a new one", () => {
  killed((database) => database.run("INSERT INTO t VALUES (?)", "one"));
  for (const name of ["small.db", "small.db-wal", "small.db-shm"]) rmSync(join(folder, name));
  const again = open();
  expect(rows(again)).toEqual([]);
  expect(messages()).toContain("the journal that was here is gone");
  again.close();
});

test("opens a file that only says of itself that nobody may write it", () => {
  const database = open();
  database.run("INSERT INTO t VALUES (?)", "one");
  database.close();
  const bytes = readFileSync(path());
  bytes[18] = 66;
  writeFileSync(path(), bytes);
  const again = open();
  again.run("INSERT INTO t VALUES (?)", "two");
  expect(setAside()).not.toEqual([]);
  again.close();
});

test("sets the file aside when its damage shows in the middle of work, ends the run, and reads and writes nothing more", () => {
  const database = open();
  for (let n = 0; n < 2_000; n += 1) database.run("INSERT INTO t VALUES (?)", `${n} ${"x".repeat(2_000)}`);
  database.all("PRAGMA wal_checkpoint(TRUNCATE)");
  // As a disk does that has begun to fail: under the open file.
  writeFileSync(path(), Buffer.alloc(readFileSync(path()).length, 0xa5), { flag: "r+" });
  database.all("PRAGMA cache_size = 1");
  database.all("PRAGMA shrink_memory");
  expect(() => database.all("SELECT count(*), max(a) FROM t")).toThrow();
  expect(damages).toHaveLength(1);
  expect(setAside()).not.toEqual([]);
  expect(() => database.run("INSERT INTO t VALUES (?)", "late")).toThrow();
  expect(damages).toHaveLength(1);
  const again = open();
  again.run("INSERT INTO t VALUES (?)", "new");
  expect(rows(again)).toEqual(["new"]);
  again.close();
});

test("keeps the newest three that were set aside, and no more", () => {
  for (let round = 0; round < 6; round += 1) {
    writeFileSync(path(), `garbage ${round}`.repeat(200));
    clock.skip(1_000);
    open().close();
  }
  const kept = setAside().filter((name) => !/-(wal|shm)$/.test(name));
  expect(kept.map((name) => readFileSync(join(folder, name), "utf8").slice(0, 9))).toEqual([
    "garbage 3",
    "garbage 4",
    "garbage 5",
  ]);
});

test("lets one holder at a time have a data folder", () => {
  const path = join(folder, "agent.lock");
  const held = lockFolder(path);
  expect(() => lockFolder(path)).toThrow("another agent runs");
  held.release();
  lockFolder(path).release();
  expect(existsSync(path)).toBe(true);
});

test("says disk_full when there is no room, in and out of a transaction, and goes on when there is", () => {
  const database = openDatabase(
    { files: createFiles(), clock, log },
    {
      path: join(folder, "small.db"),
      schema: "CREATE TABLE IF NOT EXISTS t (a TEXT) STRICT;",
      trials: [],
      onDamage: (error) => expect.unreachable(error.message),
    },
  );
  const full = expect.objectContaining({ code: "disk_full", hint: expect.stringContaining("Free space") });
  const fill = () => {
    for (let n = 0; n < 100; n += 1) database.run("INSERT INTO t VALUES (?)", "x".repeat(3_000));
  };
  database.all("PRAGMA max_page_count = 10");
  expect(() => database.transaction(fill)).toThrow(full);
  expect(database.all("SELECT count(*) AS n FROM t")).toEqual([{ n: 0 }]);
  expect(fill).toThrow(full);
  database.all("PRAGMA max_page_count = 10000");
  database.transaction(fill);
  database.close();
});
