import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createDatabase } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import { hashSessions } from "../db/migrations/0004-hash-sessions.ts";
import { cookieOf, PASSWORD, startApi, type TestApi, type World } from "../testing/api.ts";
import { secretHash } from "./api-key.ts";

let api: TestApi;
let world: World;
let as: string;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
  as = await api.signedIn(world.workspaceId, "developer", "dev@example.test");
});
afterEach(() => api.close());

const me = async (cookie = as) => (await api.ask("GET", "/api/v1/me", { as: cookie })).status;
const tokenOf = (cookie: string) => /=([^.;]+)\./.exec(decodeURIComponent(cookie))?.[1] ?? "";
const sessions = () => api.db.selectFrom("session").selectAll().execute();
/** The database as somebody who steals it has it. */
const bytes = () =>
  ["", "-wal"].map((suffix) => readFileSync(join(api.dataDir, `control-plane.sqlite${suffix}`), "latin1")).join("");

test("a session is kept by the hash of its token, and the token stands nowhere in the files", async () => {
  expect(tokenOf(as)).toHaveLength(32);
  expect((await sessions()).map(({ token }) => token)).toEqual([secretHash(tokenOf(as))]);
  expect(await me()).toBe(200);
  expect(bytes()).not.toContain(tokenOf(as));
  expect(bytes()).toContain(secretHash(tokenOf(as)));
});

test("what stands in the database opens nothing: neither as a token, nor with a good signature of it", async () => {
  const [row] = await sessions();
  const signature = createHmac("sha256", api.deps.sessionSecret)
    .update(row?.token ?? "")
    .digest("base64");
  const forged = `${as.split("=")[0]}=${encodeURIComponent(`${row?.token}.${signature}`)}`;
  expect(await me(forged)).toBe(401);
  // The forgery is a good one: signed the same way, the real token is let in.
  const good = createHmac("sha256", api.deps.sessionSecret).update(tokenOf(as)).digest("base64");
  expect(await me(`${as.split("=")[0]}=${encodeURIComponent(`${tokenOf(as)}.${good}`)}`)).toBe(200);
});

test("a session that is renewed keeps its token, and its cookie goes on working", async () => {
  const old = new Date(Date.now() + 5 * 24 * 3600_000).toISOString();
  await api.db.updateTable("session").set({ expiresAt: old }).execute();
  const renewed = await api.send("GET", "/api/v1/me", { as });
  const cookie = cookieOf(renewed);
  expect(tokenOf(cookie)).toBe(tokenOf(as));
  const [row] = await sessions();
  expect(Date.parse(row?.expiresAt ?? "")).toBeGreaterThan(Date.parse(old));
  expect([await me(cookie), await me()]).toEqual([200, 200]);
  expect(await sessions()).toHaveLength(1);
});

test("sign-out ends this session and no other of the same person", async () => {
  const body = { email: "dev@example.test", password: PASSWORD };
  const other = cookieOf(await api.send("POST", "/api/auth/sign-in/email", { body }));
  expect((await api.send("POST", "/api/auth/sign-out", { as })).status).toBe(204);
  expect([await me(), await me(other)]).toEqual([401, 200]);
  expect((await sessions()).map(({ token }) => token)).toEqual([secretHash(tokenOf(other))]);
});

test("a session that has ended is removed when its cookie comes again", async () => {
  await api.db
    .updateTable("session")
    .set({ expiresAt: new Date(Date.now() - 1).toISOString() })
    .execute();
  expect(await me()).toBe(401);
  expect(await sessions()).toEqual([]);
});

test("the migration hashes the sessions that there are, and nobody has to sign in again", async () => {
  await api.db
    .updateTable("session")
    .set({ token: tokenOf(as) })
    .execute();
  expect(await me()).toBe(401);
  await api.db.transaction().execute((trx) => hashSessions.up(trx));
  expect(await me()).toBe(200);
});

test("a database without sessions is migrated too", async () => {
  const db = createDatabase(":memory:");
  await migrate(db);
  expect(await db.selectFrom("session").selectAll().execute()).toEqual([]);
  await db.destroy();
});
