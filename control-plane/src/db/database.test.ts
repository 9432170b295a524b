import { join } from "node:path";
import { sql } from "kysely";
import { afterEach, expect, test } from "vitest";
import { tempFolder } from "../testing/temp-folder.ts";
import { createDatabase, type Db, type DiskSync, type Trx } from "./database.ts";
import { isMigrated, migrate, unknownMigrations } from "./migrate.ts";

const opened: Db[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.destroy()));
});

function open(file = join(tempFolder("db"), "test.sqlite")): Db {
  const db = createDatabase(file);
  opened.push(db);
  return db;
}

const workspace = (id: string) => ({ id, name: id, created_at: 1 });

test("migrations make every table, and a second run changes nothing", async () => {
  const db = open();
  expect(await isMigrated(db)).toBe(false);
  await migrate(db);
  await migrate(db);
  expect(await isMigrated(db)).toBe(true);
  expect(await db.selectFrom("operation").selectAll().execute()).toEqual([]);
});

test("a migration that ends half-way leaves nothing behind, and runs when it is tried again", async () => {
  const db = open();
  // The name of a late table of the first one, so that it fails after it has made others.
  await sql.raw(`create table audit (in_the_way integer)`).execute(db);
  await expect(migrate(db)).rejects.toThrow("table audit already exists");
  const { rows } = await sql<{ name: string }>`
    select name from sqlite_master where type = 'table' and name not like 'kysely%'`.execute(db);
  expect(rows).toEqual([{ name: "audit" }]);
  await sql.raw(`drop table audit`).execute(db);
  await migrate(db);
  expect(await isMigrated(db)).toBe(true);
});

test("migrations of a newer version are named, and a file without any has none", async () => {
  const db = open();
  expect(await unknownMigrations(db)).toEqual([]);
  await migrate(db);
  expect(await unknownMigrations(db)).toEqual([]);
  await sql`insert into kysely_migration (name, timestamp) values ('9999-later', '2026-01-01')`.execute(db);
  expect(await unknownMigrations(db)).toEqual(["9999-later"]);
});

test("migrations that cannot be read are an error, not none", async () => {
  const db = open();
  await sql.raw(`create table kysely_migration (something_else text)`).execute(db);
  await expect(unknownMigrations(db)).rejects.toThrow("no such column: name");
});

test("the file is written with WAL, full sync and foreign keys", async () => {
  const db = open();
  const pragma = async (name: string) => Object.values((await sql.raw(`pragma ${name}`).execute(db)).rows[0] ?? {})[0];
  expect(await pragma("journal_mode")).toBe("wal");
  expect(await pragma("synchronous")).toBe(2);
  expect(await pragma("foreign_keys")).toBe(1);
});

test("the root connection inside a transaction is an error, and the transaction is undone", async () => {
  const db = open();
  await migrate(db);
  const attempt = db.transaction().execute(async (trx) => {
    await trx.insertInto("workspace").values(workspace("a")).execute();
    await db.selectFrom("workspace").selectAll().execute();
  });
  await expect(attempt).rejects.toThrow("inside a transaction");
  expect(await db.selectFrom("workspace").selectAll().execute()).toEqual([]);
});

test("work that was started inside a transaction may use the root connection after its end", async () => {
  const db = open();
  await migrate(db);
  let later: Promise<unknown> | undefined;
  await db.transaction().execute(async (trx) => {
    await trx.insertInto("workspace").values(workspace("a")).execute();
    later = new Promise((resolve) => setTimeout(resolve, 20)).then(() =>
      db.selectFrom("workspace").selectAll().execute(),
    );
  });
  expect(await later).toHaveLength(1);
});

/** A disk whose syncs end when the test says so. */
function openOnSlowDisk() {
  const syncs: PromiseWithResolvers<void>[] = [];
  const disk: DiskSync = {
    sync() {
      const one = Promise.withResolvers<void>();
      syncs.push(one);
      return one.promise;
    },
    close: async () => undefined,
  };
  const db = createDatabase(join(tempFolder("db"), "test.sqlite"), undefined, disk);
  opened.push(db);
  return { db, syncs };
}

test("a write has resolved only when the disk has it, while others go on and share the next sync", async () => {
  const { db, syncs } = openOnSlowDisk();
  const ready = migrate(db);
  await untilSettled(ready, syncs);
  const done: string[] = [];
  const add = (id: string) =>
    db
      .transaction()
      .execute((trx) => trx.insertInto("workspace").values(workspace(id)).execute())
      .then(() => done.push(id));
  const all = [add("a"), add("b"), db.insertInto("workspace").values(workspace("c")).execute()];
  const names = () => db.selectFrom("workspace").select("id").orderBy("id").execute();
  expect((await names()).map((row) => row.id)).toEqual(["a", "b", "c"]);
  expect([done, syncs.length]).toEqual([[], 1]);
  syncs.shift()?.resolve();
  await expect.poll(() => syncs.length).toBe(1);
  expect(done).toEqual(["a"]);
  syncs.shift()?.resolve();
  await Promise.all(all);
  expect([done, syncs.length]).toEqual([["a", "b"], 0]);
});

test("what reads only, or is undone, waits for no disk", async () => {
  const { db, syncs } = openOnSlowDisk();
  await untilSettled(migrate(db), syncs);
  await db.transaction().execute((trx) => trx.selectFrom("workspace").selectAll().execute());
  await expect(db.transaction().execute(undoing)).rejects.toThrow("no");
  expect(syncs).toHaveLength(0);
});

test("a disk that fails is an error of who waits for it, and undoes nothing of who has come after", async () => {
  const { db, syncs } = openOnSlowDisk();
  await untilSettled(migrate(db), syncs);
  const first = db.insertInto("workspace").values(workspace("a")).execute();
  const failed = db.transaction().execute((trx) => trx.insertInto("workspace").values(workspace("b")).execute());
  await expect.poll(() => syncs.length).toBe(1);
  const after = db.transaction().execute(async (trx) => {
    await trx.insertInto("workspace").values(workspace("c")).execute();
    syncs[0]?.reject(new Error("EIO: i/o error, fdatasync"));
    await expect(first).rejects.toThrow("EIO");
    return trx.selectFrom("workspace").selectAll().execute();
  });
  await expect(failed).rejects.toThrow("EIO");
  await expect(after).rejects.toThrow("EIO");
  expect(await db.selectFrom("workspace").selectAll().execute()).toHaveLength(3);
});

async function undoing(trx: Trx): Promise<void> {
  await trx.insertInto("workspace").values(workspace("x")).execute();
  throw new Error("no");
}

/** Ends each sync that is asked for until this has resolved. */
async function untilSettled(work: Promise<unknown>, syncs: PromiseWithResolvers<void>[]): Promise<void> {
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    for (const one of syncs.splice(0)) one.resolve();
    await new Promise((done) => setImmediate(done));
  }
  await work;
}

test("transactions of one process stand in line instead of mixing", async () => {
  const db = open();
  await migrate(db);
  const add = (id: string, fail: boolean) =>
    db.transaction().execute(async (trx) => {
      await trx.insertInto("workspace").values(workspace(id)).execute();
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (fail) throw new Error("no");
    });
  const results = await Promise.allSettled([add("a", false), add("b", true), add("c", false)]);
  expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect((await db.selectFrom("workspace").select("id").execute()).map((row) => row.id)).toEqual(["a", "c"]);
});
