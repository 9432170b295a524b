/** How an operation begins: one row that says what was accepted, and one that sends it. */
import { AppError } from "@dflow/protocol";
import { isUniqueConflict } from "../db/conflicts.ts";
import type { Trx } from "../db/database.ts";
import { endOperation, type OperationChange, touchOperation } from "./results.ts";
import { insertOperation, insertOutboxRow, type OperationRow, writeOwnLogLine } from "./store.ts";

/** Reads that decide whether an operation may begin, inside the transaction that begins it. */
export {
  findOpenOperation,
  findOperation,
  neverSent,
  newestChecks,
  newestOperations,
  type OperationRow,
} from "./store.ts";

export type NewOperation = Pick<
  OperationRow,
  | "id"
  | "workspace_id"
  | "service_id"
  | "server_id"
  | "kind"
  | "generation"
  | "args"
  | "created_by_kind"
  | "created_by_name"
  | "created_at"
  | "start_before"
  | "run_ms"
>;

/** Writes the operation and its outbox row. Wake the server's agent after the commit. */
export async function acceptOperation(trx: Trx, operation: NewOperation): Promise<OperationChange> {
  await insertQueued(trx, operation);
  await insertOutboxRow(trx, operation, "command", operation.created_at);
  return touchOperation(trx, operation.id);
}

/** Writes an operation for which nothing has to be done on the server: it has succeeded, and its log says why. */
export async function completeOperation(
  trx: Trx,
  operation: NewOperation,
  reason: string,
): Promise<OperationChange | undefined> {
  const at = operation.created_at;
  await insertQueued(trx, operation);
  await writeOwnLogLine(trx, operation.id, at, reason);
  return endOperation(trx, operation.id, { state: "succeeded", startedAt: at, endedAt: at });
}

async function insertQueued(trx: Trx, operation: NewOperation): Promise<void> {
  try {
    await insertOperation(trx, {
      ...operation,
      state: "queued",
      error: null,
      step: null,
      timings: null,
      sent_at: null,
      started_at: null,
      ended_at: null,
      cancel_requested_at: null,
      lines_total: null,
    });
  } catch (error) {
    // The index has the last word on "one open operation a service".
    if (!isUniqueConflict(error, "operation.service_id")) throw error;
    throw new AppError("operation_open", "Another operation of this service has just begun.");
  }
}
