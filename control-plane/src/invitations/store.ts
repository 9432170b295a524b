/** Rows of invitations. */
import type { Role } from "@dflow/protocol";
import type { Conn, Trx } from "../db/database.ts";
import type { InvitationTable } from "../db/schema.ts";

export function listInvitationRows(db: Conn, workspaceId: string): Promise<InvitationTable[]> {
  return db
    .selectFrom("invitation")
    .selectAll()
    .where("workspace_id", "=", workspaceId)
    .orderBy("id", "desc")
    .limit(200)
    .execute();
}

export async function insertInvitation(trx: Trx, row: InvitationTable): Promise<void> {
  await trx.insertInto("invitation").values(row).execute();
}

export function findInvitationByHash(db: Conn, tokenHash: string) {
  return db.selectFrom("invitation").selectAll().where("token_hash", "=", tokenHash).executeTakeFirst();
}

export async function markAccepted(trx: Trx, id: string, now: number): Promise<void> {
  await trx.updateTable("invitation").set({ accepted_at: now }).where("id", "=", id).execute();
}

export async function deleteInvitation(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom("invitation").where("id", "=", id).execute();
}

/** The role that the person or API key has now who gave the invitation; undefined when they are gone. */
export async function roleOfGiver(db: Conn, { workspace_id, created_by }: InvitationTable): Promise<Role | undefined> {
  const member = await db
    .selectFrom("member")
    .select("role")
    .where("workspace_id", "=", workspace_id)
    .where("user_id", "=", created_by)
    .executeTakeFirst();
  if (member !== undefined) return member.role;
  const key = await db
    .selectFrom("api_key")
    .select("role")
    .where("workspace_id", "=", workspace_id)
    .where("id", "=", created_by)
    .executeTakeFirst();
  return key?.role;
}
