import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Operation, Role, Service } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { tempFolder } from "../testing/temp-folder.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const act = <T = Operation>(id: string, action: string, body?: unknown, as = world.keys.admin) =>
  api.ask<T & { code?: string; detail?: string; operationId?: string }>("POST", `/api/v1/services/${id}/${action}`, {
    as,
    body,
  });
const remove = (id: string, query = "", body?: unknown, as = world.keys.admin) =>
  api.ask<Operation & { code?: string }>("DELETE", `/api/v1/services/${id}${query}`, { as, body });
const rowOf = (id: string) => api.db.selectFrom("service").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
const operationRow = (id: string) =>
  api.db.selectFrom("operation").selectAll().where("id", "=", id).executeTakeFirstOrThrow();

describe("an accepted action", () => {
  test("is an operation, an outbox row, an audit row and the next generation, and wakes the agent", async () => {
    const { id } = await api.service(world);
    const { status, body } = await act(id, "deploy");
    expect(status).toBe(202);
    expect(body).toMatchObject({ serviceId: id, kind: "deploy", state: "queued", label: "Queued", lineCount: 0 });
    expect(body.createdBy).toEqual({ kind: "api_key", name: "admin" });

    const operation = await operationRow(body.id);
    expect(operation).toMatchObject({ generation: 1, run_ms: 20 * 60_000 });
    expect(operation.start_before - operation.created_at).toBe(10 * 60_000);
    expect(JSON.parse(operation.args)).toMatchObject({
      spec: { serviceId: id, name: "orders", engine: "postgres", image: "postgres:18-trixie", standIn: false },
    });
    expect(await rowOf(id)).toMatchObject({ generation: 1, desired: "running" });
    const outbox = await api.db.selectFrom("outbox").selectAll().execute();
    expect(outbox).toMatchObject([{ operation_id: body.id, service_id: id, kind: "command", sent_session: null }]);
    const audit = await api.db.selectFrom("audit").selectAll().where("action", "=", "service.deploy").execute();
    expect(audit).toMatchObject([{ target_id: id, workspace_id: world.workspaceId, actor_name: "admin" }]);
    expect(api.agents.woken).toEqual([world.serverId]);
  });

  test("carries no secret in its rows", async () => {
    const { id } = await api.deployed(world);
    const { password } = (
      await api.ask<{ password: string }>("GET", `/api/v1/services/${id}/credentials`, { as: world.keys.admin })
    ).body;
    await act(id, "restart");
    const rows = JSON.stringify([
      await api.db.selectFrom("operation").selectAll().execute(),
      await api.db.selectFrom("outbox").selectAll().execute(),
    ]);
    expect(rows).not.toContain(password);
  });

  test("uses the image map's image, and says that it is a stand-in", async () => {
    const file = join(tempFolder("map"), "map.json");
    writeFileSync(file, JSON.stringify({ postgres: { "17": { image: "local/pg:17.9", standIn: true } } }));
    const mapped = await startApi({ imageMap: file });
    try {
      const there = await mapped.world();
      const path = `/api/v1/environments/${there.environmentId}/services`;
      const body = { type: "database", engine: "postgres", version: "17", name: "orders" };
      const service = (await mapped.ask<Service>("POST", path, { as: there.keys.admin, body })).body;
      expect([service.image, service.standIn]).toEqual(["local/pg:17.9", true]);
      await mapped.ask("POST", `/api/v1/services/${service.id}/deploy`, { as: there.keys.admin });
      const { args } = await mapped.db.selectFrom("operation").select("args").executeTakeFirstOrThrow();
      expect(JSON.parse(args).spec).toMatchObject({ image: "local/pg:17.9", standIn: true });
    } finally {
      await mapped.close();
    }
  });
});

describe("roles", () => {
  const table: [action: string, role: Exclude<Role, "owner">, status: number][] = [
    ["deploy", "viewer", 403],
    ["deploy", "developer", 202],
    ["restart", "viewer", 403],
    ["restart", "developer", 202],
    ["stop", "viewer", 403],
    ["stop", "developer", 202],
    ["check", "viewer", 403],
    ["check", "developer", 202],
  ];
  test.each(table)("%s by a %s is %i", async (action, role, status) => {
    const { id } = action === "deploy" ? await api.service(world) : await api.deployed(world);
    const answer = await act(id, action, undefined, world.keys[role]);
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.body.detail).toMatch(/Your role here is viewer/);
  });

  test("a viewer deletes nothing, creates nothing and cancels nothing", async () => {
    const { id } = await api.service(world);
    const as = world.keys.viewer;
    expect((await remove(id, "", undefined, as)).status).toBe(403);
    const body = { type: "database", engine: "postgres", name: "x" };
    expect((await api.ask("POST", `/api/v1/environments/${world.environmentId}/services`, { as, body })).status).toBe(
      403,
    );
    const { body: operation } = await act(id, "deploy");
    expect((await api.ask("POST", `/api/v1/operations/${operation.id}/cancel`, { as })).status).toBe(403);
  });
});

describe("the guard table refuses", () => {
  test("a second operation while one is open, naming it", async () => {
    const { id } = await api.service(world);
    const open = (await act(id, "deploy")).body.id;
    for (const action of ["deploy", "restart", "stop", "check"]) {
      const { status, body } = await act(id, action);
      expect([action, status, body.code, body.operationId]).toEqual([action, 409, "operation_open", open]);
    }
    expect((await remove(id)).body).toMatchObject({ code: "operation_open", operationId: open });
  });

  test("all but one of many deploys at the same instant", async () => {
    const { id } = await api.service(world);
    const answers = await Promise.all(Array.from({ length: 10 }, () => act(id, "deploy")));
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1);
    expect(answers.filter((answer) => answer.body.code === "operation_open")).toHaveLength(9);
    expect(await api.db.selectFrom("outbox").selectAll().execute()).toHaveLength(1);
  });

  test("restart and stop before the first deploy", async () => {
    const { id } = await api.service(world);
    expect((await act(id, "restart")).body).toMatchObject({
      code: "not_deployed",
      detail: "Please deploy the service before restarting.",
    });
    expect((await act(id, "stop")).body).toMatchObject({ code: "not_deployed" });
    expect((await act(id, "check")).body).toMatchObject({ code: "not_deployed" });
  });

  test("a second deploy while container or volume exist", async () => {
    const { id } = await api.deployed(world);
    expect((await act(id, "deploy")).body).toMatchObject({ status: 409, code: "already_deployed" });
    await api.observe(id, "missing", "present");
    expect((await act(id, "deploy")).body).toMatchObject({ code: "already_deployed" });
    await api.observe(id, "missing", "unknown");
    expect((await act(id, "deploy")).body).toMatchObject({ code: "already_deployed" });
  });

  test("everything but delete while the server is away", async () => {
    const { id } = await api.deployed(world);
    api.agents.setLink(world.serverId, { state: "unreachable" });
    expect((await act(id, "restart")).body).toMatchObject({ code: "server_unreachable" });
    expect((await act(id, "stop")).body).toMatchObject({ code: "server_unreachable" });
    expect((await remove(id)).status).toBe(202);
  });

  test("a stop of what is stopped, and a restart of what has no data", async () => {
    const { id } = await api.deployed(world);
    const stop = (await act(id, "stop")).body;
    await api.finish(stop, "succeeded");
    await api.observe(id, "exited", "present");
    expect((await act(id, "stop")).body).toMatchObject({ code: "already_stopped" });
    await api.observe(id, "missing", "absent");
    expect((await act(id, "restart")).body).toMatchObject({ code: "data_missing" });
  });

  test("a check of what does not run", async () => {
    const { id } = await api.deployed(world);
    for (const observed of ["exited", "missing", "unknown"] as const) {
      await api.observe(id, observed, "present");
      expect((await act(id, "check")).body).toMatchObject({ status: 409, code: "not_running" });
    }
    await api.observe(id, "unhealthy", "present");
    expect((await act(id, "check")).status).toBe(202);
  });

  test("nothing of this left a row behind", async () => {
    const { id } = await api.service(world);
    await act(id, "restart");
    expect(await api.db.selectFrom("operation").selectAll().execute()).toEqual([]);
    expect(await rowOf(id)).toMatchObject({ generation: 0, desired: "stopped" });
    expect(api.agents.woken).toEqual([]);
  });
});

describe("a check", () => {
  test("changes nothing of what is wanted, and its service goes on to show what is observed", async () => {
    const { id } = await api.deployed(world);
    await api.observe(id, "running", "present");
    const before = await rowOf(id);
    const { body } = await act(id, "check");
    expect(body).toMatchObject({ kind: "check", state: "queued" });
    expect(await rowOf(id)).toMatchObject({
      desired: before.desired,
      generation: before.generation + 1,
      volume_id: before.volume_id,
    });
    const { body: service } = await api.ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.admin });
    expect(service).toMatchObject({
      state: "running",
      openOperation: { id: body.id, kind: "check" },
      lastCheck: { id: body.id, state: "queued", endedAt: null },
    });
    expect((await operationRow(body.id)).run_ms).toBe(45 * 60_000);
    const audit = await api.db.selectFrom("audit").selectAll().where("action", "=", "service.check").execute();
    expect(audit).toMatchObject([{ target_id: id, workspace_id: world.workspaceId }]);
    await api.finish(body, "failed");
    expect(await rowOf(id)).toMatchObject({ desired: before.desired, deployed_at: before.deployed_at });
  });

  test("stays the last check with its end, whatever is done after it", async () => {
    const { id } = await api.deployed(world);
    const lastCheck = async () =>
      (await api.ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.viewer })).body.lastCheck;
    expect(await lastCheck()).toBeNull();
    await api.observe(id, "running", "present");
    const first = (await act(id, "check")).body;
    await api.finish(first, "failed");
    await api.finish((await act(id, "restart")).body, "succeeded");
    expect(await lastCheck()).toMatchObject({ id: first.id, state: "failed", endedAt: expect.any(String) });
    const second = (await act(id, "check")).body;
    await api.finish(second, "succeeded");
    expect(await lastCheck()).toMatchObject({ id: second.id, state: "succeeded" });
  });

  test("of another workspace's service is not found", async () => {
    const { id } = await api.deployed(world);
    const stranger = await api.world();
    expect((await act(id, "check", undefined, stranger.keys.admin)).status).toBe(404);
  });
});

describe("a new deploy after data loss", () => {
  test("needs the name typed, and gets a new volume", async () => {
    const { id } = await api.deployed(world);
    const before = await rowOf(id);
    await api.observe(id, "missing", "absent");
    for (const body of [undefined, {}, { name: "Orders" }, { name: "" }]) {
      expect((await act(id, "deploy", body)).body).toMatchObject({ status: 400, code: "confirmation_mismatch" });
    }
    const { status, body } = await act(id, "deploy", { name: "orders" });
    expect(status).toBe(202);
    const after = await rowOf(id);
    expect(after.volume_id).not.toBe(before.volume_id);
    expect(JSON.parse((await operationRow(body.id)).args).spec.volumeId).toBe(after.volume_id);
  });

  test("is not needed after a deploy that failed", async () => {
    const { id } = await api.service(world);
    await api.finish((await act(id, "deploy")).body, "failed");
    const before = await rowOf(id);
    expect((await act(id, "deploy")).status).toBe(202);
    expect((await rowOf(id)).volume_id).toBe(before.volume_id);
  });
});

describe("delete", () => {
  test("of what was never deployed completes at once and says why", async () => {
    const { id } = await api.service(world);
    api.agents.setLink(world.serverId, { state: "unreachable" });
    const { status, body } = await remove(id);
    expect(status).toBe(202);
    expect(body).toMatchObject({ kind: "delete", state: "succeeded", lineCount: 1 });
    expect((await api.ask("GET", `/api/v1/services/${id}`, { as: world.keys.admin })).status).toBe(404);
    const log = await api.ask<{ lines: { text: string }[]; complete: boolean }>(
      "GET",
      `/api/v1/operations/${body.id}/log`,
      {
        as: world.keys.admin,
      },
    );
    expect(log.body.lines[0]?.text).toContain("Nothing was deployed");
    expect(log.body.complete).toBe(true);
    expect(await api.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
    expect(await api.db.selectFrom("secret").selectAll().execute()).toEqual([]);
    expect(api.agents.woken).toEqual([]);
  });

  test("frees the name", async () => {
    await remove((await api.service(world, "orders")).id);
    expect((await api.service(world, "orders")).name).toBe("orders");
  });

  test("of what was deployed waits for the server, for a month", async () => {
    const { id } = await api.deployed(world);
    api.agents.setLink(world.serverId, { state: "unreachable" });
    const { status, body } = await remove(id);
    expect([status, body.state]).toEqual([202, "queued"]);
    const operation = await operationRow(body.id);
    expect(operation.start_before - operation.created_at).toBe(30 * 24 * 3600_000);
    expect(operation.run_ms).toBe(10 * 60_000);
    expect(JSON.parse(operation.args)).toMatchObject({ deleteData: false });
    const service = await api.ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.admin });
    expect(service.body.state).toBe("deleting");
    await api.finish(body, "succeeded");
    expect((await api.ask("GET", `/api/v1/services/${id}`, { as: world.keys.admin })).status).toBe(404);
  });

  test("of what was sent once is queued, although it never succeeded", async () => {
    const { id } = await api.service(world);
    const deploy = (await act(id, "deploy")).body;
    await api.db.updateTable("operation").set({ sent_at: 5 }).where("id", "=", deploy.id).execute();
    await api.finish(deploy, "failed");
    expect((await remove(id)).body.state).toBe("queued");
  });

  test("takes the data only when told to, in the query or in the body", async () => {
    const cases: [query: string, body: unknown, deleteData: boolean][] = [
      ["", undefined, false],
      ["?data=true", undefined, true],
      ["?data=false", undefined, false],
      ["", { data: true }, true],
      ["?data=true", { data: false }, false],
    ];
    for (const [n, [query, body, deleteData]] of cases.entries()) {
      const { id } = await api.deployed(world, `db-${n}`);
      const { body: operation } = await remove(id, query, body);
      expect([query, body, JSON.parse((await operationRow(operation.id)).args).deleteData]).toEqual([
        query,
        body,
        deleteData,
      ]);
    }
    const { id } = await api.deployed(world, "last");
    expect((await remove(id, "?data=yes")).body.code).toBe("invalid_input");
  });

  test("checks a name that was typed", async () => {
    const { id } = await api.deployed(world);
    expect((await remove(id, "?name=other")).body.code).toBe("confirmation_mismatch");
    expect((await remove(id, "", { name: "other" })).body.code).toBe("confirmation_mismatch");
    expect((await remove(id, "?name=orders")).status).toBe(202);
  });
});
