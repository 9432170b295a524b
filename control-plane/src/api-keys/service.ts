/** API keys: a role in one workspace, for programs, until a day. */
import { AppError, canGrant, type Role } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import { newApiKey } from "../auth/api-key.ts";
import type { Actor } from "../auth/principal.ts";
import type { Trx } from "../db/database.ts";
import type { ApiKeyTable } from "../db/schema.ts";
import type { RoomDeps } from "../deps.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import type { Platform } from "../platform.ts";
import { deleteApiKeyRow, insertApiKey, listApiKeyRows } from "./store.ts";

const DAY_MS = 24 * 3600_000;

export async function listApiKeys({ db }: Pick<RoomDeps, "db">, workspaceId: string) {
  return (await listApiKeyRows(db, workspaceId)).map(apiKeyView);
}

export interface ApiKeyRequest {
  workspaceId: string;
  name: string;
  role: Role;
  expiresInDays: number;
  actor: Actor | { kind: "system" };
}

export async function createApiKey(deps: RoomDeps, granter: Role, request: ApiKeyRequest) {
  if (!canGrant(granter, request.role)) throw new AppError("forbidden", `An ${granter} cannot make such a key.`);
  return deps.db.transaction().execute((trx) => addApiKey(deps, trx, request));
}

/** Makes the key in the caller's transaction. */
export async function addApiKey(platform: Pick<Platform, "clock" | "random">, trx: Trx, request: ApiKeyRequest) {
  const key = newApiKey(platform.random);
  const now = platform.clock.now();
  const row: ApiKeyTable = {
    id: platform.random.id(),
    workspace_id: request.workspaceId,
    name: request.name,
    role: request.role,
    prefix: key.prefix,
    key_hash: key.hash,
    created_by: request.actor.kind === "system" ? null : request.actor.id,
    created_at: now,
    expires_at: now + request.expiresInDays * DAY_MS,
    last_used_at: null,
  };
  await insertApiKey(trx, row);
  await writeAudit(trx, platform, {
    workspaceId: request.workspaceId,
    actor: request.actor,
    action: "api_key.create",
    target: { kind: "api_key", id: row.id },
    details: { name: row.name, role: row.role },
  });
  return { ...apiKeyView(row), key: key.text };
}

export async function deleteApiKey(deps: RoomDeps, workspaceId: string, id: string, actor: Actor): Promise<void> {
  await deps.db.transaction().execute(async (trx) => {
    await deleteApiKeyRow(trx, id);
    await writeAudit(trx, deps, { workspaceId, actor, action: "api_key.delete", target: { kind: "api_key", id } });
  });
  deps.access.changed();
}

function apiKeyView(row: ApiKeyTable) {
  const { id, name, prefix } = row;
  return {
    id,
    name,
    role: row.role,
    prefix,
    createdAt: isoTime(row.created_at),
    expiresAt: isoTime(row.expires_at),
    lastUsedAt: isoTimeOrNull(row.last_used_at),
  };
}
