/** A list of services shows each one's newest check: found without reading every operation there ever was. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export const lastCheck: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(`create index operation_check on operation (service_id, id) where kind = 'check'`).execute(db);
  },
};
