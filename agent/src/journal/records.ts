/** A table of checked records: every row carries the SHA-256 of its body, because SQLite does not see flipped bits. */
import { createHash } from "node:crypto";
import { isAppError, messageOf } from "@dflow/protocol";
import type { z } from "zod";
import type { Database, Row } from "./database.ts";

export interface Records<T> {
  get(id: string): T | undefined;
  all(): T[];
  put(id: string, record: T): void;
  remove(id: string): void;
}

/** A row whose body is not what was written. It was moved to `set_aside`. */
export interface Damage {
  table: string;
  id: string;
  reason: string;
}

export const SET_ASIDE_SCHEMA =
  "CREATE TABLE IF NOT EXISTS set_aside (source TEXT NOT NULL, id TEXT NOT NULL, body TEXT, reason TEXT NOT NULL) STRICT;";

/** Rows that were set aside are for whoever wants to know what happened: the newest, and of each only a beginning. */
export const SET_ASIDE_ROWS_MAX = 200;
const SET_ASIDE_BODY_MAX = 16_384;

export const recordsSchema = (table: string) =>
  `CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, body TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT;`;

export function createRecords<S extends z.ZodType>(
  database: Database,
  table: string,
  schema: S,
  /** May give a record to stand in the damaged one's place. */
  onDamage: (damage: Damage) => z.infer<S> | undefined,
): Records<z.infer<S>> {
  const put = (id: string, record: z.infer<S>) => {
    const body = JSON.stringify(record);
    database.run(`INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?)`, id, body, sha256(body));
  };
  const read = (row: Row): z.infer<S> | undefined => {
    const id = String(row.id);
    try {
      return schema.parse(checked(row));
    } catch (error) {
      const reason = messageOf(error).slice(0, 1_000);
      const replacement = onDamage({ table, id, reason });
      try {
        // Together: killed in between, the agent would have forgotten what it was asked to do.
        database.transaction(() => setAsideRow(id, String(row.body).slice(0, SET_ASIDE_BODY_MAX), reason, replacement));
      } catch (failure) {
        // On a full disk it stays where it is, and is found again at the next reading.
        if (!isAppError(failure) || failure.code !== "disk_full") throw failure;
      }
      return replacement;
    }
  };
  const setAsideRow = (id: string, body: string, reason: string, replacement: z.infer<S> | undefined) => {
    database.run("INSERT INTO set_aside VALUES (?, ?, ?, ?)", table, id, body, reason);
    database.run(
      "DELETE FROM set_aside WHERE rowid <= (SELECT max(rowid) FROM set_aside) - CAST(? AS INTEGER)",
      SET_ASIDE_ROWS_MAX,
    );
    if (replacement === undefined) database.run(`DELETE FROM ${table} WHERE id = ?`, id);
    else put(id, replacement);
  };
  return {
    get(id) {
      const [row] = database.all(`SELECT id, body, sha256 FROM ${table} WHERE id = ?`, id);
      return row === undefined ? undefined : read(row);
    },
    all: () =>
      database
        .all(`SELECT id, body, sha256 FROM ${table} ORDER BY id`)
        .map(read)
        .filter((record) => record !== undefined),
    put,
    remove(id) {
      database.run(`DELETE FROM ${table} WHERE id = ?`, id);
    },
  };
}

/** The body as JSON, or an error when it is not what was written. */
export function checked(row: Row): unknown {
  const body = String(row.body);
  if (sha256(body) !== row.sha256) throw new Error("the content does not match its checksum");
  return JSON.parse(body);
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
