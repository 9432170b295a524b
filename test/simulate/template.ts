/** What every run begins with: a control plane with services, and an agent that has enrolled with it in earnest. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Hono } from "hono";
import { sql } from "kysely";
import { pino } from "pino";
import { type Enrolment, loadEnrolment } from "../../agent/src/config.ts";
import { enrol } from "../../agent/src/link/enrol.ts";
import { type AgentKey, loadKey } from "../../agent/src/link/signing.ts";
import { createClock, createFiles } from "../../agent/src/platform.ts";
import { createAgents } from "../../control-plane/src/agents/create-agents.ts";
import { newEnrolmentToken } from "../../control-plane/src/agents/enrolment-token.ts";
import { FACTS } from "../../control-plane/src/agents/testing/fake-agent.ts";
import { type Config, parseConfig } from "../../control-plane/src/config.ts";
import { createDatabase } from "../../control-plane/src/db/database.ts";
import { migrate } from "../../control-plane/src/db/migrate.ts";
import type { Deps } from "../../control-plane/src/deps.ts";
import { createEventHub } from "../../control-plane/src/events/hub.ts";
import type { ApiEnv } from "../../control-plane/src/http/context.ts";
import { loadKeys } from "../../control-plane/src/secrets/key-files.ts";
import { createSeals, serviceSecretPlace } from "../../control-plane/src/secrets/seals.ts";
import { createSigner } from "../../control-plane/src/secrets/signer.ts";
import { IMAGE } from "./engine.ts";
import { EPOCH_MS, seededRandom } from "./seeded-random.ts";
import { createWorld } from "./world.ts";

export const SERVICES = 3;
const URL_ = "http://127.0.0.1:3100";

export interface Template {
  workspaceId: string;
  serviceIds: string[];
  enrolment: Enrolment;
  key: AgentKey;
  config: Config;
  seals: Deps["seals"];
  signer: Deps["signer"];
  sessionSecret: string;
  /** A fresh copy of both data folders; `remove` it. */
  copy(): { database: string; agentDir: string; remove(): void };
  remove(): void;
}

/** In memory, where there is a folder that is: the real files' fsync would be most of a run. */
const ROOT = "/dev/shm";

/** Keys that are the same in each run, as JWK: what is signed with them is the same text each time. */
export interface FixedKeys {
  controlPlane: object;
  agent: object;
}

/** With keys of its own unless some are given. */
export async function createTemplate(fixed?: FixedKeys): Promise<Template> {
  const home = mkdtempSync(join(ROOT, "dflow-simulate-"));
  const [dataDir, agentDir] = [join(home, "control-plane"), join(home, "agent")];
  mkdirSync(dataDir);
  // The same ids in each process: a seed repeats a run only if they sort alike.
  const random = seededRandom(createWorld(0));
  const clock = { now: () => EPOCH_MS, monotonicMs: () => 0 };
  const timers = { after: () => () => undefined, every: () => () => undefined };
  const platform = { clock, random, timers };
  const file = join(dataDir, "control-plane.sqlite");
  const db = createDatabase(file);
  await migrate(db);
  if (fixed !== undefined) {
    mkdirSync(join(dataDir, "keys"));
    createFiles().writeDurably(join(dataDir, "keys", "signing.json"), JSON.stringify(fixed.controlPlane), 0o600);
    createFiles().makeFolder(agentDir, 0o700);
    createFiles().writeDurably(join(agentDir, "key.json"), JSON.stringify(fixed.agent), 0o600);
  }
  const keys = await loadKeys(dataDir, random);
  const mapFile = join(home, "images.json");
  createFiles().writeDurably(mapFile, JSON.stringify(IMAGE_MAP), 0o600);
  const config = parseConfig({ publicUrl: URL_, imageMap: mapFile, logLevel: "silent" }, { dataDir });
  const [seals, signer] = [createSeals(keys.sealing), await createSigner(keys)];
  const common = { config, seals, signer, sessionSecret: keys.sessionSecret };
  const deps: Deps = { ...platform, ...common, db, hub: createEventHub("template"), log: pino({ level: "silent" }) };

  const [workspaceId, applicationId, environmentId] = [random.id(), random.id(), random.id()];
  const owned = { workspace_id: workspaceId, created_at: clock.now(), deleted_at: null };
  await db.insertInto("workspace").values({ id: workspaceId, name: "Simulated", created_at: clock.now() }).execute();
  const token = newEnrolmentToken({
    kind: "join",
    id: random.id(),
    secret: random.bytes(32),
    controlPlaneId: signer.controlPlaneId,
    now: clock.now(),
  });
  await db
    .insertInto("enrolment_token")
    .values({
      ...token.row,
      workspace_id: workspaceId,
      server_name: "simulated",
      created_by: null,
      used_at: null,
      used_by_kid: null,
      server_id: null,
    })
    .execute();
  const routes = new Hono<ApiEnv>();
  routes.use(async (c, next) => {
    c.set("requestId", "template");
    c.set("clientAddress", "127.0.0.1");
    await next();
  });
  routes.route("/", createAgents(deps).routes);
  const files = createFiles();
  await enrol(
    {
      clock: createClock(),
      files,
      fetch: async (input, init) => routes.request(new Request(input as string, init)),
      facts: async () => FACTS,
    },
    { url: URL_, dataDir: agentDir, tokenGiven: true, readToken: async () => token.text },
  );
  const enrolment = loadEnrolment(files, agentDir);
  const key = await loadKey(files, join(agentDir, "key.json"));
  if (enrolment === undefined || key === undefined) throw new Error("the template's agent is not enrolled");

  const serverId = enrolment.agentId;
  await db
    .insertInto("application")
    .values({ id: applicationId, name: "app", ...owned })
    .execute();
  await db
    .insertInto("environment")
    .values({ id: environmentId, application_id: applicationId, server_id: serverId, name: "production", ...owned })
    .execute();
  const serviceIds = Array.from({ length: SERVICES }, () => random.id());
  for (const [n, id] of serviceIds.entries()) {
    await db
      .insertInto("service")
      .values({
        ...{ id, environment_id: environmentId, server_id: serverId, name: `db-${n}`, type: "database" },
        ...{ engine: "postgres", version: "18", volume_id: random.id(), memory_bytes: null, desired: "stopped" },
        ...{ observation: null, observed_at: null, deployed_at: null, ...owned },
      })
      .execute();
    const sealed = await seals.seal(serviceSecretPlace(id, "password"), `secret of ${n}`);
    await db
      .insertInto("secret")
      .values({ service_id: id, name: "password", sealed, created_at: clock.now() })
      .execute();
  }
  await sql.raw(WITNESS_TABLE).execute(db);
  await sql.raw(WITNESS).execute(db);
  await sql.raw("PRAGMA wal_checkpoint(TRUNCATE)").execute(db);
  await db.destroy();

  let copies = 0;
  return {
    ...{ workspaceId, serviceIds, enrolment, key, ...common },
    copy() {
      const folder = join(home, `run-${copies++}`);
      mkdirSync(folder);
      const database = join(folder, "control-plane.sqlite");
      copyFileSync(file, database);
      cpSync(agentDir, join(folder, "agent"), { recursive: true });
      return {
        database,
        agentDir: join(folder, "agent"),
        remove: () => rmSync(folder, { recursive: true, force: true }),
      };
    },
    remove: () => rmSync(home, { recursive: true, force: true }),
  };
}

const IMAGE_MAP = { postgres: { "18": { image: IMAGE } } };

/** SQLite itself watches over what may never happen: no code of ours can forget to tell. */
const WITNESS_TABLE = "CREATE TABLE witness (what TEXT NOT NULL)";
const WITNESS = `
  CREATE TRIGGER ended_is_ended BEFORE UPDATE OF state ON operation
  WHEN old.state IN ('succeeded', 'failed', 'cancelled', 'expired', 'unknown') AND new.state <> old.state
  BEGIN INSERT INTO witness VALUES (old.kind || ' went from ' || old.state || ' to ' || new.state); END`;
