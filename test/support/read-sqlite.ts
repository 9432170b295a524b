/** Reads a SQLite file while the process that it belongs to goes on writing. */
import { DatabaseSync } from "node:sqlite";

export type ReadRows = (sql: string, ...values: (number | string)[]) => Record<string, unknown>[];

/** Never written to: who looks is not to help. The file is open only while `work` runs. */
export function readSqlite<T>(path: string, work: (all: ReadRows) => T): T {
  const file = new DatabaseSync(path, { readOnly: true });
  try {
    file.exec("PRAGMA busy_timeout = 5000");
    return work((sql, ...values) => file.prepare(sql).all(...values));
  } finally {
    file.close();
  }
}
