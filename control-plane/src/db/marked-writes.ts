/** Puts a crash point before and after each write to the database; of a transaction only its commit counts. */
import { type CrashPoint, writeNameOf } from "@dflow/protocol";
import type { DatabaseConnection } from "kysely";

/** There is one connection, so there is one transaction at a time. */
export interface MarkedWrites {
  mark(connection: DatabaseConnection): DatabaseConnection;
  begin(): void;
  commit(commit: () => Promise<void>): Promise<void>;
  rollBack(): void;
}

/** "insert audit before"; "commit(insert operation, insert outbox, update service) after". */
export function createMarkedWrites(crashPoint: CrashPoint): MarkedWrites {
  let written: string[] | undefined;
  return {
    mark: (connection) => ({
      streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
      async executeQuery(query) {
        const name = writeNameOf(query.sql);
        if (name === undefined) return connection.executeQuery(query);
        if (written !== undefined) {
          if (!written.includes(name)) written.push(name);
          return connection.executeQuery(query);
        }
        crashPoint(`${name} before`);
        const result = await connection.executeQuery<never>(query);
        crashPoint(`${name} after`);
        return result;
      },
    }),
    begin() {
      written = [];
    },
    async commit(commit) {
      const names = written ?? [];
      written = undefined;
      // A transaction that only read leaves nothing to lose.
      if (names.length === 0) return commit();
      const name = `commit(${names.join(", ")})`;
      crashPoint(`${name} before`);
      await commit();
      crashPoint(`${name} after`);
    },
    rollBack() {
      written = undefined;
    },
  };
}
