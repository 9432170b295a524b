/** Brings the file to the newest schema: numbered migrations, each run once, all or nothing. */
import { messageOf } from "@dflow/protocol";
import { sql } from "kysely";
import { type Migration, Migrator } from "kysely/migration";
import type { Db } from "./database.ts";
import { first } from "./migrations/0001-first.ts";
import { retention } from "./migrations/0002-retention.ts";
import { outgoing } from "./migrations/0003-outgoing.ts";
import { hashSessions } from "./migrations/0004-hash-sessions.ts";
import { epoch } from "./migrations/0005-epoch.ts";
import { settlements } from "./migrations/0006-settlements.ts";
import { lastCheck } from "./migrations/0007-last-check.ts";
import { linkOpen } from "./migrations/0008-link-open.ts";

/** In order. A migration that was released is never edited; a change is a new one. */
const MIGRATIONS: Record<string, Migration> = {
  "0001-first": first,
  "0002-retention": retention,
  "0003-outgoing": outgoing,
  "0004-hash-sessions": hashSessions,
  "0005-epoch": epoch,
  "0006-settlements": settlements,
  "0007-last-check": lastCheck,
  "0008-link-open": linkOpen,
};

export async function migrate(db: Db): Promise<void> {
  const { error, results } = await migrator(db).migrateToLatest();
  if (error !== undefined) {
    const failed = results?.find((result) => result.status === "Error")?.migrationName ?? "migrations";
    throw new Error(`migrate the database (${failed}): ${messageOf(error)}`, { cause: error });
  }
}

/** True when nothing is left to run. */
export async function isMigrated(db: Db): Promise<boolean> {
  const known = await migrator(db).getMigrations();
  return known.every((migration) => migration.executedAt !== undefined);
}

/** Migrations of this database that this version does not know: a newer one has written it. None before the first. */
export async function unknownMigrations(db: Db): Promise<string[]> {
  const tables = await sql`select 1 from sqlite_master where type = 'table' and name = 'kysely_migration'`.execute(db);
  if (tables.rows.length === 0) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  return rows.map(({ name }) => name).filter((name) => !(name in MIGRATIONS));
}

function migrator(db: Db): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => MIGRATIONS } });
}
