import { pino } from "pino";
import { expect, test } from "vitest";
import { createDatabase, type Db } from "./database.ts";
import { isMigrated } from "./migrate.ts";
import { openWhenThereIsRoom } from "./open-when-there-is-room.ts";

/** A database whose first use fails as SQLite does, so often. */
function failing(times: number, code: string): () => Promise<{ db: Db }> {
  let left = times;
  return async () => {
    left -= 1;
    if (left < 0) return { db: createDatabase(":memory:") };
    return {
      db: createDatabase(":memory:", () => {
        throw Object.assign(new Error("disk I/O error"), { code });
      }),
    };
  };
}

test("a database that finds no room is opened again every second until it does, and that is told once a minute", async () => {
  const told: string[] = [];
  const pauses: number[] = [];
  const log = pino({ base: null }, { write: (line) => void told.push(line) });
  const pause = async (ms: number) => void pauses.push(ms);
  const { db } = await openWhenThereIsRoom({ log, pause }, failing(61, "SQLITE_IOERR_SHMSIZE"));
  expect(await isMigrated(db)).toBe(true);
  expect([pauses.length, new Set(pauses), told.length]).toEqual([61, new Set([1_000]), 2]);
  expect(told[0]).toContain("waits for room");
});

test("any other failure is not waited on", async () => {
  const opened = openWhenThereIsRoom(
    { log: pino({ level: "silent" }), pause: () => Promise.reject(new Error("paused")) },
    failing(1, "SQLITE_CORRUPT"),
  );
  await expect(opened).rejects.toThrow(/migrate the database.*disk I\/O error/);
});
