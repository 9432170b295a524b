/** A person's word on an operation whose outcome is unknown. It stands beside the state, which never changes. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

const STATEMENTS = [
  `alter table operation add column settled_outcome text`,
  `alter table operation add column settled_note text`,
  `alter table operation add column settled_by text`,
  `alter table operation add column settled_at integer`,
];

export const settlements: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
