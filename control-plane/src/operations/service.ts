/** Operations after they were accepted: read, followed, cancelled, settled. */
import { AppError, isTerminal, type Operation, type SettleOperation } from "@dflow/protocol";
import { sendAgain } from "../agents/commands.ts";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { isoTime } from "../http/times.ts";
import { endOperation, publishOperationChange, touchOperation } from "./results.ts";
import {
  findOperation,
  insertOutboxRow,
  listOperationRows,
  type OperationRow,
  readLogLines,
  setCancelRequested,
  writeSettlement,
} from "./store.ts";
import { isLogComplete, logLineView, logRemoval, operationView, removalLine } from "./view.ts";

/** Lines of one answer. */
const LOG_PAGE_LINES = 1_000;

export async function getOperation({ db }: Pick<RoomDeps, "db">, id: string): Promise<Operation> {
  return operationView(found(await findOperation(db, id)));
}

export async function listOperations(
  { db }: Pick<RoomDeps, "db">,
  serviceId: string,
  page: { limit: number; before?: string | undefined },
): Promise<Operation[]> {
  return (await listOperationRows(db, serviceId, page)).map(operationView);
}

export async function readLog({ db }: Pick<RoomDeps, "db">, id: string, after: number) {
  // The operation first: lines that arrive between the two reads are read with it, never skipped.
  const operation = found(await findOperation(db, id));
  const rows = await readLogLines(db, id, after, LOG_PAGE_LINES);
  const lines = operation.log_removed_at === null ? rows.map(logLineView) : removalLine(operation, after);
  const next = (lines.at(-1)?.n ?? after - 1) + 1;
  const removed = logRemoval(operation) ?? null;
  return { lines, next, complete: isLogComplete(operation, next), removed, operation };
}

/**
 * A command that never left is cancelled here and now. One that did is asked of the agent: what it has done by then is
 * its to say, so the operation stays open until it answers.
 */
export async function cancelOperation(deps: RoomDeps, id: string, actor: Actor): Promise<Operation> {
  const now = deps.clock.now();
  const { change, serverId } = await deps.db.transaction().execute(async (trx) => {
    const operation = found(await findOperation(trx, id));
    if (isTerminal(operation.state)) {
      throw new AppError("not_cancellable", `This operation ended as ${operation.state} at ${endOf(operation)}.`);
    }
    const repeated = operation.cancel_requested_at !== null;
    if (!repeated) {
      await setCancelRequested(trx, id, now);
      await writeAudit(trx, deps, {
        workspaceId: operation.workspace_id,
        actor,
        action: "operation.cancel",
        target: { kind: "operation", id },
        details: { kind: operation.kind, serviceId: operation.service_id },
      });
    }
    if (operation.state === "queued" && operation.sent_at === null) {
      const failure = { code: "cancelled" as const, message: `Cancelled by ${actor.name} before it was sent.` };
      return {
        change: await endOperation(trx, id, { state: "cancelled", endedAt: now, failure }),
        serverId: undefined,
      };
    }
    if (repeated) return { change: undefined, serverId: undefined };
    await insertOutboxRow(trx, operation, "cancel", now);
    return { change: await touchOperation(trx, id), serverId: operation.server_id };
  });
  if (change !== undefined) publishOperationChange(deps.hub, change);
  if (serverId !== undefined) deps.agents.wake(serverId);
  return getOperation(deps, id);
}

/** Asks the agent once more: it answers with what it has, and takes nothing up twice. Without effect on one not sent yet. */
export async function lookAgain(deps: RoomDeps, id: string, actor: Actor): Promise<Operation> {
  const serverId = await deps.db.transaction().execute(async (trx) => {
    const operation = found(await findOperation(trx, id));
    if (isTerminal(operation.state)) {
      throw new AppError("not_open", `This operation ended as ${operation.state} at ${endOf(operation)}.`);
    }
    await sendAgain(trx, id, deps.clock.now());
    await writeAudit(trx, deps, {
      workspaceId: operation.workspace_id,
      actor,
      action: "operation.look_again",
      target: { kind: "operation", id },
      details: { kind: operation.kind, serviceId: operation.service_id },
    });
    return operation.server_id;
  });
  deps.agents.wake(serverId);
  return getOperation(deps, id);
}

/** A person says, once, what became of an operation whose outcome is unknown. Its state stays what it is. */
export async function settleOperation(
  deps: RoomDeps,
  id: string,
  { outcome, note }: SettleOperation,
  actor: Actor,
): Promise<Operation> {
  const change = await deps.db.transaction().execute(async (trx) => {
    const operation = found(await findOperation(trx, id));
    const values = {
      settled_outcome: outcome,
      settled_note: note,
      settled_by: actor.name,
      settled_at: deps.clock.now(),
    };
    if (!(await writeSettlement(trx, id, values))) throw notSettleable(operation);
    await writeAudit(trx, deps, {
      workspaceId: operation.workspace_id,
      actor,
      action: "operation.settle",
      target: { kind: "operation", id },
      details: { kind: operation.kind, serviceId: operation.service_id, outcome, note },
    });
    return touchOperation(trx, id);
  });
  publishOperationChange(deps.hub, change);
  return getOperation(deps, id);
}

function notSettleable({ state, settled_at, settled_by, settled_outcome }: OperationRow): AppError {
  return new AppError(
    "not_settleable",
    settled_at === null
      ? `Only an operation that ended as unknown can be settled; this one is ${state}.`
      : `${settled_by} settled it as ${settled_outcome} on ${isoTime(settled_at)}.`,
  );
}

function endOf(operation: OperationRow): string {
  return operation.ended_at === null ? "an unknown time" : isoTime(operation.ended_at);
}

function found(row: OperationRow | undefined): OperationRow {
  if (row === undefined) throw new AppError("not_found", "There is no such operation.");
  return row;
}
