/** What the hourly sweep needs: when an operation's log was removed, and indexes on the ages that it looks for. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

const STATEMENTS = [
  `alter table operation add column log_removed_at integer`,
  // Only operations whose log is still there, so that the sweep's question stays as small as what it finds.
  `create index operation_log_kept on operation (ended_at) where ended_at is not null and log_removed_at is null`,
  `create index audit_at on audit (at)`,
  `create index "session_ends" on "session" ("expiresAt")`,
];

export const retention: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
