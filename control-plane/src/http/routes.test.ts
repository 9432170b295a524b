import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { apiDocument } from "./openapi.ts";
import { isPublicRoute, OPEN_ROUTES, PUBLIC_ROUTES } from "./public-routes.ts";

let api: TestApi;
beforeEach(async () => {
  api = await startApi();
});
afterEach(() => api.close());

/** Every route that the application itself has under /api. */
function apiRoutes(): { method: string; path: string }[] {
  const routes = api.app.hono.routes.filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/"));
  return [...new Map(routes.map(({ method, path }) => [`${method} ${path}`, { method, path }])).values()];
}

/** A body that passes the schema of each route that has one, so that a 404 is not hidden behind a 400. */
const BODIES: Record<string, unknown> = {
  "PATCH /api/v1/workspaces/:id/members/:userId": { role: "viewer" },
  "POST /api/v1/workspaces/:id/invitations": { email: "a@example.test", role: "viewer" },
  "POST /api/v1/workspaces/:id/api-keys": { name: "x", role: "viewer" },
  "POST /api/v1/workspaces/:id/enrolment-tokens": { serverName: "x" },
  "POST /api/v1/workspaces/:id/applications": { name: "x" },
};

/** An id of `world` for each kind of thing that a path can begin with. */
async function idsOf(world: World): Promise<Record<string, string>> {
  const as = world.keys.admin;
  const post = async (path: string, body?: unknown) =>
    (await api.ask<{ id: string }>("POST", path, { as, body })).body.id;
  const service = await api.service(world, "secret-service");
  return {
    workspaces: world.workspaceId,
    servers: world.serverId,
    applications: world.applicationId,
    environments: world.environmentId,
    services: service.id,
    operations: await post(`/api/v1/services/${service.id}/deploy`),
    "enrolment-tokens": await post(`/api/v1/workspaces/${world.workspaceId}/enrolment-tokens`, { serverName: "new" }),
    "api-keys": await post(`/api/v1/workspaces/${world.workspaceId}/api-keys`, { name: "k", role: "viewer" }),
    invitations: await post(`/api/v1/workspaces/${world.workspaceId}/invitations`, {
      email: "guest@example.test",
      role: "viewer",
    }),
  };
}

test("there are routes to walk", () => {
  expect(apiRoutes().length).toBeGreaterThan(30);
});

test("every /api route without session and key is 401, but for the public list", async () => {
  for (const { method, path } of apiRoutes()) {
    if (isPublicRoute(method, path)) continue;
    const concrete = path.replaceAll(/:\w+/g, api.platform.random.id());
    const { status, body } = await api.ask(method, concrete);
    expect([method, path, status, body.code]).toEqual([method, path, 401, "unauthenticated"]);
  }
});

test("the routes outside /api are those of the open list, each with a reason", () => {
  const outside = api.app.hono.routes.filter(({ method, path }) => method !== "ALL" && !path.startsWith("/api/"));
  const routes = new Set(outside.map(({ method, path }) => `${method} ${path}`));
  expect([...routes].sort()).toEqual(OPEN_ROUTES.map(({ method, path }) => `${method} ${path}`).sort());
  for (const { reason } of OPEN_ROUTES) expect(reason.length).toBeGreaterThan(10);
});

test("an unknown, a malformed and an expired key are 401", async () => {
  const { keys } = await api.world();
  for (const as of ["dfk_", `dfk_${"x".repeat(43)}`, `${keys.admin}x`]) {
    expect((await api.ask("GET", "/api/v1/me", { as })).status).toBe(401);
  }
  const headers = { authorization: "Basic YTpi" };
  expect((await api.ask("GET", "/api/v1/me", { headers })).status).toBe(401);
  expect((await api.ask("GET", "/api/v1/me", { as: keys.admin })).status).toBe(200);
  api.platform.advance(31 * 24 * 3600_000);
  expect((await api.ask("GET", "/api/v1/me", { as: keys.admin })).status).toBe(401);
});

test("every entry of the public list is a route and has a reason", () => {
  const known = apiRoutes().map(({ method, path }) => `${method} ${path}`);
  for (const { method, path, reason } of PUBLIC_ROUTES) {
    expect(known).toContain(`${method} ${path}`);
    expect(reason.length).toBeGreaterThan(10);
  }
});

describe("every route with an id, called with an id of a foreign workspace, is 404", () => {
  const walk = async (as: string, ids: Record<string, string>) => {
    let walked = 0;
    for (const { method, path } of apiRoutes()) {
      if (!path.includes(":id")) continue;
      const kind = path.split("/")[3] ?? "";
      const id = ids[kind];
      // A new kind of thing has to be added to idsOf().
      if (id === undefined) throw new Error(`no id for ${path}`);
      const concrete = path.replace(":id", id).replaceAll(/:\w+/g, "someone");
      const { status, body } = await api.ask(method, concrete, { as, body: BODIES[`${method} ${path}`] });
      expect([method, path, status, body.code]).toEqual([method, path, 404, "not_found"]);
      walked += 1;
    }
    expect(walked).toBeGreaterThan(25);
  };

  test("by an admin's key", async () => {
    const ids = await idsOf(await api.world("theirs"));
    const mine = await api.world("mine");
    await walk(mine.keys.admin, ids);
  });

  test("by an owner's session", async () => {
    const ids = await idsOf(await api.world("theirs"));
    const mine = await api.world("mine");
    await walk(await api.signedIn(mine.workspaceId, "owner"), ids);
  });

  test("and nothing of the foreign workspace was changed", async () => {
    const theirs = await api.world("theirs");
    const ids = await idsOf(theirs);
    const before = await api.db.selectFrom("audit").select("id").execute();
    await walk((await api.world("mine")).keys.admin, ids);
    const after = await api.db
      .selectFrom("audit")
      .select("id")
      .where("workspace_id", "=", theirs.workspaceId)
      .execute();
    expect(after.length).toBe(before.length);
  });
});

test("ids in queries and bodies are checked like ids in paths", async () => {
  const theirs = await api.world("theirs");
  const mine = await api.world("mine");
  const as = mine.keys.admin;
  expect((await api.ask("GET", `/api/v1/events?workspaceId=${theirs.workspaceId}`, { as })).status).toBe(404);
  const body = { name: "x", serverId: theirs.serverId };
  const answer = await api.ask("POST", `/api/v1/applications/${mine.applicationId}/environments`, { as, body });
  expect(answer.status).toBe(400);
  expect(answer.body.errors).toEqual([{ field: "serverId", message: expect.stringContaining("no such server") }]);
});

test("texts that are no ids are things that do not exist", async () => {
  const { keys } = await api.world();
  for (const id of ["x", "00000000-0000-0000-0000-000000000000", "%00", "..%2f..", "1' or '1'='1"]) {
    const { status } = await api.ask("GET", `/api/v1/services/${encodeURIComponent(id)}`, { as: keys.admin });
    expect([id, status]).toEqual([id, 404]);
  }
});

test("what is not a route is a problem document with 404, by any method", async () => {
  const { keys } = await api.world();
  for (const [method, path] of [
    ["GET", "/api/v1/nothing"],
    ["PUT", "/api/v1/me"],
    ["GET", "/api/auth/sign-up/email"],
    ["POST", "/api/auth/sign-up/email"],
    ["POST", "/api/auth/change-password"],
    ["GET", "/nothing"],
  ] as const) {
    const { status, body, headers } = await api.ask(method, path, { as: keys.admin });
    expect([path, status, body.code]).toEqual([path, 404, "not_found"]);
    expect(headers.get("content-type")).toBe("application/problem+json");
  }
});

describe("the API's document", () => {
  interface Document {
    openapi: string;
    paths: Record<string, Record<string, { operationId: string; tags: string[]; responses: Record<string, unknown> }>>;
    components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
  }
  const document = () => JSON.parse(JSON.stringify(apiDocument(api.app.hono))) as Document;
  const operations = () =>
    Object.entries(document().paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
    );

  test("is OpenAPI 3.1 and has every route", () => {
    const described = operations().map(
      ({ method, path }) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`,
    );
    const routes = apiRoutes()
      .map(({ method, path }) => `${method} ${path}`)
      .filter((route) => route !== "GET /api/v1/openapi.json");
    expect(document().openapi).toMatch(/^3\.1\./);
    expect(described.sort()).toEqual(routes.sort());
  });

  test("gives every operation a name of its own, a known tag and its errors", () => {
    const names = operations().map(({ operationId }) => operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { operationId, tags, responses } of operations()) {
      expect([operationId, tags.length]).toEqual([operationId, 1]);
      expect([operationId, Object.keys(responses).filter((status) => status >= "400").length > 0]).toEqual([
        operationId,
        true,
      ]);
    }
  });

  test("refers only to what it defines", () => {
    const text = JSON.stringify(document());
    const { schemas, securitySchemes } = document().components;
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      expect(Object.keys(schemas)).toContain(name);
    expect(Object.keys(securitySchemes)).toEqual(["session", "apiKey"]);
    expect(Object.keys(schemas)).toEqual(
      expect.arrayContaining(["Service", "Operation", "Server", "Problem", "Credentials"]),
    );
  });

  test("is served to everybody", async () => {
    const { status, body } = await api.ask<Document>("GET", "/api/v1/openapi.json");
    expect(status).toBe(200);
    expect(body).toEqual(document());
  });
});
