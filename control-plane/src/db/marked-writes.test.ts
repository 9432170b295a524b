import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { tempFolder } from "../testing/temp-folder.ts";
import { createDatabase, type Db } from "./database.ts";
import { migrate } from "./migrate.ts";

const opened: Db[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.destroy()));
});

/** A migrated database; from then on what it passes is kept, and `deadly` throws instead of killing. */
async function open(deadly?: string) {
  const passed: string[] = [];
  let isOn = false;
  const db = createDatabase(join(tempFolder("db"), "test.sqlite"), (name) => {
    if (!isOn) return;
    passed.push(name);
    if (name === deadly) throw new Error("died");
  });
  opened.push(db);
  await migrate(db);
  isOn = true;
  return { db, passed };
}

const workspace = (id: string) => ({ id, name: id, created_at: 1 });

test("a write outside a transaction is a place of its own, and a read is none", async () => {
  const { db, passed } = await open();
  await db.insertInto("workspace").values(workspace("a")).execute();
  await db.selectFrom("workspace").selectAll().execute();
  await db.updateTable("workspace").set({ name: "b" }).execute();
  await db.deleteFrom("workspace").execute();
  expect(passed).toEqual([
    "insert workspace before",
    "insert workspace after",
    "update workspace before",
    "update workspace after",
    "delete workspace before",
    "delete workspace after",
  ]);
});

test("a transaction is named after what it writes, and only its commit counts", async () => {
  const { db, passed } = await open();
  await db.transaction().execute(async (trx) => {
    await trx.insertInto("workspace").values(workspace("a")).execute();
    await trx.insertInto("workspace").values(workspace("b")).execute();
    await trx.updateTable("workspace").set({ name: "c" }).execute();
  });
  await db.transaction().execute((trx) => trx.selectFrom("workspace").selectAll().execute());
  expect(passed).toEqual([
    "commit(insert workspace, update workspace) before",
    "commit(insert workspace, update workspace) after",
  ]);
});

test("to die before the commit leaves nothing, to die after it leaves all", async () => {
  for (const [place, left] of [
    ["before", 0],
    ["after", 1],
  ] as const) {
    const { db } = await open(`commit(insert workspace) ${place}`);
    const attempt = db.transaction().execute((trx) => trx.insertInto("workspace").values(workspace("a")).execute());
    await expect(attempt).rejects.toThrow();
    expect(await db.selectFrom("workspace").selectAll().execute()).toHaveLength(left);
  }
});

test("a transaction that was rolled back has no place, and the next one has its own name", async () => {
  const { db, passed } = await open();
  const undone = db.transaction().execute(async (trx) => {
    await trx.insertInto("workspace").values(workspace("a")).execute();
    throw new Error("no");
  });
  await expect(undone).rejects.toThrow("no");
  await db.transaction().execute((trx) => trx.deleteFrom("workspace").execute());
  expect(passed).toEqual(["commit(delete workspace) before", "commit(delete workspace) after"]);
});
