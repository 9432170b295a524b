import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Credentials, Operation, Service } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const create = (body: Record<string, unknown>) =>
  api.ask("POST", `/api/v1/environments/${world.environmentId}/services`, {
    as: world.keys.developer,
    body: { type: "database", engine: "postgres", name: "orders", ...body },
  });
const get = async (id: string, as = world.keys.admin) =>
  (await api.ask<Service>("GET", `/api/v1/services/${id}`, { as })).body;

test("a new service is not deployed, knows where it lives, and can be deployed", async () => {
  const service = await api.service(world, "orders-db");
  expect(service).toMatchObject({
    name: "orders-db",
    engine: "postgres",
    version: "18",
    state: "not_deployed",
    application: { id: world.applicationId, name: "Shop" },
    environment: { id: world.environmentId, name: "production" },
    server: { id: world.serverId, link: "online" },
    exposure: "closed",
    observedAt: null,
    deployedAt: null,
    openOperation: null,
    lastOperation: null,
    actions: { deploy: { verdict: "allowed" }, restart: { verdict: "refused" }, credentials: { verdict: "hidden" } },
  });
  const list = await api.ask<{ items: Service[] }>("GET", `/api/v1/environments/${world.environmentId}/services`, {
    as: world.keys.viewer,
  });
  expect(list.body.items.map((item) => item.name)).toEqual(["orders-db"]);
});

describe("bad input names the field", () => {
  const cases: [what: string, body: Record<string, unknown>, status: number, code: string, field: string][] = [
    ["an empty name", { name: "" }, 400, "invalid_input", "name"],
    ["a name of 32 characters", { name: "a".repeat(32) }, 400, "invalid_input", "name"],
    ["a very long name", { name: "a".repeat(5_000) }, 400, "invalid_input", "name"],
    ["capitals", { name: "Orders" }, 400, "invalid_input", "name"],
    ["a leading digit", { name: "1orders" }, 400, "invalid_input", "name"],
    ["a trailing hyphen", { name: "orders-" }, 400, "invalid_input", "name"],
    ["an underscore", { name: "or_ders" }, 400, "invalid_input", "name"],
    ["a letter that only looks like one", { name: "оrders" }, 400, "invalid_input", "name"],
    ["an emoji", { name: "db🙂" }, 400, "invalid_input", "name"],
    ["a newline", { name: "orders\n" }, 400, "invalid_input", "name"],
    ["SQL", { name: "a'; drop table service; --" }, 400, "invalid_input", "name"],
    ["a name of the network", { name: "localhost" }, 400, "name_reserved", "name"],
    ["a name of the engine", { name: "template1" }, 400, "name_reserved", "name"],
    ["the engine's own user", { name: "postgres" }, 400, "name_reserved", "name"],
    ["a number for a name", { name: 7 }, 400, "invalid_input", "name"],
    ["an unknown engine", { engine: "oracle" }, 400, "unknown_engine", "engine"],
    ["an engine that every object has", { engine: "constructor" }, 400, "unknown_engine", "engine"],
    ["an unknown version", { version: "9.6" }, 400, "unknown_version", "version"],
    ["another type", { type: "app" }, 400, "invalid_input", "type"],
    ["too little memory", { memoryBytes: 1 }, 400, "invalid_input", "memoryBytes"],
    ["a fraction of a byte", { memoryBytes: 1e8 + 0.5 }, 400, "invalid_input", "memoryBytes"],
  ];
  test.each(cases)("%s", async (_what, body, status, code, field) => {
    const answer = await create(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.body.errors?.map((error) => error.field)).toContain(field);
    expect(await api.db.selectFrom("service").select("id").execute()).toEqual([]);
  });

  test("a name that is taken in this environment, and only there", async () => {
    expect((await create({})).status).toBe(201);
    const again = await create({});
    expect([again.status, again.body.code]).toEqual([409, "name_taken"]);
    expect(again.body.errors?.[0]?.field).toBe("name");
    const elsewhere = await api.ask<{ id: string }>(
      "POST",
      `/api/v1/applications/${world.applicationId}/environments`,
      {
        as: world.keys.admin,
        body: { name: "staging", serverId: world.serverId },
      },
    );
    const answer = await api.ask("POST", `/api/v1/environments/${elsewhere.body.id}/services`, {
      as: world.keys.admin,
      body: { type: "database", engine: "postgres", name: "orders" },
    });
    expect(answer.status).toBe(201);
  });

  test("two creations of one name at the same instant make one service", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => create({})));
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
  });

  test("31 characters are fine", async () => {
    expect((await create({ name: `a${"b".repeat(30)}` })).status).toBe(201);
  });
});

describe("credentials", () => {
  const path = (id: string) => `/api/v1/services/${id}/credentials`;

  test("appear after the first success, uncached and audited", async () => {
    const { id } = await api.service(world, "my-orders");
    const early = await api.ask("GET", path(id), { as: world.keys.admin });
    expect([early.status, early.body.code]).toEqual([409, "not_deployed"]);

    const { id: deployed } = await api.deployed(world, "my-shop");
    const answer = await api.ask<Credentials>("GET", path(deployed), { as: world.keys.developer });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { password } = answer.body;
    expect(password).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(answer.body).toEqual({
      uri: `postgres://postgres:${password}@my-shop:5432/my_shop`,
      username: "postgres",
      password,
      host: "my-shop",
      port: 5432,
      database: "my_shop",
    });
    const audit = await api.db
      .selectFrom("audit")
      .selectAll()
      .where("action", "=", "service.credentials.read")
      .execute();
    expect(audit).toHaveLength(1);
    expect(audit[0]).toMatchObject({ target_id: deployed, actor_kind: "api_key", address: "127.0.0.1" });
    expect(JSON.stringify(audit)).not.toContain(password);
  });

  test("are not for viewers", async () => {
    const { id } = await api.deployed(world);
    const answer = await api.ask("GET", path(id), { as: world.keys.viewer });
    expect([answer.status, answer.body.code]).toEqual([403, "forbidden"]);
    expect(answer.body.detail).toContain("viewer");
  });

  test("stand sealed in the database: the password is in none of its files", async () => {
    const { id } = await api.deployed(world);
    const { password } = (await api.ask<Credentials>("GET", path(id), { as: world.keys.admin })).body;
    for (const name of readdirSync(api.dataDir)) {
      if (!name.startsWith("control-plane.sqlite")) continue;
      expect([name, readFileSync(join(api.dataDir, name)).includes(password)]).toEqual([name, false]);
    }
    expect(readdirSync(api.dataDir)).toContain("control-plane.sqlite-wal");
  });

  test("stay the same through restarts of the database", async () => {
    const { id } = await api.deployed(world);
    const first = await api.ask<Credentials>("GET", path(id), { as: world.keys.admin });
    const restart = await api.ask<{ id: string }>("POST", `/api/v1/services/${id}/restart`, { as: world.keys.admin });
    await api.finish(restart.body, "succeeded");
    expect((await api.ask<Credentials>("GET", path(id), { as: world.keys.admin })).body).toEqual(first.body);
  });
});

describe("what the API calls state", () => {
  test("follows what was observed, the link and the open operation", async () => {
    const { id } = await api.deployed(world);
    expect((await get(id)).state).toBe("running");
    await api.observe(id, "exited", "present");
    expect((await get(id)).state).toBe("exited");
    api.agents.setLink(world.serverId, { state: "unreachable" });
    expect((await get(id)).state).toBe("unreachable");
    api.agents.setLink(world.serverId, { state: "online" });
    const { body } = await api.ask<{ id: string }>("POST", `/api/v1/services/${id}/restart`, { as: world.keys.admin });
    const restarting = await get(id);
    expect([restarting.state, restarting.openOperation?.id]).toEqual(["restarting", body.id]);
  });

  test("is dated by the agent's last look while it is online, and by the report once it is away", async () => {
    const { id } = await api.deployed(world);
    const reported = (await get(id)).observedAt;
    api.platform.advance(60_000);
    const confirmedAt = api.platform.clock.now();
    api.agents.setLink(world.serverId, { confirmedAt });
    expect((await get(id)).observedAt).toBe(new Date(confirmedAt).toISOString());
    api.agents.setLink(world.serverId, { state: "unreachable", confirmedAt: null });
    expect((await get(id)).observedAt).toBe(reported);
  });

  test("comes with the caller's own actions", async () => {
    const { id } = await api.service(world);
    expect((await get(id, world.keys.viewer)).actions.deploy).toMatchObject({ verdict: "refused", code: "forbidden" });
    expect((await get(id, world.keys.developer)).actions.deploy).toEqual({ verdict: "allowed" });
  });
});

test("an open operation is shown although the clock was set back since the one before it", async () => {
  const { id } = await api.deployed(world);
  const late = "ffffffff-ffff-7fff-bfff-ffffffffffff";
  await api.db.updateTable("operation").set({ id: late }).where("service_id", "=", id).execute();
  const as = world.keys.admin;
  const restart = (await api.ask<Operation>("POST", `/api/v1/services/${id}/restart`, { as })).body;
  const { body } = await api.ask<Service>("GET", `/api/v1/services/${id}`, { as });
  expect([body.state, body.openOperation?.id]).toEqual(["restarting", restart.id]);
});
