import type { Application, Environment, Server, Service } from "@dflow/protocol";
import { parseEnrolmentToken } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { insertServer, startApi, type TestApi, type World } from "../testing/api.ts";

let api: TestApi;
let world: World;
let as: string;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
  as = world.keys.admin;
});
afterEach(() => api.close());

const server = async () => (await api.ask<Server>("GET", `/api/v1/servers/${world.serverId}`, { as })).body;

describe("a server", () => {
  test("shows its link, its address and what lives on it", async () => {
    await api.service(world);
    expect(await server()).toMatchObject({
      name: "server of main",
      link: "online",
      dockerOk: true,
      publicHost: "192.0.2.7",
      publicHostSource: "socket",
      environmentCount: 1,
      serviceCount: 1,
    });
    const list = await api.ask<{ items: Server[] }>("GET", `/api/v1/workspaces/${world.workspaceId}/servers`, { as });
    expect(list.body.items).toEqual([await server()]);
  });

  test("is renamed and given a public host, which can be taken back", async () => {
    const patch = (body: unknown) => api.ask<Server>("PATCH", `/api/v1/servers/${world.serverId}`, { as, body });
    const changed = await patch({ name: "Berlin 1", publicHost: "db.example.org" });
    expect(changed.body).toMatchObject({ name: "Berlin 1", publicHost: "db.example.org", publicHostSource: "admin" });
    expect(changed.body.revision).toBeGreaterThan(1);
    expect((await patch({ publicHost: null })).body).toMatchObject({
      publicHost: "192.0.2.7",
      publicHostSource: "socket",
    });
    expect((await patch({ publicHost: "a b" })).status).toBe(400);
    await insertServer(api.db, api.platform, world.workspaceId, "Berlin 2");
    expect((await patch({ name: "Berlin 2" })).status).toBe(409);
    expect((await patch({ name: "Berlin 1" })).status).toBe(200);
  });

  test("is removed only when nothing lives on it, and its agent is sent away", async () => {
    const refused = await api.ask("DELETE", `/api/v1/servers/${world.serverId}`, { as });
    expect([refused.status, refused.body.code]).toEqual([409, "not_empty"]);
    expect(api.agents.disconnected).toEqual([]);
    await api.send("DELETE", `/api/v1/environments/${world.environmentId}`, { as });
    expect((await api.send("DELETE", `/api/v1/servers/${world.serverId}`, { as })).status).toBe(204);
    expect(api.agents.disconnected).toEqual([world.serverId]);
    expect((await api.ask("GET", `/api/v1/servers/${world.serverId}`, { as })).status).toBe(404);
  });

  test("is not changed by a developer", async () => {
    const developer = { as: world.keys.developer, body: { name: "x" } };
    expect((await api.ask("PATCH", `/api/v1/servers/${world.serverId}`, developer)).status).toBe(403);
    expect((await api.ask("POST", `/api/v1/workspaces/${world.workspaceId}/enrolment-tokens`, developer)).status).toBe(
      403,
    );
  });
});

describe("an enrolment token", () => {
  const path = () => `/api/v1/workspaces/${world.workspaceId}/enrolment-tokens`;

  test("is shown once and its secret kept nowhere", async () => {
    const body = { serverName: "new" };
    const made = await api.ask<{ id: string; token: string; controlPlaneUrl: string; reachableFromElsewhere: boolean }>(
      "POST",
      path(),
      { as, body },
    );
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const parts = parseEnrolmentToken(made.body.token);
    expect(parts).toMatchObject({ tokenId: made.body.id, controlPlaneId: api.deps.signer.controlPlaneId });
    expect(made.body).toMatchObject({ controlPlaneUrl: "http://127.0.0.1:3100", reachableFromElsewhere: false });
    const later = await api.ask<{ state: string }>("GET", `/api/v1/enrolment-tokens/${made.body.id}`, { as });
    expect(later.body).toMatchObject({ state: "waiting", serverName: "new", serverId: null });
    const rows = JSON.stringify(await api.db.selectFrom("enrolment_token").selectAll().execute());
    expect(rows).not.toContain(String(parts?.secret));
    api.platform.advance(3600_000);
    expect(
      (await api.ask<{ state: string }>("GET", `/api/v1/enrolment-tokens/${made.body.id}`, { as })).body.state,
    ).toBe("expired");
  });

  test("for a name that a server has already is refused", async () => {
    const { status, body } = await api.ask("POST", path(), { as, body: { serverName: "server of main" } });
    expect([status, body.code, body.errors?.[0]?.field]).toEqual([409, "name_taken", "serverName"]);
  });
});

describe("a token that re-keys", () => {
  const path = () => `/api/v1/servers/${world.serverId}/rekey-token`;

  test("is for that one server, shown once, written down, and leaves the server as it is", async () => {
    const before = await server();
    const made = await api.ask<{ id: string; token: string; serverName: string }>("POST", path(), { as });
    expect([made.status, made.headers.get("cache-control")]).toEqual([201, "no-store"]);
    expect(parseEnrolmentToken(made.body.token)).toMatchObject({ kind: "rekey", tokenId: made.body.id });
    expect(made.body).toMatchObject({ serverName: "server of main", state: "waiting" });
    const row = await api.db.selectFrom("enrolment_token").selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ rekeys_server_id: world.serverId, used_at: null });
    expect(row.expires_at - row.created_at).toBe(30 * 60_000);
    const audit = await api.db.selectFrom("audit").selectAll().where("action", "=", "rekey_token.create").execute();
    expect(audit).toMatchObject([{ target_kind: "server", target_id: world.serverId, actor_name: "admin" }]);
    expect(JSON.stringify([row, audit])).not.toContain(String(made.body.token.split(".")[2]));
    expect(await server()).toEqual(before);
  });

  test("is made by admins of its workspace only; for others the server does not exist", async () => {
    const stranger = await api.world("elsewhere");
    expect((await api.ask("POST", path(), { as: world.keys.developer })).status).toBe(403);
    expect((await api.ask("POST", path(), { as: stranger.keys.admin })).status).toBe(404);
    expect((await api.ask("POST", path(), {})).status).toBe(401);
    expect(await api.db.selectFrom("enrolment_token").selectAll().execute()).toEqual([]);
  });
});

describe("a quarantined server", () => {
  test("says since when, and refuses new actions on its services with what to do", async () => {
    const service = await api.deployed(world);
    await api.db.updateTable("server").set({ quarantined_at: api.platform.clock.now() }).execute();
    api.agents.setLink(world.serverId, { state: "quarantined" });
    const now = new Date(api.platform.clock.now()).toISOString();
    expect(await server()).toMatchObject({ link: "quarantined", quarantinedAt: now });
    const asked = [
      await api.ask("POST", `/api/v1/services/${service.id}/restart`, { as }),
      await api.ask("POST", `/api/v1/services/${service.id}/stop`, { as }),
      await api.ask("DELETE", `/api/v1/services/${service.id}`, { as }),
      await api.ask("GET", `/api/v1/services/${service.id}/logs`, { as }),
    ];
    expect(asked.map(({ status, body }) => [status, body.code])).toEqual(Array(4).fill([409, "server_quarantined"]));
    expect(asked[0]?.body.detail).toMatch(/two machines use its identity. Re-key/);
    const shown = await api.ask<Service>("GET", `/api/v1/services/${service.id}`, { as });
    expect(shown.body).toMatchObject({ state: "unreachable", server: { link: "quarantined" } });
  });
});

describe("applications and environments", () => {
  test("are listed in each other, and deleted from the inside out", async () => {
    const { id } = await api.service(world);
    const list = await api.ask<{ items: Application[] }>(
      "GET",
      `/api/v1/workspaces/${world.workspaceId}/applications`,
      { as },
    );
    expect(list.body.items).toMatchObject([
      {
        name: "Shop",
        environments: [{ id: world.environmentId, name: "production", serverName: "server of main", serviceCount: 1 }],
      },
    ]);
    const environment = await api.ask<Environment>("GET", `/api/v1/environments/${world.environmentId}`, { as });
    expect(environment.body).toMatchObject({
      application: { name: "Shop" },
      server: { link: "online" },
      serviceCount: 1,
    });

    const application = `/api/v1/applications/${world.applicationId}`;
    expect((await api.ask("DELETE", application, { as })).body).toMatchObject({ code: "not_empty" });
    expect((await api.ask("DELETE", `/api/v1/environments/${world.environmentId}`, { as })).body).toMatchObject({
      code: "not_empty",
    });
    await api.send("DELETE", `/api/v1/services/${id}`, { as });
    expect((await api.send("DELETE", `/api/v1/environments/${world.environmentId}`, { as })).status).toBe(204);
    expect((await api.send("DELETE", application, { as })).status).toBe(204);
    expect((await api.ask("GET", application, { as })).status).toBe(404);
  });

  test("have names that are unique while they live", async () => {
    const path = `/api/v1/workspaces/${world.workspaceId}/applications`;
    const taken = await api.ask("POST", path, { as, body: { name: "Shop" } });
    expect([taken.status, taken.body.code, taken.body.errors?.[0]?.field]).toEqual([409, "name_taken", "name"]);
    const blog = await api.ask<Application>("POST", path, { as, body: { name: "  Blog  " } });
    expect(blog.body.name).toBe("Blog");
    const rename = (name: string) => api.ask("PATCH", `/api/v1/applications/${blog.body.id}`, { as, body: { name } });
    expect((await rename("Shop")).status).toBe(409);
    expect((await rename("Journal")).body).toMatchObject({ name: "Journal" });
    await api.send("DELETE", `/api/v1/applications/${blog.body.id}`, { as });
    expect((await api.ask("POST", path, { as, body: { name: "Journal" } })).status).toBe(201);
    for (const name of ["", "   ", "x".repeat(61), "a\nb"]) {
      expect([name, (await api.ask("POST", path, { as, body: { name } })).status]).toEqual([name, 400]);
    }
  });

  test("are written down when they change, with who did it", async () => {
    const rows = await api.db
      .selectFrom("audit")
      .select(["action", "actor_kind", "actor_name"])
      .orderBy("id")
      .execute();
    expect(rows.filter((row) => row.action !== "api_key.create")).toEqual([
      { action: "application.create", actor_kind: "api_key", actor_name: "admin" },
      { action: "environment.create", actor_kind: "api_key", actor_name: "admin" },
    ]);
  });
});
