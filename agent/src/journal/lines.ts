/** The log lines of operations, numbered from 0. A line that is damaged or lost keeps its number, or all later ones would move. */
import { logLineSchema } from "@dflow/protocol";
import type { z } from "zod";
import type { Clock, Log } from "../deps.ts";
import type { Database, Row } from "./database.ts";
import { sha256 } from "./records.ts";
import { stampNow, stampSchema } from "./stamp.ts";

const storedLineSchema = logLineSchema.omit({ ageMs: true }).extend({ at: stampSchema });
export type StoredLine = z.infer<typeof storedLineSchema>;

export const LINES_SCHEMA = `CREATE TABLE IF NOT EXISTS lines (operation_id TEXT NOT NULL, n INTEGER NOT NULL, body TEXT NOT NULL,
  sha256 TEXT NOT NULL, PRIMARY KEY (operation_id, n)) STRICT, WITHOUT ROWID;`;

export interface Lines {
  /** The number of the next line. */
  count(operationId: string): number;
  /** Adds lines from index `from` on, in one write. */
  add(operationId: string, from: number, lines: readonly StoredLine[]): void;
  /** From index `from` on, without a hole. Lines that are not there, but were before `until`, are said to be lost. */
  read(operationId: string, from: number, limit: number, until?: number): StoredLine[];
  removeAll(operationId: string): void;
  /** Those of operations that there is no record of. */
  removeOrphans(): void;
}

export interface LinesDeps {
  clock: Clock;
  database: Database;
  log: Log;
}

export function createLines({ clock, database, log }: LinesDeps): Lines {
  /** A whole body under a number that is not its own is as wrong as a damaged one. */
  const checksum = (operationId: string, n: number, body: string) => sha256(`${operationId} ${n} ${body}`);
  const isWhole = ({ operation_id, n, body, sha256: sum }: Row) =>
    checksum(String(operation_id), Number(n), String(body)) === sum;
  const stand = (text: string): StoredLine => ({ at: stampNow(clock), level: "warn", text });

  const readLine = (row: Row): StoredLine => {
    const line = isWhole(row) ? storedLineSchema.safeParse(JSON.parse(String(row.body))) : undefined;
    if (line?.success) return line.data;
    log.warn({ operationId: row.operation_id, n: row.n }, "a log line was damaged");
    return stand("(this line was damaged on the agent's disk)");
  };

  const counted = (operationId: string) => {
    const [row] = database.all(
      "SELECT max(n) + 1 AS next, count(*) AS here FROM lines WHERE operation_id = ?",
      operationId,
    );
    return { next: Number(row?.next ?? 0), here: Number(row?.here ?? 0) };
  };

  return {
    count(operationId) {
      const { next, here } = counted(operationId);
      if (next === here) return next;
      // There is a hole. One whose number was flipped must not put it before all that follow.
      for (const row of database.all("SELECT * FROM lines WHERE operation_id = ? AND n >= ?", operationId, here)) {
        if (!isWhole(row))
          database.run("DELETE FROM lines WHERE operation_id = ? AND n = ?", operationId, Number(row.n));
      }
      return counted(operationId).next;
    },

    add(operationId, from, lines) {
      database.transaction(() => {
        lines.forEach((line, index) => {
          const [n, body] = [from + index, JSON.stringify(line)];
          database.run(
            "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?)",
            operationId,
            n,
            body,
            checksum(operationId, n, body),
          );
        });
      });
    },

    read(operationId, from, limit, until = 0) {
      const lines: StoredLine[] = [];
      const lostBefore = (n: number) => {
        while (from + lines.length < n && lines.length < limit)
          lines.push(stand("(this line was lost on the agent's disk)"));
      };
      const rows = database.all(
        "SELECT operation_id, n, body, sha256 FROM lines WHERE operation_id = ? AND n >= ? ORDER BY n LIMIT ?",
        operationId,
        from,
        limit,
      );
      for (const row of rows) {
        lostBefore(Number(row.n));
        if (lines.length < limit) lines.push(readLine(row));
      }
      lostBefore(until);
      return lines;
    },

    removeAll: (operationId) => database.run("DELETE FROM lines WHERE operation_id = ?", operationId),
    removeOrphans: () => database.run("DELETE FROM lines WHERE operation_id NOT IN (SELECT id FROM operations)"),
  };
}
