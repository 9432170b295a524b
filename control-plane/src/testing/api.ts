/** The whole HTTP side on a real SQLite in a temporary folder, asked without a port. */
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Operation, Problem, Role, Service } from "@dflow/protocol";
import { hashPassword } from "better-auth/crypto";
import { pino } from "pino";
import { addApiKey } from "../api-keys/service.ts";
import { type App, createApp } from "../app.ts";
import { createPeople, type People } from "../auth/people.ts";
import { type ConfigSource, parseConfig } from "../config.ts";
import { createDatabase, type Db } from "../db/database.ts";
import { migrate } from "../db/migrate.ts";
import type { Deps } from "../deps.ts";
import { createEventHub } from "../events/hub.ts";
import { endOperation, publishOperationChange } from "../operations/results.ts";
import { loadKeys } from "../secrets/key-files.ts";
import { createSeals } from "../secrets/seals.ts";
import { createSigner } from "../secrets/signer.ts";
import { createFakeAgents, type FakeAgents } from "./fake-agents.ts";
import { createTestPlatform, type TestPlatform } from "./platform.ts";

export interface Answer<T> {
  status: number;
  body: T;
  headers: Headers;
}

export interface Ask {
  /** An API key, or a cookie line. */
  as?: string | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  address?: string;
}

/** A workspace with a server that is online, an application and an environment. */
export interface World {
  workspaceId: string;
  serverId: string;
  applicationId: string;
  environmentId: string;
  keys: Record<Exclude<Role, "owner">, string>;
}

export interface TestApi {
  app: App;
  deps: Deps;
  db: Db;
  people: People;
  agents: FakeAgents;
  platform: TestPlatform;
  dataDir: string;
  send(method: string, path: string, ask?: Ask): Promise<Response>;
  ask<T = Problem>(method: string, path: string, ask?: Ask): Promise<Answer<T>>;
  world(name?: string): Promise<World>;
  service(world: World, name?: string): Promise<Service>;
  /** What the agent would have reported after this operation. */
  finish(operation: { id: string }, state: "succeeded" | "failed"): Promise<void>;
  observe(serviceId: string, state: string, volume: "present" | "absent" | "unknown"): Promise<void>;
  /** A service whose first deploy has succeeded and which runs. */
  deployed(world: World, name?: string): Promise<Service>;
  /** Adds a person to a workspace and returns their cookie. */
  signedIn(workspaceId: string, role: Role, email?: string): Promise<string>;
  close(): Promise<void>;
}

export const PASSWORD = "correct horse battery staple";
/** Of PASSWORD: hashing is slow on purpose, and a file of tests needs it often. */
const passwordHash = hashPassword(PASSWORD);

export async function startApi(raw: unknown = {}, source: Partial<ConfigSource> = {}): Promise<TestApi> {
  const dataDir = mkdtempSync(join(tmpdir(), "dflow-api-"));
  const platform = createTestPlatform();
  const keys = await loadKeys(dataDir, platform.random);
  const db = createDatabase(join(dataDir, "control-plane.sqlite"));
  await migrate(db);
  const config = parseConfig(raw, { dataDir, ...source });
  const deps: Deps = {
    ...platform,
    // Time stands still until a test moves it: a refusal that waits would not come.
    config: { ...config, limits: { ...config.limits, refusalDelayMs: 0 } },
    db,
    hub: createEventHub("test"),
    log: pino({ level: "silent" }),
    seals: createSeals(keys.sealing),
    signer: await createSigner(keys),
    sessionSecret: keys.sessionSecret,
  };
  const agents = createFakeAgents();
  const people = createPeople(deps);
  const app = await createApp(deps, agents);
  const origin = deps.config.publicUrl;

  const send: TestApi["send"] = async (method, path, { as, body, headers = {}, address = "127.0.0.1" } = {}) => {
    const isKey = as?.startsWith("dfk_") === true;
    const sent: Record<string, string> = {
      host: new URL(origin).host,
      ...(as === undefined ? {} : isKey ? { authorization: `Bearer ${as}` } : { cookie: as, origin }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    };
    const request = new Request(new URL(path, "http://localhost"), {
      method,
      headers: sent,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const incoming = { socket: { remoteAddress: address }, headers: sent } as unknown as IncomingMessage;
    return app.fetch(request, { incoming });
  };
  const ask: TestApi["ask"] = async <T>(method: string, path: string, options?: Ask) => {
    const response = await send(method, path, options);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: (text === "" ? {} : JSON.parse(text)) as T };
  };
  const make = async <T>(path: string, as: string, body?: unknown): Promise<T> => {
    const answer = await ask<T>("POST", path, { as, body });
    if (answer.status >= 300) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };

  const service: TestApi["service"] = (world, name = "orders") =>
    make<Service>(`/api/v1/environments/${world.environmentId}/services`, world.keys.admin, {
      type: "database",
      engine: "postgres",
      name,
    });
  const finish: TestApi["finish"] = async ({ id }, state) => {
    const failure =
      state === "failed" ? { code: "not_ready" as const, message: "It did not become ready." } : undefined;
    const change = await db
      .transaction()
      .execute((trx) =>
        endOperation(trx, id, { state, failure, startedAt: platform.clock.now(), endedAt: platform.clock.now() }),
      );
    if (change !== undefined) publishOperationChange(deps.hub, change);
  };
  const observe: TestApi["observe"] = async (serviceId, state, volume) => {
    const observation = JSON.stringify({ state, volume, evidence: `seen ${state}` });
    await db
      .updateTable("service")
      .set({ observed_state: state as "running", observation, observed_at: platform.clock.now() })
      .where("id", "=", serviceId)
      .execute();
  };

  return {
    app,
    deps,
    db,
    people,
    agents,
    platform,
    dataDir,
    send,
    ask,
    service,
    finish,
    observe,
    async world(name = "main") {
      const workspaceId = platform.random.id();
      await db.insertInto("workspace").values({ id: workspaceId, name, created_at: 1 }).execute();
      const key = async (role: "admin" | "developer" | "viewer") => {
        const request = { workspaceId, name: role, role, expiresInDays: 30, actor: { kind: "system" as const } };
        return (await db.transaction().execute((trx) => addApiKey(platform, trx, request))).key;
      };
      const keys = { admin: await key("admin"), developer: await key("developer"), viewer: await key("viewer") };
      const serverId = await insertServer(db, platform, workspaceId, `server of ${name}`);
      agents.setLink(serverId, { state: "online", lastSeenAt: platform.clock.now(), dockerOk: true });
      const application = await make<{ id: string }>(`/api/v1/workspaces/${workspaceId}/applications`, keys.admin, {
        name: "Shop",
      });
      const environment = await make<{ id: string }>(
        `/api/v1/applications/${application.id}/environments`,
        keys.admin,
        { name: "production", serverId },
      );
      return { workspaceId, serverId, applicationId: application.id, environmentId: environment.id, keys };
    },
    async deployed(world, name = "orders") {
      const { id } = await service(world, name);
      await finish(await make<Operation>(`/api/v1/services/${id}/deploy`, world.keys.admin), "succeeded");
      await observe(id, "running", "present");
      return (await ask<Service>("GET", `/api/v1/services/${id}`, { as: world.keys.admin })).body;
    },
    async signedIn(workspaceId, role, email = `${role}@example.test`) {
      const hash = await passwordHash;
      await db.transaction().execute(async (trx) => {
        const userId = await people.add(trx, { email, name: role, passwordHash: hash });
        await trx
          .insertInto("member")
          .values({ workspace_id: workspaceId, user_id: userId, role, created_at: 1 })
          .execute();
      });
      const answer = await send("POST", "/api/auth/sign-in/email", { body: { email, password: PASSWORD } });
      if (answer.status !== 200) throw new Error(`sign in: ${answer.status} ${await answer.text()}`);
      return cookieOf(answer);
    },
    async close() {
      await app.stop();
      await db.destroy();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The Cookie line that a browser would send after this answer, to everything but the sign-in itself. */
export function cookieOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .filter((line) => !line.includes("Path=/api/auth/sign-in"))
    .map((line) => line.split(";")[0])
    .join("; ");
}

export async function insertServer(db: Db, { random }: TestPlatform, workspaceId: string, name: string) {
  const id = random.id();
  await db
    .insertInto("server")
    .values({
      id,
      workspace_id: workspaceId,
      name,
      agent_kid: `kid-${id}`,
      agent_jwk: "{}",
      session: 1,
      facts: null,
      public_host: null,
      peer_address: "192.0.2.7",
      connected_at: null,
      last_seen_at: null,
      created_at: 1,
      deleted_at: null,
    })
    .execute();
  return id;
}
