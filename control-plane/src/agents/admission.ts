/**
 * Who gets a session, as changes of rows: the join counter's verdict (epoch.ts) with all that follows from it, in one
 * transaction each.
 */
import type { AgentFacts } from "@dflow/protocol";
import { sql } from "kysely";
import { writeAudit } from "../audit/write-audit.ts";
import type { Conn, Trx } from "../db/database.ts";
import type { Deps } from "../deps.ts";
import { endOperation, type OperationChange } from "../operations/results.ts";
import { OPEN_BY_INDEX } from "./commands.ts";
import type { ConnectionOrder } from "./connection-order.ts";
import { judgeEpoch } from "./epoch.ts";

type AdmissionDeps = Pick<Deps, "clock" | "random">;

/** An agent whose signature was checked with the key `kid`. */
export interface Applicant {
  serverId: string;
  kid: string;
  /** The epoch that it has on disk. */
  offered: number;
  facts: AgentFacts;
  peerAddress: string;
  /** Its connection's place in the order. */
  place: number;
}

/** What browsers hear after the commit. */
export interface Quarantine {
  workspaceId: string;
  revision: number;
  at: number;
  changes: OperationChange[];
}

export type Admission =
  | { verdict: "admitted"; session: number; epoch: number; restored: boolean }
  | { verdict: "overtaken" | "removed" | "key_replaced" }
  /** `begun`: it was this connection that gave it away. */
  | { verdict: "quarantined"; begun?: Quarantine };

/** The next session number and epoch of the server, or why there is none. */
export async function admit(
  trx: Trx,
  deps: AdmissionDeps,
  order: ConnectionOrder,
  applicant: Applicant,
): Promise<Admission> {
  const { serverId, offered } = applicant;
  const server = await trx
    .selectFrom("server")
    .select(["workspace_id", "agent_kid", "deleted_at", "epoch", "pending_epoch", "quarantined_at"])
    .where("id", "=", serverId)
    .executeTakeFirst();
  if (server === undefined || server.deleted_at !== null) return { verdict: "removed" };
  if (server.agent_kid !== applicant.kid) return { verdict: "key_replaced" };
  const judged = judgeEpoch({
    offered,
    epoch: server.epoch,
    pending: server.pending_epoch,
    quarantined: server.quarantined_at !== null,
    overtaken: order.isOvertaken(serverId, applicant.place),
  });
  if (judged.verdict === "conflict") {
    return { verdict: "quarantined", begun: await quarantine(trx, deps, server, applicant) };
  }
  if (judged.verdict !== "accepted") return { verdict: judged.verdict };
  order.welcomed(serverId);
  const { session } = await trx
    .updateTable("server")
    .set({
      session: sql`session + 1`,
      epoch: judged.epoch,
      pending_epoch: judged.pending,
      facts: JSON.stringify(applicant.facts),
      peer_address: applicant.peerAddress,
    })
    .where("id", "=", serverId)
    .returning("session")
    .executeTakeFirstOrThrow();
  return { verdict: "admitted", session, epoch: judged.pending, restored: judged.restored };
}

/** Commands on their way end here: which of the two machines has them, and what became of them, nobody can say. */
async function quarantine(
  trx: Trx,
  deps: AdmissionDeps,
  server: { workspace_id: string; epoch: number },
  { serverId, offered, peerAddress, facts }: Applicant,
): Promise<Quarantine> {
  const at = deps.clock.now();
  const { revision } = await trx
    .updateTable("server")
    .set({ quarantined_at: at, revision: sql`revision + 1` })
    .where("id", "=", serverId)
    .returning("revision")
    .executeTakeFirstOrThrow();
  const inFlight = await trx
    .selectFrom("operation")
    .select("id")
    .where(OPEN_BY_INDEX)
    .where("server_id", "=", serverId)
    .where("state", "in", ["sent", "running"])
    .execute();
  const changes: OperationChange[] = [];
  for (const { id } of inFlight) {
    const change = await endOperation(trx, id, {
      state: "unknown",
      endedAt: at,
      failure: {
        code: "outcome_unknown",
        message:
          "Two machines use this server's identity, so it was quarantined. Whether this was carried out is not known.",
        hint: "Re-key the machine to keep on the server's page. Then look at the service's state, and repeat the action if needed.",
      },
    });
    if (change !== undefined) changes.push(change);
  }
  await writeAudit(trx, deps, {
    workspaceId: server.workspace_id,
    actor: { kind: "system" },
    action: "server.quarantine",
    target: { kind: "server", id: serverId },
    details: { offeredEpoch: offered, epoch: server.epoch, address: peerAddress, hostname: facts.hostname },
  });
  return { workspaceId: server.workspace_id, revision, at, changes };
}

export type Beginning =
  | { verdict: "begun"; workspaceId: string; revision: number; connectedAt: number }
  | { verdict: "overtaken" | "removed" | "quarantined" };

/** `ready` came: its epoch is promoted, unless the session has been overtaken since its welcome. */
export async function begin(
  trx: Trx,
  { serverId, session, epoch, at }: { serverId: string; session: number; epoch: number; at: number },
): Promise<Beginning> {
  const row = await trx
    .updateTable("server")
    .set({ epoch, pending_epoch: null, connected_at: at, last_seen_at: at, link_open: 1, revision: sql`revision + 1` })
    .where("id", "=", serverId)
    .where("session", "=", session)
    .where("pending_epoch", "=", epoch)
    .where("quarantined_at", "is", null)
    .where("deleted_at", "is", null)
    .returning(["workspace_id", "revision"])
    .executeTakeFirst();
  if (row !== undefined) {
    return { verdict: "begun", workspaceId: row.workspace_id, revision: row.revision, connectedAt: at };
  }
  const server = await trx
    .selectFrom("server")
    .select(["quarantined_at", "deleted_at"])
    .where("id", "=", serverId)
    .executeTakeFirst();
  if (server === undefined || server.deleted_at !== null) return { verdict: "removed" };
  return { verdict: server.quarantined_at === null ? "overtaken" : "quarantined" };
}

/** A command goes to no machine of which nobody knows which one it is. */
export async function mayBeSent(db: Conn, serverId: string): Promise<boolean> {
  const server = await db.selectFrom("server").select("quarantined_at").where("id", "=", serverId).executeTakeFirst();
  return server !== undefined && server.quarantined_at === null;
}
