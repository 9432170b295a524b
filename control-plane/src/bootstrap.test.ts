import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Me } from "@dflow/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { bootstrap, type FirstLogin } from "./bootstrap.ts";
import { cookieOf, startApi, type TestApi } from "./testing/api.ts";

let api: TestApi;
let file: string;
beforeEach(async () => {
  api = await startApi();
  file = join(api.dataDir, "admin.json");
});
afterEach(() => api.close());

const run = () => bootstrap(api.deps, "Admin@Example.test", file);
const signIn = (login: FirstLogin) =>
  api.send("POST", "/api/auth/sign-in/email", { body: { email: login.email, password: login.password } });

test("the first login works by password and by key, and owns a workspace", async () => {
  const login = await run();
  expect(login.password.length).toBeGreaterThanOrEqual(24);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(login);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const me = await api.ask<Me>("GET", "/api/v1/me", { as: cookieOf(await signIn(login)) });
  expect(me.body.workspaces).toEqual([{ id: login.workspaceId, name: "Main", role: "owner" }]);
  const byKey = await api.ask<Me>("GET", "/api/v1/me", { as: login.apiKey });
  expect(byKey.body.workspaces).toEqual([{ id: login.workspaceId, name: "Main", role: "admin" }]);
});

test("a second run changes nothing", async () => {
  const login = await run();
  const text = readFileSync(file, "utf8");
  expect(await run()).toEqual(login);
  expect(readFileSync(file, "utf8")).toBe(text);
  expect(await api.db.selectFrom("user").selectAll().execute()).toHaveLength(1);
  expect(await api.db.selectFrom("api_key").selectAll().execute()).toHaveLength(1);
});

test("a lost file is replaced by one that works, in the same workspace", async () => {
  const lost = await run();
  const session = cookieOf(await signIn(lost));
  rmSync(file);
  const found = await run();
  expect(found.workspaceId).toBe(lost.workspaceId);
  expect((await signIn(found)).status).toBe(200);
  expect((await signIn(lost)).status).toBe(401);
  expect((await api.ask("GET", "/api/v1/me", { as: session })).status).toBe(401);
});

test("a file that is something else is named, not quoted, and left alone; nothing is made", async () => {
  writeFileSync(file, "my notes");
  const refusal = await run().then(String, (error: Error) => error.message);
  expect(refusal).toContain("admin.json");
  expect(refusal).not.toContain("notes");
  expect(readFileSync(file, "utf8")).toBe("my notes");
  expect(await api.db.selectFrom("user").selectAll().execute()).toEqual([]);
  expect(existsSync(file)).toBe(true);
});
