import type { Me } from "@dflow/protocol";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cookieOf, PASSWORD, startApi, type TestApi, type World } from "../testing/api.ts";
import { createAccess } from "./access.ts";
import { createAuthRoutes } from "./routes.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const signIn = (email: string, password: string, address?: string) =>
  api.send("POST", "/api/auth/sign-in/email", { body: { email, password }, ...(address ? { address } : {}) });

describe("a session", () => {
  test("begins with the right password, says who it is, and ends at sign-out", async () => {
    await api.signedIn(world.workspaceId, "developer", "dev@example.test");
    const answer = await signIn("DEV@example.test", PASSWORD);
    expect(answer.status).toBe(200);
    const [line = ""] = answer.headers.getSetCookie();
    expect(line).toMatch(/HttpOnly/);
    expect(line).toMatch(/SameSite=Strict/);
    expect(line).not.toMatch(/Secure/);
    expect(await answer.text()).not.toContain("token");

    const as = cookieOf(answer);
    const me = await api.ask<Me>("GET", "/api/v1/me", { as });
    expect(me.body.user?.email).toBe("dev@example.test");
    expect(me.body.workspaces).toEqual([{ id: world.workspaceId, name: "main", role: "developer" }]);
    const session = await api.ask<{ user: { email: string } }>("GET", "/api/auth/get-session", { as });
    expect(session.body.user.email).toBe("dev@example.test");
    expect(JSON.stringify(session.body)).not.toContain("token");

    const out = await api.send("POST", "/api/auth/sign-out", { as });
    expect(out.status).toBe(204);
    expect((await api.ask("GET", "/api/v1/me", { as })).status).toBe(401);
    expect(await (await api.send("GET", "/api/auth/get-session", { as })).json()).toBe(null);
  });

  test("that could not be ended goes on, and sign-out does not say otherwise", async () => {
    const as = await api.signedIn(world.workspaceId, "developer");
    await sql`create trigger kept before delete on session begin select raise(abort, 'no'); end`.execute(api.db);
    expect((await api.send("POST", "/api/auth/sign-out", { as })).status).toBe(500);
    const noted = await api.db.selectFrom("audit").select("action").execute();
    expect(noted.map(({ action }) => action)).not.toContain("session.sign_out");
    expect((await api.ask("GET", "/api/v1/me", { as })).status).toBe(200);
  });

  test("has a Secure cookie behind https", async () => {
    const behind = await startApi({ publicUrl: "https://db.example.org" });
    try {
      const there = await behind.world();
      await behind.signedIn(there.workspaceId, "viewer", "v@example.test");
      const body = { email: "v@example.test", password: PASSWORD };
      const answer = await behind.send("POST", "/api/auth/sign-in/email", { body });
      expect(answer.headers.getSetCookie()[0]).toMatch(/^__Secure-.*; Secure/);
      expect(answer.headers.get("strict-transport-security")).not.toBe(null);
    } finally {
      await behind.close();
    }
  });

  test("with a changed cookie is none", async () => {
    const as = await api.signedIn(world.workspaceId, "viewer");
    expect((await api.ask("GET", "/api/v1/me", { as: `${as.slice(0, -3)}AAA` })).status).toBe(401);
  });
});

test("a wrong password and an unknown address are answered alike", async () => {
  await api.signedIn(world.workspaceId, "viewer", "v@example.test");
  const wrong = await signIn("v@example.test", "not the password");
  const unknown = await signIn("nobody@example.test", "not the password");
  const strip = (body: Record<string, unknown>) => ({ ...body, requestId: undefined });
  expect([wrong.status, unknown.status]).toEqual([401, 401]);
  expect(strip((await wrong.json()) as Record<string, unknown>)).toEqual(
    strip((await unknown.json()) as Record<string, unknown>),
  );
});

test("guessing one account's password from one address stops after ten attempts, and others still come in", async () => {
  await api.signedIn(world.workspaceId, "viewer", "v@example.test");
  const attempts = await Promise.all(Array.from({ length: 11 }, () => signIn("v@example.test", "wrong")));
  expect(attempts.map((attempt) => attempt.status).sort()).toEqual([...Array.from({ length: 10 }, () => 401), 429]);
  const refused = await signIn("v@example.test", PASSWORD);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(60);
  expect((await signIn("v@example.test", PASSWORD, "198.51.100.4")).status).toBe(200);
  api.platform.advance(15 * 60_000);
  expect((await signIn("v@example.test", PASSWORD)).status).toBe(200);
});

describe("guesses at an account", () => {
  const deviceOf = (answer: Response) =>
    answer.headers
      .getSetCookie()
      .find((line) => line.startsWith("dflow.device="))
      ?.split(";")[0] ?? "";

  test("from the owner's very address do not shut out the owner's browser", async () => {
    await api.signedIn(world.workspaceId, "viewer", "v@example.test");
    const cookie = deviceOf(await signIn("v@example.test", PASSWORD));
    const guesses = await Promise.all(Array.from({ length: 11 }, () => signIn("v@example.test", "wrong")));
    expect(guesses.at(-1)?.status).toBe(429);
    const body = { email: "v@example.test", password: PASSWORD };
    expect((await api.send("POST", "/api/auth/sign-in/email", { body, headers: { cookie } })).status).toBe(200);
  });

  test("are not taken for the owner's by another account's mark", async () => {
    await api.signedIn(world.workspaceId, "viewer", "v@example.test");
    await api.signedIn(world.workspaceId, "viewer", "w@example.test");
    const device = deviceOf(await signIn("w@example.test", PASSWORD, "192.0.2.1"));
    const body = { email: "v@example.test", password: "wrong" };
    const ask = () => api.send("POST", "/api/auth/sign-in/email", { body, headers: { cookie: device } });
    const statuses = (await Promise.all(Array.from({ length: 11 }, ask))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 429)).toHaveLength(1);
  });

  test("find a browser marked once, not anew with every sign-in", async () => {
    await api.signedIn(world.workspaceId, "viewer", "v@example.test");
    const device = deviceOf(await signIn("v@example.test", PASSWORD));
    expect(device).not.toBe("");
    const body = { email: "v@example.test", password: PASSWORD };
    const again = await api.send("POST", "/api/auth/sign-in/email", { body, headers: { cookie: device } });
    expect(deviceOf(again)).toBe("");
  });
});

test("an unknown account takes as long to refuse as a wrong password does", async () => {
  await api.signedIn(world.workspaceId, "viewer", "v@example.test");
  const median = async (email: string) => {
    const times: number[] = [];
    for (let n = 0; n < 5; n += 1) {
      const at = performance.now();
      await signIn(email, "wrong", `203.0.113.${n}`);
      times.push(performance.now() - at);
    }
    return times.sort((a, b) => a - b)[2] ?? 0;
  };
  // Without a hash it would be fifty times as fast.
  expect(await median("nobody@example.test")).toBeGreaterThan((await median("v@example.test")) / 3);
});

test("a sign-out that ends nothing has nobody's right to a stream looked up again", async () => {
  const cookie = await api.signedIn(world.workspaceId, "viewer");
  let looks = 0;
  const access = { ...createAccess(api.deps), changed: () => void looks++ };
  const routes = createAuthRoutes({ ...api.deps, access }, api.people);
  const signOut = (headers: Record<string, string>) => routes.request("/sign-out", { method: "POST", headers });
  expect([(await signOut({})).status, looks]).toEqual([204, 0]);
  expect([(await signOut({ cookie: "dflow.session_token=forged" })).status, looks]).toEqual([204, 0]);
  expect([(await signOut({ cookie })).status, looks]).toEqual([204, 1]);
});

test("an API key says what it is, and no more than its workspace", async () => {
  const other = await api.world("other");
  const me = await api.ask<Me>("GET", "/api/v1/me", { as: world.keys.viewer });
  expect(me.body).toEqual({ user: null, workspaces: [{ id: world.workspaceId, name: "main", role: "viewer" }] });
  expect((await api.ask("GET", `/api/v1/workspaces/${other.workspaceId}`, { as: world.keys.viewer })).status).toBe(404);
});

test("a deleted key is refused at once; neither key nor password stands in the file", async () => {
  const as = world.keys.admin;
  await api.signedIn(world.workspaceId, "viewer");
  const path = `/api/v1/workspaces/${world.workspaceId}/api-keys`;
  const made = await api.ask<{ id: string; key: string }>("POST", path, { as, body: { name: "ci", role: "viewer" } });
  expect(made.status).toBe(201);
  expect(made.headers.get("cache-control")).toBe("no-store");
  expect((await api.ask("GET", "/api/v1/me", { as: made.body.key })).status).toBe(200);
  expect(JSON.stringify((await api.ask("GET", path, { as })).body)).not.toContain(made.body.key);
  expect((await api.send("DELETE", `/api/v1/api-keys/${made.body.id}`, { as })).status).toBe(204);
  expect((await api.ask("GET", "/api/v1/me", { as: made.body.key })).status).toBe(401);

  const rows = JSON.stringify([
    await api.db.selectFrom("api_key").selectAll().execute(),
    await api.db.selectFrom("account").selectAll().execute(),
    await api.db.selectFrom("audit").selectAll().execute(),
  ]);
  expect(rows).not.toContain(made.body.key);
  expect(rows).not.toContain(PASSWORD);
});
