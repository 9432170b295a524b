/** What agents answer to commands, as changes of rows: acknowledgements and results, for their own operations only. */
import type { Ack, Result } from "@dflow/protocol";
import { sql } from "kysely";
import type { Conn, Trx } from "../db/database.ts";
import { endOperation, hasEnded, moveOperation, type OperationChange, touchOperation } from "../operations/results.ts";
import { isLogCut } from "./operation-log.ts";

/** Only operations of this server: what an agent says of any other is as if it said nothing. */
function ownOperation(db: Conn, serverId: string, operationId: string) {
  return db
    .selectFrom("operation")
    .select(["id", "state", "line_count"])
    .where("id", "=", operationId)
    .where("server_id", "=", serverId)
    .executeTakeFirst();
}

export async function storeAck(trx: Trx, serverId: string, ack: Ack, at: number): Promise<OperationChange | undefined> {
  const operation = await ownOperation(trx, serverId, ack.operationId);
  if (operation === undefined) return undefined;
  if (ack.outcome === "rejected") {
    const failure = ack.failure ?? { code: "internal", message: "The agent refused the command and gave no reason." };
    return endOperation(trx, operation.id, { state: "failed", endedAt: at, failure });
  }
  await trx.deleteFrom("outbox").where("operation_id", "=", operation.id).where("kind", "=", "command").execute();
  return moveOperation(trx, operation.id, "running", at);
}

export interface StoredResult {
  /** Index of the first log line that is not here; undefined when all are. */
  missingFrom: number | undefined;
  change: OperationChange | undefined;
}

/** A result counts once; one that comes again finds the operation ended and changes nothing. */
export async function storeResult(
  trx: Trx,
  serverId: string,
  result: Result,
  receivedAt: number,
): Promise<StoredResult | undefined> {
  const operation = await ownOperation(trx, serverId, result.operationId);
  if (operation === undefined) return undefined;
  const { startedAgeMs } = result;
  const isShort = operation.line_count < result.lineCount && !(await isLogCut(trx, operation.id));
  const change = hasEnded(operation)
    ? undefined
    : await endOperation(trx, operation.id, {
        state: result.state,
        failure: result.failure,
        endedAt: receivedAt - result.endedAgeMs,
        startedAt: startedAgeMs === undefined ? undefined : receivedAt - startedAgeMs,
        // A record that was damaged on the agent says nothing of it.
        ...(startedAgeMs === undefined && result.state !== "unknown" ? { began: false as const } : {}),
        timings: result.timings,
        linesTotal: isShort ? result.lineCount : operation.line_count,
      });
  return { missingFrom: isShort ? operation.line_count : undefined, change };
}

/** The log is complete as it stands: all lines came, or the agent has no more of them. */
export async function closeLog(trx: Trx, operationId: string): Promise<OperationChange> {
  await trx
    .updateTable("operation")
    .set((row) => ({ lines_total: row.ref("line_count") }))
    .where("id", "=", operationId)
    .execute();
  return touchOperation(trx, operationId);
}

/** In the very words of the partial index: with bound values SQLite would read every operation there ever was. */
export const OPEN_BY_INDEX = sql<boolean>`operation.state in ('queued', 'sent', 'running')`;

/**
 * Operations that this server's agent acknowledged and has not ended: it must be able to say how they are. Asked with each
 * heartbeat of each agent, so the statement is written out: to put it together would take longer than to run it.
 */
export async function acknowledgedOperations(db: Conn, serverId: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from operation
    where ${OPEN_BY_INDEX} and server_id = ${serverId} and state <> 'queued'
      and not exists (select 1 from outbox where outbox.operation_id = operation.id and outbox.kind = 'command')`.execute(
    db,
  );
  return rows.map((row) => row.id);
}

/** Puts an acknowledged command back: its agent answers `duplicate` and its result, or starts over. */
export async function sendAgain(trx: Trx, operationId: string, at: number): Promise<void> {
  const operation = await trx
    .selectFrom("operation")
    .select(["id", "server_id", "service_id", "state"])
    .where("id", "=", operationId)
    .executeTakeFirst();
  if (operation === undefined || hasEnded(operation)) return;
  await trx
    .insertInto("outbox")
    .values({
      server_id: operation.server_id,
      service_id: operation.service_id,
      operation_id: operation.id,
      kind: "command",
      created_at: at,
      sent_session: null,
    })
    .onConflict((conflict) => conflict.columns(["operation_id", "kind"]).doNothing())
    .execute();
}
