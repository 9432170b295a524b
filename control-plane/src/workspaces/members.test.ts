import type { Me, Member } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cookieOf, PASSWORD, startApi, type TestApi, type World } from "../testing/api.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const members = async () =>
  (
    await api.ask<{ items: Member[] }>("GET", `/api/v1/workspaces/${world.workspaceId}/members`, {
      as: world.keys.viewer,
    })
  ).body.items;
const idOf = async (email: string) => (await members()).find((member) => member.email === email)?.userId ?? "nobody";
const change = (userId: string, role: string, as: string) =>
  api.ask("PATCH", `/api/v1/workspaces/${world.workspaceId}/members/${userId}`, { as, body: { role } });
const remove = (userId: string, as: string) =>
  api.ask("DELETE", `/api/v1/workspaces/${world.workspaceId}/members/${userId}`, { as });

interface Created {
  id: string;
  token: string;
}
const invite = (email: string, role: string, as = world.keys.admin) =>
  api.ask<Created>("POST", `/api/v1/workspaces/${world.workspaceId}/invitations`, { as, body: { email, role } });
const accept = (token: string, password = PASSWORD) =>
  api.ask("POST", "/api/v1/invitations/accept", { body: { token, name: "Guest", password } });

describe("an invitation", () => {
  test("makes an account and a membership, once", async () => {
    const { status, body, headers } = await invite("Guest@Example.test", "developer");
    expect([status, headers.get("cache-control")]).toEqual([201, "no-store"]);
    const accepted = await accept(body.token);
    expect([accepted.status, accepted.body]).toEqual([
      200,
      { workspaceId: world.workspaceId, email: "guest@example.test" },
    ]);
    const signIn = await api.send("POST", "/api/auth/sign-in/email", {
      body: { email: "guest@example.test", password: PASSWORD },
    });
    const me = await api.ask<Me>("GET", "/api/v1/me", { as: cookieOf(signIn) });
    expect(me.body.workspaces).toEqual([{ id: world.workspaceId, name: "main", role: "developer" }]);
    expect((await accept(body.token)).body).toMatchObject({ status: 400, code: "invitation_invalid" });
  });

  test("of someone with an account needs their password, and adds the membership", async () => {
    const other = await api.world("other");
    const as = await api.signedIn(other.workspaceId, "viewer", "old@example.test");
    const { token } = (await invite("old@example.test", "viewer")).body;
    expect((await accept(token, "not their password")).status).toBe(401);
    expect((await accept(token)).status).toBe(200);
    const me = await api.ask<Me>("GET", "/api/v1/me", { as });
    expect(me.body.workspaces.map((workspace) => workspace.name).sort()).toEqual(["main", "other"]);
  });

  test("is no way round the limit on guessing somebody's password", async () => {
    const other = await api.world("other");
    await api.signedIn(other.workspaceId, "owner", "old@example.test");
    const { token } = (await invite("old@example.test", "viewer")).body;
    for (let n = 0; n < 10; n += 1) expect((await accept(token, `guess ${n} of many`)).status).toBe(401);
    expect((await accept(token, "one guess too many")).status).toBe(429);
    const body = { email: "old@example.test", password: PASSWORD };
    expect((await api.send("POST", "/api/auth/sign-in/email", { body })).status).toBe(429);
  });

  test("ends with the right of who gave it: removed, demoted, or a deleted key", async () => {
    await api.signedIn(world.workspaceId, "owner", "owner@example.test");
    const removed = await api.signedIn(world.workspaceId, "admin", "removed@example.test");
    const demoted = await api.signedIn(world.workspaceId, "admin", "demoted@example.test");
    const keys = `/api/v1/workspaces/${world.workspaceId}/api-keys`;
    const key = await api.ask<{ id: string; key: string }>("POST", keys, {
      as: world.keys.admin,
      body: { name: "leaked", role: "admin" },
    });
    const tokens = [];
    for (const as of [removed, demoted, key.body.key]) {
      tokens.push((await invite(`other-${tokens.length}@example.test`, "admin", as)).body.token);
    }
    await remove(await idOf("removed@example.test"), world.keys.admin);
    await change(await idOf("demoted@example.test"), "viewer", world.keys.admin);
    await api.send("DELETE", `/api/v1/api-keys/${key.body.id}`, { as: world.keys.admin });
    for (const token of tokens) expect((await accept(token)).body.code).toBe("invitation_invalid");
    const kept = (await invite("kept@example.test", "viewer")).body.token;
    expect((await accept(kept)).status).toBe(200);
  });

  test("that is wrong, revoked or too old is refused in the same words", async () => {
    const revoked = (await invite("a@example.test", "viewer")).body;
    await api.send("DELETE", `/api/v1/invitations/${revoked.id}`, { as: world.keys.admin });
    const old = (await invite("b@example.test", "viewer")).body;
    api.platform.advance(8 * 24 * 3600_000);
    const answers = [await accept("dfi_wrong"), await accept(revoked.token), await accept(old.token)];
    for (const { status, body } of answers)
      expect([status, body.code, body.detail]).toEqual([400, "invitation_invalid", answers[0]?.body.detail]);
  });

  test("accepted by many at the same instant counts once", async () => {
    const { token } = (await invite("race@example.test", "viewer")).body;
    const answers = await Promise.all([accept(token), accept(token), accept(token)]);
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect(await members()).toHaveLength(1);
  });

  test("is not for developers to give, and an admin cannot make an owner", async () => {
    expect((await invite("a@example.test", "viewer", world.keys.developer)).status).toBe(403);
    expect((await invite("a@example.test", "owner")).status).toBe(403);
    const owner = await api.signedIn(world.workspaceId, "owner");
    expect((await invite("a@example.test", "owner", owner)).status).toBe(201);
  });

  test("needs a password of twelve characters, and is guessed at a limited rate", async () => {
    const { token } = (await invite("a@example.test", "viewer")).body;
    expect((await accept(token, "short")).body.errors?.[0]?.field).toBe("password");
    for (let n = 0; n < 25; n += 1) await accept("dfi_guess");
    expect((await accept(token)).status).toBe(429);
  });
});

describe("roles of members", () => {
  test("are changed by an admin, never above themselves", async () => {
    await api.signedIn(world.workspaceId, "owner", "owner@example.test");
    await api.signedIn(world.workspaceId, "viewer", "viewer@example.test");
    const admin = await api.signedIn(world.workspaceId, "admin", "admin@example.test");
    const viewer = await idOf("viewer@example.test");
    expect((await change(viewer, "developer", admin)).body).toMatchObject({ role: "developer" });
    expect((await change(viewer, "owner", admin)).status).toBe(403);
    expect((await change(await idOf("owner@example.test"), "viewer", admin)).status).toBe(403);
    expect((await remove(await idOf("owner@example.test"), admin)).status).toBe(403);
    expect((await change("someone", "viewer", admin)).status).toBe(404);
  });

  test("keep one owner", async () => {
    const owner = await api.signedIn(world.workspaceId, "owner", "owner@example.test");
    const id = await idOf("owner@example.test");
    expect((await change(id, "admin", owner)).status).toBe(409);
    expect((await remove(id, owner)).status).toBe(409);
    await api.signedIn(world.workspaceId, "owner", "second@example.test");
    expect((await change(id, "admin", owner)).status).toBe(200);
  });

  test("hold from the next request on", async () => {
    const as = await api.signedIn(world.workspaceId, "viewer", "viewer@example.test");
    await remove(await idOf("viewer@example.test"), world.keys.admin);
    expect((await api.ask("GET", `/api/v1/workspaces/${world.workspaceId}`, { as })).status).toBe(404);
  });
});
