/** dflow-admin as processes beside a running control plane. */
import { type ChildProcess, spawn } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createDatabase } from "../db/database.ts";
import { insertServer } from "../testing/api.ts";
import { createTestPlatform } from "../testing/platform.ts";
import { tempFolder } from "../testing/temp-folder.ts";
import { GENERATIONS_AHEAD } from "./go-ahead.ts";

const MAIN = join(import.meta.dirname, "../main.ts");
const EMAIL = "a@example.test";

interface Login {
  password: string;
  apiKey: string;
  workspaceId: string;
}

const children: ChildProcess[] = [];
let home: string;
let dataDir: string;
let url: string;
let login: Login;
let serviceId: string;

interface Ended {
  code: number | null;
  out: string;
  error: string;
}

function spawned(args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const ended = { out: "", error: "" };
  child.stdout?.on("data", (data: Buffer) => {
    ended.out += data.toString();
  });
  child.stderr?.on("data", (data: Buffer) => {
    ended.error += data.toString();
  });
  return { child, ended: new Promise((done) => child.once("close", (code) => done({ code, ...ended }))) };
}
const run = (...args: string[]) => spawned(args).ended;
const admin = (...args: string[]) => run("admin", ...args);

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** A control plane on this folder and a port of its own; resolves when it is ready. */
async function serve(folder: string): Promise<{ url: string; config: string; stop(): Promise<void> }> {
  const port = await freePort();
  const config = join(home, `${port}.json`);
  writeFileSync(config, JSON.stringify({ listen: { port }, webDir: "web" }));
  const { child, ended } = spawned(["serve", "--data-dir", folder, "--config", config]);
  const address = `http://127.0.0.1:${port}`;
  const isReady = () =>
    fetch(`${address}/readyz`).then(
      (answer) => answer.ok,
      () => false,
    );
  const giveUpAt = performance.now() + 15_000;
  while (!(await isReady())) {
    if (performance.now() > giveUpAt) throw new Error(`no control plane answers at ${address}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    url: address,
    config,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function api<T>(at: string, key: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(`${at}/api/v1${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}
const signIn = async (at: string, password: string) =>
  (
    await fetch(`${at}/api/auth/sign-in/email`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: EMAIL, password }),
    })
  ).status;

let running: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "dflow-admin-"));
  dataDir = join(home, "data");
  mkdirSync(join(home, "web"));
  writeFileSync(join(home, "web", "index.html"), "<!doctype html>");
  const file = join(home, "admin.json");
  expect((await run("bootstrap", "--data-dir", dataDir, "--email", EMAIL, "--out", file)).code).toBe(0);
  login = JSON.parse(readFileSync(file, "utf8")) as Login;
  running = await serve(dataDir);
  url = running.url;
  const db = createDatabase(join(dataDir, "control-plane.sqlite"));
  const serverId = await insertServer(db, createTestPlatform(), login.workspaceId, "one");
  const { apiKey, workspaceId } = login;
  const shop = await api<{ id: string }>(url, apiKey, `/workspaces/${workspaceId}/applications`, { name: "Shop" });
  const path = `/applications/${shop.id}/environments`;
  const environment = await api<{ id: string }>(url, apiKey, path, { name: "production", serverId });
  const service = { type: "database", engine: "postgres", name: "orders" };
  serviceId = (await api<{ id: string }>(url, apiKey, `/environments/${environment.id}/services`, service)).id;
  await db.updateTable("service").set({ deployed_at: 1 }).where("id", "=", serviceId).execute();
  await db.destroy();
}, 60_000);
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

describe("arguments", () => {
  test("that are wrong end with 2 and the usage, and a folder without a control plane is left as it was", async () => {
    const wrong = [[], ["fly"], ["backup"], ["doctor", "--colour", "blue"], ["reset-password", "--email", EMAIL]];
    for (const args of wrong) {
      const { code, error } = await admin(...args, ...(args.length === 0 ? [] : ["--data-dir", dataDir]));
      expect([args, code, error.includes("Usage:")]).toEqual([args, 2, true]);
    }
    const empty = tempFolder("empty");
    const { code, error } = await admin("backup", "--data-dir", empty, "--out", join(home, "no-backup"));
    expect([code, error.includes("holds no control plane"), readdirSync(empty)]).toEqual([1, true, []]);
  });
});

describe("create-key", () => {
  test("writes a key that works to a file that only its owner can read, and shows it nowhere", async () => {
    const file = join(home, "key");
    const args = ["--data-dir", dataDir, "--workspace", "Main", "--name", "Robot", "--role", "viewer", "--out", file];
    const { code, out, error } = await admin("create-key", ...args);
    expect([code, error, statSync(file).mode & 0o777]).toEqual([0, "", 0o600]);
    const key = readFileSync(file, "utf8").trim();
    expect(out).not.toContain(key);
    expect(await api(url, key, "/me")).toMatchObject({ workspaces: [{ id: login.workspaceId, role: "viewer" }] });

    const again = await admin("create-key", ...args);
    expect([again.code, again.error.includes("is there already")]).toEqual([1, true]);
    expect(readFileSync(file, "utf8").trim()).toBe(key);
  });

  test("refuses an owner's key and an unknown workspace, and names those that there are", async () => {
    const base = ["--data-dir", dataDir, "--name", "x", "--out", join(home, "never")];
    const owner = await admin("create-key", ...base, "--workspace", "Main", "--role", "owner");
    const unknown = await admin("create-key", ...base, "--workspace", "Other", "--role", "admin");
    expect([owner.code, unknown.code]).toEqual([1, 1]);
    expect(unknown.error).toContain(`Main (${login.workspaceId})`);
    expect(readdirSync(home)).not.toContain("never");
  });
});

describe("reset-password", () => {
  test("gives a password that works at once and ends the old one, with its sessions", async () => {
    expect(await signIn(url, login.password)).toBe(200);
    const file = join(home, "password");
    const { code, out } = await admin(
      "reset-password",
      "--data-dir",
      dataDir,
      "--email",
      "A@Example.test",
      "--out",
      file,
    );
    expect([code, statSync(file).mode & 0o777]).toEqual([0, 0o600]);
    const password = readFileSync(file, "utf8").trim();
    expect(out).toContain("1 of their sessions ended");
    expect(out).not.toContain(password);
    expect([await signIn(url, login.password), await signIn(url, password)]).toEqual([401, 200]);
    login.password = password;
  });

  test("asks twice at a terminal and shows nothing of what is typed", async () => {
    const typed = "typed at the terminal";
    const command = [process.execPath, MAIN, "admin", "reset-password", "--data-dir", dataDir, "--email", EMAIL];
    const child = spawn("script", ["-qec", command.join(" "), "/dev/null"], { stdio: ["pipe", "pipe", "pipe"] });
    children.push(child);
    let screen = "";
    child.stdout.on("data", (data: Buffer) => {
      screen += data.toString();
    });
    const code = new Promise((done) => child.once("close", done));
    await expect.poll(() => screen, { timeout: 10_000 }).toContain("New password: ");
    child.stdin.write(`${typed}\r`);
    await expect.poll(() => screen, { timeout: 10_000 }).toContain("The same again: ");
    child.stdin.write(`${typed}\r`);
    expect(await code).toBe(0);
    expect(screen).not.toContain(typed);
    expect(await signIn(url, typed)).toBe(200);
    login.password = typed;
  });

  test("of an unknown address changes nothing and leaves no file", async () => {
    const file = join(home, "nobody");
    const { code, error } = await admin("reset-password", "--data-dir", dataDir, "--email", "b@x.test", "--out", file);
    expect([code, error.includes("no user with the address b@x.test")]).toEqual([1, true]);
    expect(readdirSync(home)).not.toContain("nobody");
  });
});

describe("backup and restore", () => {
  let folder: string;
  beforeAll(async () => {
    folder = join(home, "backup");
    const { code, error } = await admin("backup", "--data-dir", dataDir, "--out", folder);
    expect([code, error]).toEqual([0, ""]);
  });

  test("a backup of a running control plane is readable by its owner only", () => {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true });
    const modes = files.map(({ parentPath, name }) => statSync(join(parentPath, name)).mode & 0o077);
    expect(modes.every((mode) => mode === 0)).toBe(true);
    expect(
      files
        .filter((file) => file.isFile())
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["control-plane.sqlite", "manifest.json", "sealing.json", "session.json", "signing.json"]);
  });

  test("a restore in another folder and on another port opens credentials, takes keys and passwords", async () => {
    const elsewhere = join(home, "elsewhere");
    const restored = await admin("restore", "--from", folder, "--data-dir", elsewhere);
    expect([restored.code, restored.error]).toEqual([0, ""]);
    const second = await serve(elsewhere);
    expect(second.url).not.toBe(url);
    const path = `/services/${serviceId}/credentials`;
    expect(await api(second.url, login.apiKey, path)).toEqual(await api(url, login.apiKey, path));
    expect(await signIn(second.url, login.password)).toBe(200);
    const doctor = await admin("doctor", "--data-dir", elsewhere, "--config", second.config);
    expect(doctor.out).toContain("a stored password opens");
    await second.stop();
  });

  test("a restore goes on ahead of what agents remember of the time after the backup, and is in the audit", async () => {
    const target = join(home, "ahead");
    expect((await admin("restore", "--from", folder, "--data-dir", target)).code).toBe(0);
    const db = createDatabase(join(target, "control-plane.sqlite"));
    const service = await db.selectFrom("service").select("generation").executeTakeFirstOrThrow();
    const audit = await db
      .selectFrom("audit")
      .select("details")
      .where("action", "=", "control_plane.restore")
      .execute();
    await db.destroy();
    expect(service.generation).toBe(GENERATIONS_AHEAD);
    expect(audit).toHaveLength(1);
  });

  test("a restore refuses a folder that a control plane holds, with --replace too", async () => {
    const { code, error } = await admin("restore", "--from", folder, "--data-dir", dataDir, "--replace");
    expect([code, error.includes("in use by another control plane")]).toEqual([1, true]);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  test("a restore over a database needs --replace, and keeps the old one beside", async () => {
    const target = join(home, "taken");
    expect((await run("bootstrap", "--data-dir", target, "--email", "old@x.test", "--out", join(home, "o"))).code).toBe(
      0,
    );
    const before = readFileSync(join(target, "keys", "signing.json"), "utf8");
    const refused = await admin("restore", "--from", folder, "--data-dir", target);
    expect([refused.code, refused.error.includes("--replace")]).toEqual([1, true]);
    expect(readFileSync(join(target, "keys", "signing.json"), "utf8")).toBe(before);

    mkdirSync(join(target, "restore-left-by-a-kill"));
    expect((await admin("restore", "--from", folder, "--data-dir", target, "--replace")).code).toBe(0);
    const kept = readdirSync(target).find((name) => name.startsWith("replaced-")) ?? "";
    expect(readFileSync(join(target, kept, "keys", "signing.json"), "utf8")).toBe(before);
    const old = createDatabase(join(target, kept, "control-plane.sqlite"));
    expect(await old.selectFrom("user").select("email").execute()).toEqual([{ email: "old@x.test" }]);
    await old.destroy();
    expect(readdirSync(target).filter((name) => name.startsWith("restore-"))).toEqual([]);
  });

  test("a restore refuses a backup that was changed or cut, and makes nothing", async () => {
    const copy = join(home, "changed");
    expect((await admin("restore", "--from", folder, "--data-dir", join(home, "fine"))).code).toBe(0);
    expect((await admin("backup", "--data-dir", dataDir, "--out", copy)).code).toBe(0);
    appendFileSync(join(copy, "control-plane.sqlite"), "x");
    const changed = await admin("restore", "--from", copy, "--data-dir", join(home, "nothing"));
    expect([changed.code, changed.error.includes("control-plane.sqlite is not the file")]).toEqual([1, true]);
    const none = await admin("restore", "--from", home, "--data-dir", join(home, "nothing"));
    expect([none.code, none.error.includes("is not a backup")]).toEqual([1, true]);
    expect(readdirSync(home)).not.toContain("nothing");
  });

  test("a backup never writes into a folder that holds something", async () => {
    const { code, error } = await admin("backup", "--data-dir", dataDir, "--out", home);
    expect([code, error.includes("not empty")]).toEqual([1, true]);
  });
});

describe("doctor", () => {
  test("finds a control plane that runs in order, except for the server that never connected", async () => {
    const { code, out } = await admin("doctor", "--data-dir", dataDir, "--config", running.config);
    expect(out).toContain("warning server one: was enrolled and never connected");
    expect([code, out.includes("0 wrong, 1 to look at")]).toEqual([0, true]);
  });

  test("says what is wrong and what to do, and ends with 1", async () => {
    const target = join(home, "sick");
    expect((await admin("restore", "--from", join(home, "backup"), "--data-dir", target)).code).toBe(0);
    chmodSync(join(target, "keys", "sealing.json"), 0o644);
    rmSync(join(target, "keys", "session.json"));
    const port = await freePort();
    writeFileSync(join(home, "sick.json"), JSON.stringify({ listen: { port } }));
    const { code, out } = await admin("doctor", "--data-dir", target, "--config", join(home, "sick.json"));
    expect(code).toBe(1);
    expect(out).toContain(`→ chmod 600 ${join(target, "keys", "sealing.json")}`);
    expect(out).toContain("session.json: is missing");
    expect(out).toContain("wrong   control plane: does not answer");
    expect(readdirSync(join(target, "keys"))).not.toContain("session.json");
  });
});
