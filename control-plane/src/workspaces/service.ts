/** Members and their roles. */
import { AppError, canGrant, type Me, type Member, type Role } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor, Principal } from "../auth/principal.ts";
import type { Trx } from "../db/database.ts";
import type { RoomDeps } from "../deps.ts";
import { isoTime } from "../http/times.ts";
import {
  countOwners,
  deleteMember,
  findMember,
  findWorkspace,
  type MemberRow,
  selectMembers,
  setRole,
  workspacesOf,
} from "./store.ts";

/** For other rooms, inside their own transactions. */
export { addMember } from "./store.ts";

export async function describeCaller({ db }: Pick<RoomDeps, "db">, principal: Principal): Promise<Me> {
  if (principal.kind === "user") {
    const { id, email, name } = principal;
    return { user: { id, email, name }, workspaces: await workspacesOf(db, id) };
  }
  const workspace = await findWorkspace(db, principal.workspaceId);
  const workspaces = workspace === undefined ? [] : [{ id: workspace.id, name: workspace.name, role: principal.role }];
  return { user: null, workspaces };
}

export async function getWorkspace({ db }: Pick<RoomDeps, "db">, id: string, role: Role) {
  const row = await findWorkspace(db, id);
  if (row === undefined) throw new AppError("not_found", "There is no such workspace.");
  return { id: row.id, name: row.name, role, createdAt: isoTime(row.created_at) };
}

export async function listMembers({ db }: Pick<RoomDeps, "db">, workspaceId: string): Promise<Member[]> {
  return (await selectMembers(db, workspaceId).execute()).map(memberView);
}

export interface MemberChange {
  workspaceId: string;
  userId: string;
  granter: Role;
  actor: Actor;
}

export async function changeRole(deps: RoomDeps, change: MemberChange & { granted: Role }): Promise<Member> {
  const { workspaceId, userId, granter, granted } = change;
  const member = await deps.db.transaction().execute(async (trx) => {
    const before = await changeableMember(trx, change);
    if (!canGrant(granter, granted)) throw new AppError("forbidden", `An ${granter} cannot make somebody ${granted}.`);
    if (before.role === "owner" && granted !== "owner") await keepOneOwner(trx, workspaceId);
    await setRole(trx, workspaceId, userId, granted);
    await auditMember(deps, trx, change, "member.role", { from: before.role, to: granted });
    return { ...before, role: granted };
  });
  announce(deps, change);
  return memberView(member);
}

export async function removeMember(deps: RoomDeps, change: MemberChange): Promise<void> {
  await deps.db.transaction().execute(async (trx) => {
    const before = await changeableMember(trx, change);
    if (before.role === "owner") await keepOneOwner(trx, change.workspaceId);
    await deleteMember(trx, change.workspaceId, change.userId);
    await auditMember(deps, trx, change, "member.remove", { email: before.email });
  });
  announce(deps, change);
}

async function changeableMember(trx: Trx, { workspaceId, userId, granter }: MemberChange): Promise<MemberRow> {
  const member = await findMember(trx, workspaceId, userId);
  if (member === undefined) throw new AppError("not_found", "There is no such member in this workspace.");
  if (!canGrant(granter, member.role)) {
    throw new AppError("forbidden", `Your role here is ${granter}, which cannot change an ${member.role}.`);
  }
  return member;
}

async function keepOneOwner(trx: Trx, workspaceId: string): Promise<void> {
  if ((await countOwners(trx, workspaceId)) > 1) return;
  throw new AppError("not_empty", "A workspace keeps at least one owner.", { hint: "Make somebody else owner first." });
}

function auditMember(deps: RoomDeps, trx: Trx, change: MemberChange, action: string, details: Record<string, unknown>) {
  return writeAudit(trx, deps, {
    workspaceId: change.workspaceId,
    actor: change.actor,
    action,
    target: { kind: "user", id: change.userId },
    details,
  });
}

function announce({ hub, access }: RoomDeps, { workspaceId, userId }: MemberChange): void {
  hub.publish(workspaceId, { type: "member", id: userId, revision: 0 });
  access.changed();
}

function memberView(row: MemberRow): Member {
  return { userId: row.user_id, name: row.name, email: row.email, role: row.role, createdAt: isoTime(row.created_at) };
}
