/** Copies a database that may be in use, and looks whether one is whole. */
import BetterSqlite3 from "better-sqlite3";

/** All that is left after the first hundred pages in one step: a copy in many would begin anew with every write. */
const REST_OF_PAGES = 1_000_000_000;

/**
 * Online: the state of one instant, whatever is written meanwhile. `to` ends as one file that needs no -wal beside it,
 * with the mode that it has: make it first.
 */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const source = new BetterSqlite3(from, { fileMustExist: true, timeout: 5_000 });
  try {
    await source.backup(to, { progress: () => REST_OF_PAGES });
  } finally {
    source.close();
  }
  const copy = new BetterSqlite3(to, { fileMustExist: true });
  try {
    copy.pragma("journal_mode = DELETE");
  } finally {
    copy.close();
  }
}

/** What SQLite finds wrong with the file, at most ten sentences; none when it is whole. Changes nothing. */
export function databaseDamage(file: string): string[] {
  let database: BetterSqlite3.Database | undefined;
  try {
    database = new BetterSqlite3(file, { fileMustExist: true, readonly: true, timeout: 5_000 });
    const found = database.pragma("integrity_check(10)") as { integrity_check: string }[];
    const orphans = database.pragma("foreign_key_check") as { table: string }[];
    return [
      ...found.map((row) => row.integrity_check).filter((text) => text !== "ok"),
      ...[...new Set(orphans.map((row) => row.table))].map(
        (table) => `rows of ${table} refer to rows that are missing`,
      ),
    ];
  } catch (error) {
    // Of a file that is no database at all SQLite says so by throwing.
    if (error instanceof BetterSqlite3.SqliteError) return [error.message];
    throw error;
  } finally {
    database?.close();
  }
}
