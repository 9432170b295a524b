/**
 * The data folder of `npm run bench:link`: a control plane's database with servers that are enrolled, each with one running
 * database. Written by the product's own functions and through its schema, not by enrolment: that allows each address 120
 * requests a minute.
 */
import { generateKeyPairSync } from "node:crypto";
import { mkdirSync } from "node:fs";
import { type AgentKey, loadKey } from "../../agent/src/link/signing.ts";
import { createFiles } from "../../agent/src/platform.ts";
import { FACTS } from "../../control-plane/src/agents/testing/fake-agent.ts";
import { addApiKey } from "../../control-plane/src/api-keys/service.ts";
import { databaseFile } from "../../control-plane/src/data-folder.ts";
import { createDatabase, type Trx } from "../../control-plane/src/db/database.ts";
import { migrate } from "../../control-plane/src/db/migrate.ts";
import { createPlatform } from "../../control-plane/src/platform.ts";
import { loadKeys } from "../../control-plane/src/secrets/key-files.ts";
import { createSeals, serviceSecretPlace } from "../../control-plane/src/secrets/seals.ts";
import { createSigner } from "../../control-plane/src/secrets/signer.ts";

export interface EnrolledAgent {
  serverId: string;
  serviceId: string;
  key: AgentKey;
}

export interface Template {
  controlPlaneId: string;
  agents: EnrolledAgent[];
  /** So many that none of them asks for more than the API gives a key. */
  apiKeys: string[];
}

const API_KEYS = 20;
/** Values that one statement may bind, with room. */
const ROWS_AT_ONCE = 500;
const RUNNING = { state: "running", evidence: "container healthy", volume: "present" } as const;

export async function writeTemplate(dataDir: string, count: number): Promise<Template> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const { clock, random } = createPlatform();
  const db = createDatabase(databaseFile(dataDir));
  try {
    await migrate(db);
    const keys = await loadKeys(dataDir, random);
    const seals = createSeals(keys.sealing);
    const { controlPlaneId } = await createSigner(keys);
    const [workspaceId, applicationId] = [random.id(), random.id()];
    const now = clock.now();
    const made = await Promise.all(
      Array.from({ length: count }, async () => {
        const serviceId = random.id();
        return {
          ...{ serverId: random.id(), environmentId: random.id(), serviceId, ...(await newKey()) },
          sealed: await seals.seal(serviceSecretPlace(serviceId, "password"), random.bytes(24).toString("base64url")),
        };
      }),
    );
    const owned = { workspace_id: workspaceId, created_at: now, deleted_at: null };
    const apiKeys = await db.transaction().execute(async (trx) => {
      await trx.insertInto("workspace").values({ id: workspaceId, name: "Bench", created_at: now }).execute();
      await trx
        .insertInto("application")
        .values({ id: applicationId, name: "bench", ...owned })
        .execute();
      for (let at = 0; at < made.length; at += ROWS_AT_ONCE) {
        await writeServers(trx, applicationId, owned, made.slice(at, at + ROWS_AT_ONCE), at, random.id);
      }
      const texts: string[] = [];
      for (let n = 0; n < API_KEYS; n += 1) {
        const request = { workspaceId, name: `bench ${n}`, role: "admin", expiresInDays: 1 } as const;
        texts.push((await addApiKey({ clock, random }, trx, { ...request, actor: { kind: "system" } })).key);
      }
      return texts;
    });
    return {
      controlPlaneId,
      apiKeys,
      agents: made.map(({ serverId, serviceId, key }) => ({ serverId, serviceId, key })),
    };
  } finally {
    await db.destroy();
  }
}

interface Made extends EnrolledAgent {
  environmentId: string;
  jwk: { kty: "OKP"; crv: "Ed25519"; x: string };
  sealed: string;
}

async function writeServers(
  trx: Trx,
  applicationId: string,
  owned: { workspace_id: string; created_at: number; deleted_at: null },
  made: Made[],
  first: number,
  newId: () => string,
): Promise<void> {
  await trx
    .insertInto("server")
    .values(
      made.map(({ serverId, key, jwk }, n) => ({
        ...{
          id: serverId,
          name: `server-${first + n}`,
          agent_kid: key.kid,
          agent_jwk: JSON.stringify(jwk),
          session: 0,
        },
        ...{ facts: JSON.stringify(FACTS), public_host: null, peer_address: "127.0.0.1" },
        ...{ connected_at: null, last_seen_at: null, ...owned },
      })),
    )
    .execute();
  await trx
    .insertInto("environment")
    .values(
      made.map(({ environmentId, serverId }, n) => ({
        ...{
          id: environmentId,
          application_id: applicationId,
          server_id: serverId,
          name: `env-${first + n}`,
          ...owned,
        },
      })),
    )
    .execute();
  await trx
    .insertInto("service")
    .values(
      made.map(({ serviceId, environmentId, serverId }) => ({
        ...{ id: serviceId, environment_id: environmentId, server_id: serverId, name: "db", type: "database" as const },
        ...{ engine: "postgres", version: "18", volume_id: newId(), memory_bytes: null, desired: "running" as const },
        ...{ observed_state: RUNNING.state, observation: JSON.stringify(RUNNING), observed_at: owned.created_at },
        ...{ deployed_at: owned.created_at, ...owned },
      })),
    )
    .execute();
  await trx
    .insertInto("secret")
    .values(
      made.map(({ serviceId, sealed }) => ({
        ...{ service_id: serviceId, name: "password", sealed, created_at: owned.created_at },
      })),
    )
    .execute();
}

async function newKey(): Promise<Pick<Made, "key" | "jwk">> {
  const whole = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const key = await loadKey({ ...createFiles(), readText: () => JSON.stringify(whole) }, "a key in memory");
  if (key === undefined || whole.x === undefined) throw new Error("no key was made");
  return { key, jwk: { kty: "OKP", crv: "Ed25519", x: whole.x } };
}
