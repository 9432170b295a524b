/** Whether a server's link was open when the control plane was last heard of itself: it is waited for after a start. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

export const linkOpen: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql.raw(`alter table server add column link_open integer not null default 0`).execute(db);
  },
};
