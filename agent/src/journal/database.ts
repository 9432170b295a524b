/** SQLite as the journal uses it: the only importer of the driver. Also the lock of a data folder, which SQLite holds. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { AppError, messageOf } from "@dflow/protocol";
import type { Files } from "../deps.ts";

export type Row = Record<string, unknown>;

export interface Database {
  run(sql: string, ...values: SQLInputValue[]): void;
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** All or nothing, on disk when it returns. Not nested. */
  transaction<T>(work: () => T): T;
  close(): void;
}

export interface OpenOptions {
  path: string;
  schema: string;
  /** Statements that have to work: flipped bits can also be in the schema itself. */
  trials: readonly string[];
  setAsideName: string;
  onSetAside(keptAt: string, reason: string): void;
}

/** Opens the file, or a new one when it is damaged: the damaged one is kept beside it, and `onSetAside` hears where. */
export function openDatabase(files: Files, options: OpenOptions): Database {
  const { path, setAsideName, onSetAside } = options;
  try {
    return openChecked(options);
  } catch (error) {
    // The file may be whole: to begin a new one would forget which volumes hold data.
    if (isOfTheMoment(error)) throw named(error);
    const keptAt = `${path}.${setAsideName}`;
    for (const suffix of ["", "-wal", "-shm"]) {
      if (files.readText(`${path}${suffix}`) !== undefined) files.rename(`${path}${suffix}`, `${keptAt}${suffix}`);
    }
    onSetAside(keptAt, messageOf(error));
    return openChecked(options);
  }
}

function openChecked({ path, schema, trials }: OpenOptions): Database {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
    const [verdict] = database.prepare("PRAGMA integrity_check(1)").all();
    if (verdict?.integrity_check !== "ok") throw new Error(`damaged: ${String(verdict?.integrity_check)}`);
    database.exec(schema);
    for (const trial of trials) database.prepare(trial).all();
  } catch (error) {
    database.close();
    throw error;
  }
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (sql: string) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  return {
    run(sql, ...values) {
      try {
        prepare(sql).run(...values);
      } catch (error) {
        throw named(error);
      }
    },
    all: (sql, ...values) => prepare(sql).all(...values),
    transaction(work) {
      try {
        database.exec("BEGIN IMMEDIATE");
        const result = work();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        // On a full disk SQLite has rolled back by itself.
        if (database.isTransaction) database.exec("ROLLBACK");
        throw named(error);
      }
    },
    close: () => database.close(),
  };
}

/** SQLite's primary codes that say nothing of the content: PERM BUSY LOCKED NOMEM READONLY IOERR FULL CANTOPEN. */
const OF_THE_MOMENT = [3, 5, 6, 7, 8, 10, 13, 14];
const FULL = 13;
/** Of the input and output errors the one that says the same: SHMSIZE, the write-ahead log's index found no room. */
const NO_ROOM_FOR_INDEX = 4874;
/** Of the input and output errors those that do: READ SHORT_READ DATA CORRUPTFS. */
const UNREADABLE = [266, 522, 8202, 8458];

function isOfTheMoment(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && OF_THE_MOMENT.includes(code & 0xff) && !UNREADABLE.includes(code);
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
}

function named(error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined || ((code & 0xff) !== FULL && code !== NO_ROOM_FOR_INDEX)) return error;
  return new AppError("disk_full", "the agent's own disk is full, so its journal cannot be written", {
    hint: "Free space on the disk of the agent's data folder.",
    cause: error,
  });
}

/**
 * Holds a data folder for this process. The lock is the kernel's (fcntl, by SQLite), so it ends with the process however
 * that ends, and nothing is ever stale.
 */
export function lockFolder(path: string): { release(): void } {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!/locked|busy/i.test(messageOf(error))) throw named(error);
    throw new AppError("service_busy", `another agent runs with this data folder (${path} is locked)`, {
      hint: "Stop the other agent first, or give this one a data folder of its own.",
      cause: error,
    });
  }
  return { release: () => database.close() };
}
