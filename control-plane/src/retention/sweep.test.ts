/** The sweep on a real SQLite with a clock that the test moves, read back through the API. */
import type { Operation, OperationLogLine, Service } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { readEvents } from "../testing/read-events.ts";
import { ROWS_PER_TRANSACTION, SWEEP_INTERVAL_MS } from "./retention.ts";
import { createSweeper, sweep } from "./sweep.ts";

const DAY = 24 * 3600_000;
const NOTHING = { operationLogs: 0, audit: 0, enrolmentTokens: 0, invitations: 0, sessions: 0 };

let api: TestApi;
let world: World;
let service: Service;
let operation: Operation;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
  service = await api.service(world);
  operation = await deploy(service.id);
});
afterEach(() => api.close());

const deploy = async (id: string) =>
  (await api.ask<Operation>("POST", `/api/v1/services/${id}/deploy`, { as: world.keys.admin })).body;

async function write(operationId: string, count: number): Promise<void> {
  await api.db.transaction().execute(async (trx) => {
    for (let n = 0; n < count; n++) {
      const row = { operation_id: operationId, n, at: 1_000 + n, level: "info", text: `line ${n}` };
      await trx.insertInto("operation_log").values(row).execute();
    }
    await trx.updateTable("operation").set({ line_count: count }).where("id", "=", operationId).execute();
  });
}
const run = () => sweep(api.deps);
/** A key of the world lasts 30 days, so the reader of a later day gets a session of that day. */
const reader = () => api.signedIn(world.workspaceId, "viewer", `reader-${api.platform.random.id()}@example.test`);
const logOf = async (id: string, query = "") =>
  (
    await api.ask<{ lines: OperationLogLine[]; next: number; complete: boolean; removed: unknown }>(
      "GET",
      `/api/v1/operations/${id}/log${query}`,
      { as: await reader() },
    )
  ).body;

describe("operation logs", () => {
  test("stay for 30 days after the operation's end, whole", async () => {
    await write(operation.id, 3);
    await api.finish(operation, "succeeded");
    api.platform.advance(30 * DAY - 1);
    expect(await run()).toMatchObject({ operationLogs: 0 });
    expect(await logOf(operation.id)).toMatchObject({ next: 3, complete: true, removed: null });
    api.platform.advance(1);
    expect(await run()).toMatchObject({ operationLogs: 1 });
    expect(await api.db.selectFrom("operation_log").selectAll().execute()).toEqual([]);
  });

  test("of an open operation stay, however old it is", async () => {
    await write(operation.id, 3);
    api.platform.advance(400 * DAY);
    expect(await run()).toMatchObject({ operationLogs: 0 });
    expect(await api.db.selectFrom("operation_log").selectAll().execute()).toHaveLength(3);
  });

  test("that were removed say when and why, as JSON and as a stream that ends", async () => {
    await write(operation.id, 3);
    await api.finish(operation, "failed");
    api.platform.advance(31 * DAY);
    await run();
    const at = new Date(api.platform.clock.now()).toISOString();
    const reason = `Logs are kept for 30 days after their operation's end. Its 3 lines were removed on ${at}.`;
    const line = { n: 2, at, level: "info", text: reason };
    expect(await logOf(operation.id)).toEqual({ lines: [line], next: 3, complete: true, removed: { at, reason } });
    const answer = await api.ask<Operation>("GET", `/api/v1/operations/${operation.id}`, { as: await reader() });
    expect(answer.body).toMatchObject({ state: "failed", lineCount: 3 });

    const path = `/api/v1/operations/${operation.id}/log?follow=true`;
    const events = readEvents(await api.send("GET", path, { as: await reader() }));
    expect(await events.next()).toMatchObject({ event: "line", data: line });
    expect(await events.next()).toMatchObject({ event: "end", data: { state: "failed" } });
    expect(await events.next()).toBe(undefined);
  });

  test("that were removed give nothing new to a reader who had every line", async () => {
    await write(operation.id, 3);
    await api.finish(operation, "succeeded");
    api.platform.advance(31 * DAY);
    await run();
    expect(await logOf(operation.id, "?after=3")).toMatchObject({ lines: [], next: 3, complete: true });
    expect((await logOf(operation.id, "?after=1")).lines).toHaveLength(1);
  });

  test("without a line have lost nothing and do not say so", async () => {
    await api.finish(operation, "failed");
    api.platform.advance(31 * DAY);
    await run();
    expect(await logOf(operation.id)).toEqual({ lines: [], next: 0, complete: true, removed: null });
  });

  test("that do not fit into one transaction all go in one sweep", async () => {
    const ids = [operation.id];
    await write(operation.id, ROWS_PER_TRANSACTION + 1);
    await api.finish(operation, "succeeded");
    for (const name of ["second", "third"]) {
      const next = await deploy((await api.service(world, name)).id);
      await write(next.id, ROWS_PER_TRANSACTION - 1);
      await api.finish(next, "succeeded");
      ids.push(next.id);
    }
    api.platform.advance(31 * DAY);
    expect(await run()).toMatchObject({ operationLogs: ids.length });
    expect(await api.db.selectFrom("operation_log").selectAll().execute()).toEqual([]);
    expect(await run()).toEqual(NOTHING);
  });
});

describe("other rows", () => {
  test("of the audit stay for a year", async () => {
    const count = async () => (await api.db.selectFrom("audit").select("id").execute()).length;
    const before = await count();
    expect(before).toBeGreaterThan(0);
    api.platform.advance(364 * DAY);
    await run();
    expect(await count()).toBe(before);
    api.platform.advance(DAY);
    expect(await run()).toMatchObject({ audit: before });
    expect(await count()).toBe(0);
  });

  test("more than one transaction takes all go in one sweep", async () => {
    const row = { workspace_id: null, at: 1, actor_kind: "system" as const, action: "test" };
    await api.db.transaction().execute(async (trx) => {
      for (let n = 0; n < ROWS_PER_TRANSACTION + 5; n++) {
        await trx
          .insertInto("audit")
          .values({ id: `old-${n}`, ...row })
          .execute();
      }
    });
    expect(await run()).toMatchObject({ audit: ROWS_PER_TRANSACTION + 5 });
  });

  test("of enrolment tokens go 30 days after their use, or after their end when nobody used them", async () => {
    const now = api.platform.clock.now();
    const row = { workspace_id: world.workspaceId, server_name: "s", mac_key: "k", created_by: null, created_at: now };
    const token = (id: string, expires_at: number, used_at: number | null) =>
      api.db
        .insertInto("enrolment_token")
        .values({ ...row, id, expires_at, used_at, used_by_kid: null, server_id: null })
        .execute();
    await token("used", now + DAY, now);
    await token("expired", now + DAY, null);
    await token("fresh", now + 40 * DAY, null);
    const left = async () =>
      (await api.db.selectFrom("enrolment_token").select("id").orderBy("id").execute()).map((r) => r.id);
    api.platform.advance(30 * DAY);
    await run();
    expect(await left()).toEqual(["expired", "fresh"]);
    api.platform.advance(DAY);
    await run();
    expect(await left()).toEqual(["fresh"]);
  });

  test("of invitations go 30 days after they were accepted, or after their end", async () => {
    const now = api.platform.clock.now();
    const row = { workspace_id: world.workspaceId, email: "a@example.test", role: "viewer" as const, created_by: null };
    const invitation = (id: string, expires_at: number, accepted_at: number | null) =>
      api.db
        .insertInto("invitation")
        .values({ ...row, id, token_hash: id, created_at: now, expires_at, accepted_at })
        .execute();
    await invitation("accepted", now + 7 * DAY, now);
    await invitation("ignored", now + 7 * DAY, null);
    const left = async () => (await api.db.selectFrom("invitation").select("id").execute()).map((r) => r.id);
    api.platform.advance(30 * DAY);
    await run();
    expect(await left()).toEqual(["ignored"]);
    api.platform.advance(7 * DAY);
    await run();
    expect(await left()).toEqual([]);
  });

  test("of sessions go when they have ended, and not before", async () => {
    await api.signedIn(world.workspaceId, "viewer");
    const left = async () => (await api.db.selectFrom("session").select("id").execute()).length;
    api.platform.advance(6 * DAY);
    await run();
    expect(await left()).toBe(1);
    api.platform.advance(2 * DAY);
    await run();
    expect(await left()).toBe(0);
  });
});

test("the sweep runs at start and every hour until it is stopped", async () => {
  const count = async () => (await api.db.selectFrom("audit").select("id").execute()).length;
  const old = (id: string) =>
    api.db
      .insertInto("audit")
      .values({ id, workspace_id: null, at: 1, actor_kind: "system", action: "test" })
      .execute();
  const before = await count();
  await old("one");
  const sweeper = createSweeper(api.deps);
  sweeper.start();
  await expect.poll(count).toBe(before);
  await old("two");
  api.platform.advance(SWEEP_INTERVAL_MS);
  await expect.poll(count).toBe(before);
  await sweeper.stop();
  await old("three");
  api.platform.advance(2 * SWEEP_INTERVAL_MS);
  await sweep(api.deps, AbortSignal.abort());
  expect(await count()).toBe(before + 1);
});
