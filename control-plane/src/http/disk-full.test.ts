/** A full disk under the control plane: what cannot be written is refused in words, what is there is still shown. */
import { sql } from "kysely";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

/** SQLite takes no more pages than this, and says so in the very words of a full disk. */
async function fillDisk(): Promise<void> {
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(api.db);
  await sql`pragma max_page_count = ${sql.lit(rows[0]?.page_count ?? 1)}`.execute(api.db);
}

test("an action that cannot be written down is 507 disk_full and did not happen", async () => {
  const service = await api.service(world, "orders");
  await fillDisk();
  const as = world.keys.admin;
  const path = `/api/v1/workspaces/${world.workspaceId}/applications`;
  const accepted: string[] = [];
  for (;;) {
    // Until the last page that it has is full as well.
    const name = `App ${accepted.length} ${"x".repeat(40)}`;
    const { status, body: problem } = await api.ask("POST", path, { as, body: { name } });
    if (status === 201) {
      accepted.push(name);
      continue;
    }
    expect([status, problem.code]).toEqual([507, "disk_full"]);
    expect(problem.detail).toMatch(/control plane's disk is full/);
    expect(problem.hint).toMatch(/Free space/);
    break;
  }
  const { body } = await api.ask<{ items: { name: string }[] }>("GET", path, { as });
  expect(body.items.map(({ name }) => name).filter((name) => name.startsWith("App "))).toEqual(accepted);
  expect((await api.ask("GET", `/api/v1/services/${service.id}`, { as })).status).toBe(200);
});

test("what is there is shown also where looking would be noted: a key's first use, a session that is due", async () => {
  const session = await api.signedIn(world.workspaceId, "viewer");
  const soon = new Date(Date.now() + 3 * 24 * 3_600_000).toISOString();
  await api.db.updateTable("session").set({ expiresAt: soon }).execute();
  // A note in a row that is there needs no new page here; in a write-ahead log it does.
  await sql`create table log_of_writes (bytes blob)`.execute(api.db);
  for (const table of ["api_key", "session"]) {
    await sql`create trigger ${sql.id(`${table}_log`)} after update on ${sql.id(table)}
      begin insert into log_of_writes values (zeroblob(100000)); end`.execute(api.db);
  }
  await fillDisk();
  for (const as of [world.keys.viewer, session]) {
    const { status, body } = await api.ask("GET", "/api/v1/me", { as });
    expect([status, body.code]).toEqual([200, undefined]);
  }
});
