/** Whether a service may open connections to the outside. Those that exist may not, from their next start on. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export const outgoing: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(`alter table service add column outgoing integer not null default 0`).execute(db);
  },
};
