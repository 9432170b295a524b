/** Invitations: the only way into a workspace after its first admin. */
import { AppError, canGrant, hasRight, type Role } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import { secretHash } from "../auth/api-key.ts";
import type { People } from "../auth/people.ts";
import type { Actor } from "../auth/principal.ts";
import type { InvitationTable } from "../db/schema.ts";
import type { RoomDeps } from "../deps.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import { addMember } from "../workspaces/service.ts";
import {
  deleteInvitation,
  findInvitationByHash,
  insertInvitation,
  listInvitationRows,
  markAccepted,
  roleOfGiver,
} from "./store.ts";

const LIFE_MS = 7 * 24 * 3600_000;

export async function listInvitations({ db }: Pick<RoomDeps, "db">, workspaceId: string) {
  return (await listInvitationRows(db, workspaceId)).map(invitationView);
}

export interface Invite {
  workspaceId: string;
  email: string;
  granted: Role;
  granter: Role;
  actor: Actor;
}

export async function createInvitation(deps: RoomDeps, invite: Invite) {
  const { workspaceId, granted, granter, actor } = invite;
  if (!canGrant(granter, granted)) throw new AppError("forbidden", `An ${granter} cannot invite an ${granted}.`);
  const token = `dfi_${deps.random.bytes(32).toString("base64url")}`;
  const now = deps.clock.now();
  const row: InvitationTable = {
    id: deps.random.id(),
    workspace_id: workspaceId,
    email: invite.email.toLowerCase(),
    role: granted,
    token_hash: secretHash(token),
    created_by: actor.id,
    created_at: now,
    expires_at: now + LIFE_MS,
    accepted_at: null,
  };
  await deps.db.transaction().execute(async (trx) => {
    await insertInvitation(trx, row);
    await writeAudit(trx, deps, {
      workspaceId,
      actor,
      action: "invitation.create",
      target: { kind: "invitation", id: row.id },
      details: { email: row.email, role: granted },
    });
  });
  return { ...invitationView(row), token };
}

export async function revokeInvitation(deps: RoomDeps, workspaceId: string, id: string, actor: Actor): Promise<void> {
  await deps.db.transaction().execute(async (trx) => {
    await deleteInvitation(trx, id);
    await writeAudit(trx, deps, {
      workspaceId,
      actor,
      action: "invitation.revoke",
      target: { kind: "invitation", id },
    });
  });
}

export interface Acceptance {
  token: string;
  name: string;
  password: string;
  address: string;
}

/**
 * Someone with an account already proves it with their password; everybody else gets an account. The answer to a wrong,
 * used and expired token is the same.
 */
export async function acceptInvitation(deps: RoomDeps, people: People, acceptance: Acceptance) {
  const tokenHash = secretHash(acceptance.token);
  const invitation = usable(await findInvitationByHash(deps.db, tokenHash), deps.clock.now());
  const known = await deps.db
    .selectFrom("user")
    .select(["id", "name"])
    .where("email", "=", invitation.email)
    .executeTakeFirst();
  if (known !== undefined) {
    const user = { id: known.id, email: invitation.email };
    await people.checkPassword(user, acceptance.password, acceptance.address);
  }
  const passwordHash = known === undefined ? await people.hashPassword(acceptance.password) : undefined;

  const userId = await deps.db.transaction().execute(async (trx) => {
    const now = deps.clock.now();
    // Read again: between the two reads the same token may have been used.
    const row = usable(await findInvitationByHash(trx, tokenHash), now);
    // Whoever was removed would otherwise come back by an invitation that they gave to themselves before.
    const giver = await roleOfGiver(trx, row);
    if (giver === undefined || !hasRight(giver, "members.write") || !canGrant(giver, row.role)) throw invalid();
    const name = known?.name ?? acceptance.name;
    const id =
      passwordHash === undefined && known !== undefined
        ? known.id
        : await people.add(trx, { email: row.email, name, passwordHash: passwordHash ?? "" });
    await addMember(trx, { workspace_id: row.workspace_id, user_id: id, role: row.role, created_at: now });
    await markAccepted(trx, row.id, now);
    await writeAudit(trx, deps, {
      workspaceId: row.workspace_id,
      actor: { kind: "user", id, name, address: acceptance.address },
      action: "invitation.accept",
      target: { kind: "invitation", id: row.id },
    });
    return id;
  });
  deps.hub.publish(invitation.workspace_id, { type: "member", id: userId, revision: 0 });
  return { workspaceId: invitation.workspace_id, email: invitation.email };
}

function usable(row: InvitationTable | undefined, now: number): InvitationTable {
  if (row !== undefined && row.accepted_at === null && row.expires_at > now) return row;
  throw invalid();
}

function invalid(): AppError {
  return new AppError("invitation_invalid", "This invitation is not valid: it was used, revoked, or is too old.", {
    hint: "Ask for a new one.",
  });
}

function invitationView(row: InvitationTable) {
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    expiresAt: isoTime(row.expires_at),
    acceptedAt: isoTimeOrNull(row.accepted_at),
  };
}
