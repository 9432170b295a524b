import type { Operation, OperationLogLine, Service } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { readEvents } from "../testing/read-events.ts";

let api: TestApi;
let world: World;
let service: Service;
let operation: Operation;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
  service = await api.service(world);
  operation = (await api.ask<Operation>("POST", `/api/v1/services/${service.id}/deploy`, { as: world.keys.admin }))
    .body;
});
afterEach(() => api.close());

/** What the agents' side does with lines that arrive. */
async function write(from: number, ...texts: string[]): Promise<void> {
  await api.db.transaction().execute(async (trx) => {
    for (const [n, text] of texts.entries()) {
      const row = { operation_id: operation.id, n: from + n, at: 1_000 + n, level: "info", text };
      await trx.insertInto("operation_log").values(row).execute();
    }
    const lineCount = from + texts.length;
    await trx.updateTable("operation").set({ line_count: lineCount }).where("id", "=", operation.id).execute();
  });
  hint();
}
const hint = () =>
  api.deps.hub.publish(world.workspaceId, {
    type: "operation_log",
    id: operation.id,
    revision: 1,
    serviceId: service.id,
  });
const log = (query = "") =>
  api.ask<{ lines: OperationLogLine[]; next: number; complete: boolean }>(
    "GET",
    `/api/v1/operations/${operation.id}/log${query}`,
    {
      as: world.keys.viewer,
    },
  );
const follow = async (headers: Record<string, string> = {}, query = "") => {
  const path = `/api/v1/operations/${operation.id}/log?follow=true${query}`;
  const response = await api.send("GET", path, { as: world.keys.viewer, headers });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  return readEvents(response);
};
const textOf = (event: { data: unknown } | undefined) => (event?.data as OperationLogLine | undefined)?.text;

describe("the log as JSON", () => {
  test("is read on from `next`, and is complete when the operation has ended and every line is here", async () => {
    expect((await log()).body).toEqual({ lines: [], next: 0, complete: false, removed: null });
    await write(0, "one", "two");
    const first = (await log()).body;
    expect([first.lines.map((line) => line.text), first.next, first.complete]).toEqual([["one", "two"], 2, false]);
    await write(2, "three");
    const second = (await log("?after=2")).body;
    expect([second.lines.map((line) => line.text), second.next]).toEqual([["three"], 3]);
    await api.finish(operation, "succeeded");
    expect((await log("?after=3")).body).toEqual({ lines: [], next: 3, complete: true, removed: null });
    expect((await log()).body.complete).toBe(true);
  });

  test("is not complete while lines are on their way", async () => {
    await api.finish(operation, "failed");
    await api.db.updateTable("operation").set({ lines_total: 3 }).where("id", "=", operation.id).execute();
    await write(0, "one");
    expect((await log()).body.complete).toBe(false);
  });

  test("refuses a line number that is none", async () => {
    for (const after of ["-1", "x", "1.5"]) expect((await log(`?after=${after}`)).status).toBe(400);
  });
});

describe("the log followed", () => {
  test("gives what is there, what comes, and the end", async () => {
    await write(0, "one");
    const events = await follow();
    expect(textOf(await events.next())).toBe("one");
    expect(await events.isQuiet()).toBe(true);
    await write(1, "two", "three");
    expect(textOf(await events.next())).toBe("two");
    expect(await events.next()).toMatchObject({ event: "line", id: "3" });
    await api.finish(operation, "succeeded");
    expect(await events.next()).toEqual({ event: "end", id: "3", data: { state: "succeeded" } });
    expect(await events.next()).toBe(undefined);
    expect(api.deps.hub.subscriberCount()).toBe(0);
  });

  test("goes on where Last-Event-ID says, without a line twice or lost", async () => {
    await write(0, "one", "two", "three");
    const first = await follow();
    await first.next();
    const seen = await first.next();
    await first.cancel();
    await write(3, "four");
    const second = await follow({ "last-event-id": String(seen?.id) });
    expect(textOf(await second.next())).toBe("three");
    expect(textOf(await second.next())).toBe("four");
    await second.cancel();
  });

  test("waits for lines that come after the result", async () => {
    await api.finish(operation, "failed");
    await api.db.updateTable("operation").set({ lines_total: 1 }).where("id", "=", operation.id).execute();
    const events = await follow();
    expect(await events.isQuiet()).toBe(true);
    await write(0, "late");
    expect(textOf(await events.next())).toBe("late");
    expect((await events.next())?.event).toBe("end");
  });

  test("that breaks by a bug of ours ends without its text", async () => {
    await write(0, "one");
    await api.db.updateTable("operation_log").set({ level: "no such level" }).execute();
    const answer = await api.send("GET", `/api/v1/operations/${operation.id}/log?follow=true`, {
      as: world.keys.viewer,
    });
    expect(await answer.text()).toBe(": open\n\n");
  });

  test("stops listening when the reader leaves", async () => {
    const events = await follow();
    await events.isQuiet();
    expect(api.deps.hub.subscriberCount()).toBe(1);
    await events.cancel();
    await expect.poll(() => api.deps.hub.subscriberCount()).toBe(0);
  });

  test("reads long logs in pages", async () => {
    await write(0, ...Array.from({ length: 2_500 }, (_, n) => `line ${n}`));
    await api.finish(operation, "succeeded");
    const events = await follow();
    for (let n = 0; n < 2_500; n += 1) expect(textOf(await events.next())).toBe(`line ${n}`);
    expect((await events.next())?.event).toBe("end");
  });
});

describe("cancel", () => {
  const cancel = () =>
    api.ask<Operation>("POST", `/api/v1/operations/${operation.id}/cancel`, { as: world.keys.admin });

  test("of what was never sent ends it at once, and nothing is sent any more", async () => {
    const { status, body } = await cancel();
    expect([status, body.state]).toEqual([202, "cancelled"]);
    expect(body.error?.message).toContain("before it was sent");
    expect(await api.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
    const after = await api.ask<Service>("GET", `/api/v1/services/${service.id}`, { as: world.keys.admin });
    expect([after.body.state, after.body.openOperation]).toEqual(["not_deployed", null]);
  });

  test("of what never began leaves what is wanted of the service as it was", async () => {
    await api.finish(operation, "succeeded");
    const run = (action: string) =>
      api.ask<Operation>("POST", `/api/v1/services/${service.id}/${action}`, { as: world.keys.admin });
    await api.finish((await run("stop")).body, "succeeded");
    await api.observe(service.id, "exited", "present");
    const restart = (await run("restart")).body;
    await api.ask("POST", `/api/v1/operations/${restart.id}/cancel`, { as: world.keys.admin });
    const removal = await api.ask<Operation>("DELETE", `/api/v1/services/${service.id}`, { as: world.keys.admin });
    await api.ask("POST", `/api/v1/operations/${removal.body.id}/cancel`, { as: world.keys.admin });
    const after = await api.ask<Service>("GET", `/api/v1/services/${service.id}`, { as: world.keys.admin });
    expect([after.body.desired, after.body.state]).toEqual(["stopped", "stopped"]);
  });

  test("of what was sent is asked of the agent, once", async () => {
    await api.db
      .updateTable("operation")
      .set({ state: "running", sent_at: 5 })
      .where("id", "=", operation.id)
      .execute();
    api.agents.woken.length = 0;
    const { status, body } = await cancel();
    expect([status, body.state]).toEqual([202, "running"]);
    expect(body.cancelRequestedAt).not.toBe(null);
    expect((await cancel()).body.cancelRequestedAt).toBe(body.cancelRequestedAt);
    const rows = await api.db.selectFrom("outbox").select("kind").orderBy("id").execute();
    expect(rows.map((row) => row.kind)).toEqual(["command", "cancel"]);
    expect(api.agents.woken).toEqual([world.serverId]);
  });

  test("of what has ended is refused", async () => {
    await api.finish(operation, "succeeded");
    const { status, body } = await cancel();
    expect([status, (body as unknown as { code: string }).code]).toEqual([409, "not_cancellable"]);
  });
});

describe("look again", () => {
  const look = (as = world.keys.developer) =>
    api.ask<Operation & { code?: string }>("POST", `/api/v1/operations/${operation.id}/look-again`, { as });

  test("puts an open operation's command back once, and wakes its server", async () => {
    await api.db.updateTable("operation").set({ state: "running", sent_at: 5 }).execute();
    await api.db.deleteFrom("outbox").execute();
    api.agents.woken.length = 0;
    expect((await look()).status).toBe(202);
    expect((await look()).body.state).toBe("running");
    const outbox = await api.db.selectFrom("outbox").selectAll().execute();
    expect(outbox).toMatchObject([{ operation_id: operation.id, kind: "command", sent_session: null }]);
    expect(api.agents.woken).toEqual([world.serverId, world.serverId]);
    const audit = await api.db.selectFrom("audit").selectAll().where("action", "=", "operation.look_again").execute();
    expect(audit).toHaveLength(2);
  });

  test("is refused for what has ended, for a viewer, and in another workspace", async () => {
    const stranger = await api.world("stranger");
    expect((await look(world.keys.viewer)).status).toBe(403);
    expect((await look(stranger.keys.admin)).status).toBe(404);
    await api.finish(operation, "failed");
    expect((await look()).body).toMatchObject({ status: 409, code: "not_open" });
  });
});

describe("settle", () => {
  type Answer = Operation & { code?: string; detail?: string };
  const WORD = { outcome: "succeeded", note: "I looked at the table." };
  const settle = (body: unknown = WORD, as = world.keys.developer) =>
    api.ask<Answer>("POST", `/api/v1/operations/${operation.id}/settle`, { as, body });
  const end = (state: "unknown" | "failed") =>
    api.db.updateTable("operation").set({ state, ended_at: 9 }).where("id", "=", operation.id).execute();

  test("stands beside an outcome that is unknown, which stays so", async () => {
    await end("unknown");
    expect(operation.settlement).toBe(null);
    const { status, body } = await settle();
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: "unknown", settlement: { ...WORD, by: "developer" } });
    expect(body.revision).toBeGreaterThan(operation.revision);
    const audit = await api.db.selectFrom("audit").selectAll().where("action", "=", "operation.settle").execute();
    expect(audit).toMatchObject([{ target_id: operation.id, actor_name: "developer" }]);
  });

  test("is said once", async () => {
    await end("unknown");
    await settle();
    const { status, body } = await settle({ outcome: "failed", note: "No." });
    expect([status, body.code]).toEqual([409, "not_settleable"]);
    expect(body.detail).toContain("developer settled it as succeeded");
  });

  test("is refused for what is open or known, without a note, for a viewer, and in another workspace", async () => {
    expect((await settle()).body.code).toBe("not_settleable");
    await end("failed");
    expect((await settle()).body.code).toBe("not_settleable");
    await end("unknown");
    for (const body of [{ outcome: "succeeded" }, { outcome: "cancelled", note: "x" }, { ...WORD, note: " " }]) {
      expect((await settle(body)).status).toBe(400);
    }
    expect((await settle({ ...WORD, note: "x".repeat(501) })).status).toBe(400);
    expect((await settle(WORD, world.keys.viewer)).status).toBe(403);
    const stranger = await api.world("stranger");
    expect((await settle(WORD, stranger.keys.admin)).status).toBe(404);
    expect(await api.db.selectFrom("audit").selectAll().where("action", "=", "operation.settle").execute()).toEqual([]);
  });
});

test("operations of a service are listed newest first, page by page", async () => {
  await api.finish(operation, "failed");
  for (let n = 0; n < 3; n += 1) {
    const { body } = await api.ask<Operation>("POST", `/api/v1/services/${service.id}/deploy`, {
      as: world.keys.admin,
    });
    await api.finish(body, "failed");
  }
  const list = async (query: string) =>
    (
      await api.ask<{ items: Operation[] }>("GET", `/api/v1/services/${service.id}/operations${query}`, {
        as: world.keys.viewer,
      })
    ).body.items;
  const all = await list("");
  expect(all).toHaveLength(4);
  expect(all.at(-1)?.id).toBe(operation.id);
  expect(all[0]).toMatchObject({ state: "failed", label: "Failed", error: { code: "not_ready" } });
  const firstPage = await list("?limit=3");
  expect([...firstPage, ...(await list(`?before=${firstPage.at(-1)?.id}`))]).toEqual(all);
});
