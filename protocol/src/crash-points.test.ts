import { expect, test } from "vitest";
import { createCrashPoint, writeNameOf } from "./crash-points.ts";

function under(armed: () => string | undefined) {
  const noted: string[] = [];
  const died: number[] = [];
  const pass = createCrashPoint({ armed, note: (name) => noted.push(name), die: () => died.push(noted.length) });
  return { noted, died, pass };
}

test("unarmed, every place is noted and none is deadly", () => {
  const { noted, died, pass } = under(() => undefined);
  for (const name of ["a before", "a after", "a before"]) pass(name);
  expect(noted).toEqual(["a before", "a after", "a before"]);
  expect(died).toEqual([]);
});

test("the process dies at the passing that was named, and at no other place", () => {
  const { died, pass } = under(() => "commit(insert a#b) before#2");
  pass("commit(insert a#b) before");
  pass("commit(insert a#b) after");
  expect(died).toEqual([]);
  pass("commit(insert a#b) before");
  expect(died).toEqual([3]);
});

test("passings are counted from the moment a place is armed", () => {
  let armed: string | undefined;
  const { died, pass } = under(() => armed);
  pass("a before");
  armed = "a before#1";
  pass("a before");
  expect(died).toEqual([2]);
});

test("what was armed and is no more is forgotten with its count", () => {
  let armed: string | undefined = "a before#2";
  const { died, pass } = under(() => armed);
  pass("a before");
  armed = undefined;
  pass("b before");
  armed = "a before#2";
  pass("a before");
  expect(died).toEqual([]);
  pass("a before");
  expect(died).toEqual([4]);
});

test.each([
  ["INSERT INTO operations VALUES (?, ?)", "insert operations"],
  ["INSERT OR REPLACE INTO operations VALUES (?)", "insert operations"],
  ["insert or ignore into operations values (?)", "insert operations"],
  ["DELETE FROM lines WHERE operation_id = ?", "delete lines"],
  ['insert into "audit" ("id") values (?)', "insert audit"],
  ['update "service" set "generation" = ?', "update service"],
  ['\n    delete from "event" where "id" < ?', "delete event"],
  ['select "update" from "service"', undefined],
  ["PRAGMA wal_checkpoint", undefined],
])("%j is called %j", (sql, name) => expect(writeNameOf(sql)).toBe(name));
