/** Rows of workspaces and members. */
import type { Role } from "@dflow/protocol";
import type { Conn, Trx } from "../db/database.ts";

export function findWorkspace(db: Conn, id: string) {
  return db.selectFrom("workspace").selectAll().where("id", "=", id).executeTakeFirst();
}

export async function insertWorkspace(trx: Trx, row: { id: string; name: string; created_at: number }): Promise<void> {
  await trx.insertInto("workspace").values(row).execute();
}

export function workspacesOf(db: Conn, userId: string) {
  return db
    .selectFrom("member")
    .innerJoin("workspace", "workspace.id", "member.workspace_id")
    .select(["workspace.id", "workspace.name", "member.role"])
    .where("member.user_id", "=", userId)
    .orderBy("workspace.name")
    .execute();
}

export function selectMembers(db: Conn, workspaceId: string) {
  return db
    .selectFrom("member")
    .innerJoin("user", "user.id", "member.user_id")
    .select(["member.user_id", "user.name", "user.email", "member.role", "member.created_at"])
    .where("member.workspace_id", "=", workspaceId)
    .orderBy("member.created_at");
}
export type MemberRow = Awaited<ReturnType<ReturnType<typeof selectMembers>["execute"]>>[number];

export function findMember(db: Conn, workspaceId: string, userId: string) {
  return selectMembers(db, workspaceId).where("member.user_id", "=", userId).executeTakeFirst();
}

/** A person who is a member already keeps the role they have. */
export async function addMember(
  trx: Trx,
  row: { workspace_id: string; user_id: string; role: Role; created_at: number },
): Promise<void> {
  await trx
    .insertInto("member")
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function setRole(trx: Trx, workspaceId: string, userId: string, role: Role): Promise<void> {
  await trx
    .updateTable("member")
    .set({ role })
    .where("workspace_id", "=", workspaceId)
    .where("user_id", "=", userId)
    .execute();
}

export async function deleteMember(trx: Trx, workspaceId: string, userId: string): Promise<void> {
  await trx.deleteFrom("member").where("workspace_id", "=", workspaceId).where("user_id", "=", userId).execute();
}

export async function countOwners(db: Conn, workspaceId: string): Promise<number> {
  const row = await db
    .selectFrom("member")
    .select((eb) => eb.fn.countAll<number>().as("owners"))
    .where("workspace_id", "=", workspaceId)
    .where("role", "=", "owner")
    .executeTakeFirstOrThrow();
  return row.owners;
}
