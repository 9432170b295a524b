/** Looks at a control plane from outside, for diagnose.ts. Repairs nothing and makes nothing that is missing. */
import { existsSync, statfsSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { messageOf } from "@dflow/protocol";
import type { Config } from "../config.ts";
import { databaseFile, KEY_FILES, KEYS_FOLDER } from "../data-folder.ts";
import { databaseDamage } from "../db/copy.ts";
import { createDatabase, type Db } from "../db/database.ts";
import { isMigrated, unknownMigrations } from "../db/migrate.ts";
import type { Platform } from "../platform.ts";
import { type Keys, loadKeys } from "../secrets/key-files.ts";
import { createSeals, serviceSecretPlace } from "../secrets/seals.ts";
import type { Facts, FileFacts } from "./diagnose.ts";

const ANSWER_DEADLINE_MS = 3_000;

export async function gatherFacts(
  { clock, random }: Pick<Platform, "clock" | "random">,
  config: Config,
): Promise<Facts> {
  const { dataDir } = config;
  const keyFiles = KEY_FILES.map((name) => fileFacts(join(dataDir, KEYS_FOLDER, name)));
  const present = keyFiles.every(({ mode }) => mode !== undefined);
  // Only then: loading makes what is missing.
  const keys = present ? await readKeys(dataDir, random) : { problem: "a key file is missing" };
  const file = databaseFile(dataDir);
  const inDatabase = existsSync(file) ? await databaseFacts(file, "keys" in keys ? keys.keys : undefined) : NO_DATABASE;
  const space = existsSync(dataDir) ? statfsSync(dataDir) : undefined;
  return {
    now: clock.now(),
    dataDir,
    folders: [dataDir, join(dataDir, KEYS_FOLDER)].map(fileFacts),
    files: [fileFacts(file), ...keyFiles],
    keysProblem: "problem" in keys ? keys.problem : undefined,
    ...inDatabase,
    disk: {
      freeBytes: space === undefined ? 0 : space.bavail * space.bsize,
      databaseBytes: existsSync(file) ? statSync(file).size : 0,
    },
    ready: await askReady(config),
    webDir: config.webDir,
  };
}

function fileFacts(name: string): FileFacts {
  if (!existsSync(name)) return { name, mode: undefined, isOwn: false };
  const { mode, uid } = statSync(name);
  return { name, mode: mode & 0o777, isOwn: uid === userInfo().uid };
}

async function readKeys(dataDir: string, random: Platform["random"]): Promise<{ keys: Keys } | { problem: string }> {
  try {
    return { keys: await loadKeys(dataDir, random) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

type DatabaseFacts = Pick<Facts, "database" | "servers" | "newestRowAt">;
const NO_DATABASE: DatabaseFacts = { database: undefined, servers: [], newestRowAt: null };

async function databaseFacts(file: string, keys: Keys | undefined): Promise<DatabaseFacts> {
  const damage = databaseDamage(file);
  const asFound = { damage, migrated: false, unknownMigrations: [], sealedOpen: undefined };
  // Rows of a damaged file may be anything.
  if (damage.length > 0) return { ...NO_DATABASE, database: asFound };
  const db = createDatabase(file);
  try {
    const unknown = await unknownMigrations(db);
    if (!(await isMigrated(db))) return { ...NO_DATABASE, database: { ...asFound, unknownMigrations: unknown } };
    return {
      database: { damage, migrated: true, unknownMigrations: unknown, sealedOpen: await doesOpen(db, keys) },
      servers: await serverFacts(db),
      newestRowAt: await newestRowAt(db),
    };
  } finally {
    await db.destroy();
  }
}

/** Whether the newest stored secret opens; undefined when there is none, or no key to try. */
async function doesOpen(db: Db, keys: Keys | undefined): Promise<boolean | undefined> {
  const row = await db.selectFrom("secret").selectAll().orderBy("created_at", "desc").limit(1).executeTakeFirst();
  if (row === undefined || keys === undefined) return undefined;
  return createSeals(keys.sealing)
    .open(serviceSecretPlace(row.service_id, row.name), row.sealed)
    .then(
      () => true,
      () => false,
    );
}

async function serverFacts(db: Db): Promise<Facts["servers"]> {
  const rows = await db
    .selectFrom("server")
    .select(["name", "last_seen_at", "connected_at"])
    .where("deleted_at", "is", null)
    .orderBy("name")
    .execute();
  return rows.map((row) => ({ name: row.name, lastSeenAt: row.last_seen_at, connectedAt: row.connected_at }));
}

async function newestRowAt(db: Db): Promise<number | null> {
  const { at } = await db
    .selectFrom("audit")
    .select((row) => row.fn.max("at").as("at"))
    .executeTakeFirstOrThrow();
  return at;
}

async function askReady({ listen: { host, port } }: Config): Promise<Facts["ready"]> {
  // Who listens on every address is asked on this machine's own.
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const url = `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}/readyz`;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    return { url, status: answer.status, problem: undefined };
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return { url, status: undefined, problem: messageOf(cause) };
  }
}
