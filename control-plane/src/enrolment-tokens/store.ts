/** Rows of enrolment tokens, as people see them; the agents' side uses them up. */
import type { Insertable } from "kysely";
import type { Conn, Trx } from "../db/database.ts";
import type { EnrolmentTokenTable } from "../db/schema.ts";

export async function insertEnrolmentToken(trx: Trx, row: Insertable<EnrolmentTokenTable>): Promise<void> {
  await trx.insertInto("enrolment_token").values(row).execute();
}

export function findEnrolmentToken(db: Conn, id: string) {
  return db.selectFrom("enrolment_token").selectAll().where("id", "=", id).executeTakeFirst();
}
