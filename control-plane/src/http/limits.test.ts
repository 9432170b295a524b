import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { apiDocument } from "./openapi.ts";

let api: TestApi;
let world: World;
let cookie: string;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const applications = () => `/api/v1/workspaces/${world.workspaceId}/applications`;

describe("bodies", () => {
  test("malformed JSON is told from wrong fields, and those are named", async () => {
    const malformed = await api.ask("POST", applications(), { as: world.keys.admin, body: '{"name": ' });
    expect([malformed.status, malformed.body.code]).toEqual([400, "malformed_json"]);
    const wrong = await api.ask("POST", applications(), { as: world.keys.admin, body: { name: 7 } });
    expect([wrong.status, wrong.body.code]).toEqual([400, "invalid_input"]);
    expect(wrong.body.errors).toEqual([{ field: "name", message: expect.any(String) }]);
    const none = await api.ask("POST", applications(), { as: world.keys.admin });
    expect([none.status, none.body.code]).toEqual([400, "invalid_input"]);
  });

  test("a body that is not declared as JSON is refused with the reason", async () => {
    const headers = { "content-type": "text/plain" };
    const { status, body } = await api.ask("POST", applications(), { as: world.keys.admin, body: "{}", headers });
    expect([status, body.code]).toEqual([400, "invalid_input"]);
    expect(body.hint).toContain("application/json");
  });

  test("a declared length over 256 KiB is refused without reading", async () => {
    const answer = await api.ask("POST", applications(), {
      as: world.keys.admin,
      body: { name: "x".repeat(10_000_000) },
      headers: { "content-length": "10000011" },
    });
    expect([answer.status, answer.body.code]).toEqual([413, "body_too_large"]);
    // Closed under a sender, the connection would take the answer along.
    expect(answer.headers.get("connection")).toBeNull();
  });

  test("a stream without a length is refused as soon as it is too long", async () => {
    let given = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        given += 64 * 1024;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
    const response = await api.app.hono.request(applications(), {
      method: "POST",
      headers: { authorization: `Bearer ${world.keys.admin}`, "content-type": "application/json" },
      body: endless,
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(413);
    expect(given).toBeLessThan(1024 * 1024);
  });
});

describe("origins", () => {
  beforeEach(async () => {
    cookie = await api.signedIn(world.workspaceId, "admin");
  });
  const create = (headers: Record<string, string>, as = cookie) =>
    api.ask("POST", applications(), { as, body: { name: `app ${Math.random()}` }, headers });

  test("a change by cookie is taken from our own pages only", async () => {
    expect((await create({ origin: "http://127.0.0.1:3100" })).status).toBe(201);
    for (const origin of [
      "https://evil.example",
      "http://127.0.0.1:9999",
      "null",
      "http://127.0.0.1:3100.evil.example",
    ]) {
      const { status, body } = await create({ origin });
      expect([origin, status, body.code]).toEqual([origin, 403, "bad_origin"]);
    }
  });

  test("a change by cookie that names no origin is refused", async () => {
    const response = await api.app.hono.request(applications(), {
      method: "POST",
      headers: { cookie, "content-type": "application/json" },
      body: '{"name":"x"}',
    });
    expect(response.status).toBe(403);
  });

  test("a change that a browser says comes from elsewhere is refused, also where nobody needs a session", async () => {
    const body = { email: "admin@example.test", password: "x" };
    const signIn = async (site: string) =>
      (await api.ask("POST", "/api/auth/sign-in/email", { body, headers: { "sec-fetch-site": site } })).status;
    expect([await signIn("cross-site"), await signIn("same-site")]).toEqual([403, 403]);
    expect([await signIn("same-origin"), await signIn("none")]).toEqual([401, 401]);
    const cookieOnly = async (site: string) => {
      const headers = { cookie, "content-type": "application/json", "sec-fetch-site": site };
      return (await api.app.hono.request(applications(), { method: "POST", headers, body: '{"name":"x"}' })).status;
    };
    // A browser that says where it comes from names the origin of a change too.
    expect([await cookieOnly("same-origin"), await cookieOnly("cross-site")]).toEqual([403, 403]);
  });

  test("every change by cookie, whatever it is, needs our own origin", async () => {
    const changes = Object.entries(apiDocument(api.app.hono).paths ?? {}).flatMap(([path, item]) =>
      ["post", "put", "patch", "delete"].filter((method) => method in (item ?? {})).map((method) => [method, path]),
    );
    expect(changes.length).toBeGreaterThan(20);
    for (const [method = "", path = ""] of changes) {
      const asked = path.replaceAll(/\{\w+\}/g, world.workspaceId);
      const headers = { origin: "https://evil.example" };
      const { status, body } = await api.ask(method.toUpperCase(), asked, { as: cookie, body: {}, headers });
      expect([method, path, status, body.code]).toEqual([method, path, 403, "bad_origin"]);
    }
  });

  test("on loopback, the address that the browser sees us under is our own", async () => {
    expect((await create({ origin: "http://localhost:8080", host: "localhost:8080" })).status).toBe(201);
    expect((await create({ origin: "http://localhost:8080", host: "127.0.0.1:3100" })).status).toBe(403);
    expect((await create({ origin: "http://evil.example:3100", host: "evil.example:3100" })).status).toBe(403);
  });

  test("a program with a key names no origin, and one that it names does not matter", async () => {
    expect((await create({}, world.keys.admin)).status).toBe(201);
    expect((await create({ origin: "https://evil.example" }, world.keys.admin)).status).toBe(201);
  });

  test("signing in from a foreign page is refused, reading is not", async () => {
    const headers = { origin: "https://evil.example" };
    const body = { email: "admin@example.test", password: "x" };
    expect((await api.ask("POST", "/api/auth/sign-in/email", { body, headers })).body.code).toBe("bad_origin");
    expect((await api.ask("GET", "/api/v1/me", { as: cookie, headers })).status).toBe(200);
  });

  test("behind https only the public address is our own", async () => {
    const behind = await startApi({ listen: { host: "0.0.0.0" }, publicUrl: "https://db.example.org" });
    try {
      const there = await behind.world();
      const as = await behind.signedIn(there.workspaceId, "admin");
      const path = `/api/v1/workspaces/${there.workspaceId}/applications`;
      expect((await behind.ask("POST", path, { as, body: { name: "a" } })).status).toBe(201);
      const headers = { origin: "http://localhost:3100", host: "localhost:3100" };
      expect((await behind.ask("POST", path, { as, body: { name: "b" }, headers })).status).toBe(403);
    } finally {
      await behind.close();
    }
  });
});

describe("rates", () => {
  test("a principal gets 1200 requests a minute, then 429 with the time to wait", async () => {
    const as = world.keys.viewer;
    for (let n = 0; n < 1_200; n += 1) {
      const { status } = await api.send("GET", "/api/v1/engines", { as, address: `10.0.${n % 200}.1` });
      expect(status).toBe(200);
    }
    const refused = await api.ask("GET", "/api/v1/engines", { as });
    expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await api.ask("GET", "/api/v1/engines", { as: world.keys.admin })).status).toBe(200);
    api.platform.advance(61_000);
    expect((await api.ask("GET", "/api/v1/engines", { as })).status).toBe(200);
  });

  test("an IPv6 network of one customer is limited as one address", async () => {
    const ask = (address: string) => api.send("POST", "/api/v1/invitations/accept", { body: {}, address });
    const body = { email: "nobody@example.test", password: "x" };
    const signIn = (address: string) => api.send("POST", "/api/auth/sign-in/email", { body, address });
    for (let n = 1; n <= 10; n += 1) expect((await signIn(`2001:db8:1:2::${n}`)).status).toBe(401);
    expect((await signIn("2001:db8:1:2:ffff::1")).status).toBe(429);
    expect((await signIn("2001:db8:1:3::1")).status).toBe(401);
    for (let n = 0; n < 3_000; n += 1) await ask(`2001:db8:7:7::${n.toString(16)}`);
    expect((await ask("2001:db8:7:7:1::1")).status).toBe(429);
  });

  test("the API's document is put together once, not for everybody who asks", async () => {
    const { hono } = api.app;
    const make = hono.getOpenAPI31Document;
    let made = 0;
    hono.getOpenAPI31Document = (...given) => {
      made += 1;
      return make(...given);
    };
    for (let n = 0; n < 3; n += 1) expect((await api.ask("GET", "/api/v1/openapi.json")).status).toBe(200);
    expect(made).toBe(1);
  });

  test("an address without any right is limited too", async () => {
    for (let n = 0; n < 3_000; n += 1) await api.send("GET", "/api/v1/me", { address: "203.0.113.9" });
    expect((await api.ask("GET", "/api/v1/me", { address: "203.0.113.9" })).status).toBe(429);
    expect((await api.ask("GET", "/api/v1/me", { address: "203.0.113.10" })).status).toBe(401);
  });
});

test("every answer carries a request id and the security headers, errors too", async () => {
  for (const path of ["/api/v1/me", "/healthz", "/api/v1/openapi.json"]) {
    const { headers } = await api.ask("GET", path);
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect(headers.get("content-security-policy")).toContain("default-src 'self'; script-src 'self'; ");
    expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(headers.get("content-security-policy")).not.toMatch(/script-src[^;]*'unsafe/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("same-origin");
    // Over http it would be believed by nobody, and would shut out who tries dFlow on their own machine.
    expect(headers.get("strict-transport-security")).toBe(null);
  }
  const given = await api.ask("GET", "/api/v1/me", { headers: { "x-request-id": "my-request-1" } });
  expect(given.body.requestId).toBe("my-request-1");
  const strange = await api.ask("GET", "/api/v1/me", { headers: { "x-request-id": "a b<script>" } });
  expect(strange.body.requestId).not.toContain("script");
});

test("behind https browsers are told to stay there", async () => {
  const behind = await startApi({ publicUrl: "https://db.example.org" });
  for (const path of ["/api/v1/me", "/healthz", "/nothing"]) {
    const { headers } = await behind.send("GET", path);
    expect(headers.get("strict-transport-security")).toBe("max-age=31536000");
  }
  await behind.close();
});

test("healthz answers, and readyz says whether the database does", async () => {
  expect((await api.ask("GET", "/healthz")).status).toBe(200);
  expect((await api.ask("GET", "/readyz")).status).toBe(200);
  await api.db.destroy();
  expect((await api.ask("GET", "/readyz")).status).toBe(503);
  expect((await api.ask("GET", "/healthz")).status).toBe(200);
});

test("a bug is answered as `internal` with the request id and none of its text", async () => {
  await api.db.updateTable("server").set({ facts: "{broken" }).execute();
  const { status, body } = await api.ask("GET", `/api/v1/servers/${world.serverId}`, { as: world.keys.admin });
  expect([status, body.code]).toEqual([500, "internal"]);
  expect(body.hint).toContain(String(body.requestId));
  expect(JSON.stringify(body)).not.toContain("JSON");
});
