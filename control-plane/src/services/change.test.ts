import type { Operation, Service } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

type Answered = Service & { code?: string; detail?: string; operationId?: string };
const change = (id: string, body: unknown, as = world.keys.developer) =>
  api.ask<Answered>("PATCH", `/api/v1/services/${id}`, { as, body });
const audit = () => api.db.selectFrom("audit").selectAll().where("action", "=", "service.update").execute();
/** What the newest operation of the service told its agent. */
const specOf = async ({ id }: Operation) => {
  const { args } = await api.db.selectFrom("operation").select("args").where("id", "=", id).executeTakeFirstOrThrow();
  return JSON.parse(args).spec;
};

test("a service has no way out unless it is given one, at creation or later", async () => {
  const { id, outgoing } = await api.service(world);
  expect(outgoing).toBe(false);
  const path = `/api/v1/environments/${world.environmentId}/services`;
  const body = { type: "database", engine: "postgres", name: "replica", outgoing: true };
  const created = await api.ask<Service>("POST", path, { as: world.keys.developer, body });
  expect([created.status, created.body.outgoing]).toEqual([201, true]);
  const changed = await change(id, { outgoing: true });
  expect([changed.status, changed.body.outgoing]).toEqual([200, true]);
  expect((await change(id, { outgoing: false })).body.outgoing).toBe(false);
});

test("a change goes to the server with the next command, and is audited once", async () => {
  const { id, revision } = await api.deployed(world);
  const { body } = await change(id, { outgoing: true });
  expect(body.revision).toBe(revision + 1);
  expect(await audit()).toMatchObject([
    { target_id: id, actor_name: "developer", details: JSON.stringify({ name: "orders", outgoing: true }) },
  ]);
  expect(api.agents.woken).toEqual([world.serverId]);
  const restart = await api.ask<Operation>("POST", `/api/v1/services/${id}/restart`, { as: world.keys.admin });
  expect(await specOf(restart.body)).toMatchObject({ outgoing: true });
});

test("what stays as it is makes no audit row and no new revision", async () => {
  const { id, revision } = await api.service(world);
  expect((await change(id, { outgoing: false })).body.revision).toBe(revision);
  expect((await change(id, {})).body.revision).toBe(revision);
  expect(await audit()).toEqual([]);
});

test("refuses a viewer, knows nothing of another workspace's service, and names the wrong field", async () => {
  const { id } = await api.service(world);
  const viewer = await change(id, { outgoing: true }, world.keys.viewer);
  expect([viewer.status, viewer.body.code]).toEqual([403, "forbidden"]);
  const shown = await api.ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.viewer });
  expect(shown.body.actions.change).toMatchObject({ verdict: "refused", code: "forbidden" });
  const stranger = await api.world("other");
  expect((await change(id, { outgoing: true }, stranger.keys.admin)).status).toBe(404);
  expect((await change(id, { outgoing: "yes" })).status).toBe(400);
  expect((await api.ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.admin })).body.outgoing).toBe(false);
  expect(await audit()).toEqual([]);
});

test("waits for the operation that is open, so that nobody wonders which of the two it carries", async () => {
  const { id } = await api.service(world);
  const open = await api.ask<Operation>("POST", `/api/v1/services/${id}/deploy`, { as: world.keys.admin });
  const answer = await change(id, { outgoing: true });
  expect([answer.status, answer.body.code, answer.body.operationId]).toEqual([409, "operation_open", open.body.id]);
});
