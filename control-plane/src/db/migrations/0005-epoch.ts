/** The join counter of each server, since when it is quarantined, and tokens that give a known server a new key. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

const STATEMENTS = [
  // An agent that has never counted offers 0 too.
  `alter table server add column epoch integer not null default 0`,
  `alter table server add column pending_epoch integer`,
  `alter table server add column quarantined_at integer`,
  `alter table enrolment_token add column rekeys_server_id text references server (id)`,
];

export const epoch: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
  },
};
