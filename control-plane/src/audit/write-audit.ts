/** One row for every change that somebody asked for. Written in the transaction of the change itself. */

import type { Actor } from "../auth/principal.ts";
import type { Trx } from "../db/database.ts";
import type { AuditTable } from "../db/schema.ts";
import type { Platform } from "../platform.ts";

export interface AuditEntry {
  workspaceId: string | null;
  actor: Actor | { kind: "system" };
  action: string;
  target: { kind: string; id: string } | null;
  /** No secrets. */
  details?: Record<string, unknown>;
}

export async function writeAudit(trx: Trx, platform: Pick<Platform, "clock" | "random">, entry: AuditEntry) {
  const actor =
    entry.actor.kind === "system" ? { kind: "system" as const, id: null, name: null, address: null } : entry.actor;
  const row: AuditTable = {
    id: platform.random.id(),
    workspace_id: entry.workspaceId,
    at: platform.clock.now(),
    actor_kind: actor.kind,
    actor_id: actor.id,
    actor_name: actor.name,
    action: entry.action,
    target_kind: entry.target?.kind ?? null,
    target_id: entry.target?.id ?? null,
    address: actor.address,
    details: entry.details === undefined ? null : JSON.stringify(entry.details),
  };
  await trx.insertInto("audit").values(row).execute();
}
