/** SQLite as the journal uses it: the only importer of the driver. Also the lock of a data folder, which SQLite holds. */
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { AppError, messageOf } from "@dflow/protocol";
import { isBehind, type Mark, markPathOf, readMark, writeMark } from "./mark.ts";
import { type SetAsideDeps, setAside } from "./set-aside.ts";
import { isDamage, isOfTheMoment, named } from "./sqlite-errors.ts";

export type Row = Record<string, unknown>;

export interface Database {
  run(sql: string, ...values: SQLInputValue[]): void;
  all(sql: string, ...values: SQLInputValue[]): Row[];
  /** All or nothing, on disk when it returns. One inside another is part of it. */
  transaction<T>(work: () => T): T;
  close(): void;
}

export interface OpenOptions {
  path: string;
  schema: string;
  /** Statements that have to work: flipped bits can also be in the schema itself. */
  trials: readonly string[];
  /** The file turned out to be damaged in the middle of work. It is set aside by then, and this run has to end. */
  onDamage(error: Error): void;
}

const MARK_SCHEMA =
  "CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY, journal TEXT NOT NULL, writes INTEGER NOT NULL) STRICT;";

/** Opens the file, or a new one when it is damaged: the damaged one is kept beside it. */
export function openDatabase(deps: SetAsideDeps, options: OpenOptions): Database {
  const { path } = options;
  let opened: DatabaseSync;
  try {
    opened = openChecked(deps, options);
  } catch (error) {
    if (isOfTheMoment(error) && !hasDamagedHead(deps, path)) throw named(error);
    setAside(deps, path, messageOf(error));
    opened = openChecked(deps, options);
  }
  return guarded(deps, options, opened);
}

function openChecked({ files, log }: SetAsideDeps, { path, schema, trials }: OpenOptions): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
    const [verdict] = database.prepare("PRAGMA integrity_check(1)").all();
    if (verdict?.integrity_check !== "ok") throw new Error(`damaged: ${String(verdict?.integrity_check)}`);
    database.exec(`${schema}\n${MARK_SCHEMA}`);
    for (const trial of trials) database.prepare(trial).all();
    database.exec("INSERT OR IGNORE INTO mark VALUES (1, lower(hex(randomblob(8))), 0)");
    const [own] = database.prepare("SELECT journal, writes FROM mark").all() as unknown as [Mark];
    const kept = readMark(files, markPathOf(path));
    if (isBehind(own, kept)) throw new Error(`its newest writes are gone: ${own.writes} of ${kept?.writes} are there`);
    if (kept !== undefined && kept.journal !== own.journal) {
      log.error({ path }, "the journal that was here is gone; a new one is begun");
    }
    writeMark(files, log, markPathOf(path), own);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** A file that says of itself that nobody may write it, by bytes that hold nothing else, is taken by SQLite at its word. */
function hasDamagedHead({ files }: SetAsideDeps, path: string): boolean {
  const [write, read] = (files.readBytes(path, 20) ?? new Uint8Array()).subarray(18);
  return write !== undefined && read !== undefined && (write > 2 || read > 2);
}

function guarded(deps: SetAsideDeps, { path, onDamage }: OpenOptions, database: DatabaseSync): Database {
  const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  const prepare = (sql: string) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
  let endedBy: Error | undefined;
  /** Nothing is read or written any more once damage was seen: whoever acts on half a journal acts wrongly. */
  const watched = <T>(work: () => T): T => {
    if (endedBy !== undefined) throw endedBy;
    try {
      return work();
    } catch (error) {
      if (endedBy !== undefined || !isDamage(error)) throw named(error);
      endedBy = error as Error;
      setAside(deps, path, messageOf(error));
      onDamage(endedBy);
      throw error;
    }
  };
  const transaction = <T>(work: () => T): T => {
    if (database.isTransaction) return work();
    let mark: Mark;
    let result: T;
    try {
      database.exec("BEGIN IMMEDIATE");
      result = work();
      [mark] = prepare("UPDATE mark SET writes = writes + 1 RETURNING journal, writes").all() as unknown as [Mark];
      database.exec("COMMIT");
    } catch (error) {
      // On a full disk SQLite has rolled back by itself.
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
    writeMark(deps.files, deps.log, markPathOf(path), mark);
    return result;
  };
  return {
    run: (sql, ...values) => watched(() => transaction(() => void prepare(sql).run(...values))),
    all: (sql, ...values) => watched(() => prepare(sql).all(...values)),
    transaction: (work) => watched(() => transaction(work)),
    close: () => database.close(),
  };
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
