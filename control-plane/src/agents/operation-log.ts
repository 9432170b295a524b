/**
 * Lines of operations as agents send them: stored once each, in order, within bounds. A log that reached its bound ends with
 * the line that says so; `line_count` then stays, and what still comes is acknowledged and let go of.
 */
import type { Progress } from "@dflow/protocol";
import { sql } from "kysely";
import type { Trx } from "../db/database.ts";
import { hasEnded, moveOperation, type OperationChange, touchOperation } from "../operations/results.ts";
import { boundLog, LOG_CUT_TEXT, type StoredLog } from "./log-bound.ts";

export interface StoredProgress {
  /** Index of the next line wanted: all before it are here. */
  next: number;
  /** Lines that were sent start after `next`: those between are missing. */
  gap: boolean;
  /** How many lines are kept. */
  lineCount: number;
  /** New lines came. */
  grown: boolean;
  /** The operation has ended, and nothing of its log is missing. */
  complete: boolean;
  workspaceId: string;
  serviceId: string;
  change: OperationChange | undefined;
}

/** `undefined` when this server has no such operation. */
export async function storeProgress(
  trx: Trx,
  serverId: string,
  progress: Progress,
  receivedAt: number,
): Promise<StoredProgress | undefined> {
  const operation = await trx
    .selectFrom("operation")
    .select(["id", "state", "step", "line_count", "lines_total", "started_at", "workspace_id", "service_id"])
    .where("id", "=", progress.operationId)
    .where("server_id", "=", serverId)
    .executeTakeFirst();
  if (operation === undefined) return undefined;
  const stored = await storedLog(trx, operation.id);
  const gap = !stored.cut && progress.from > operation.line_count;
  const fresh = gap || stored.cut ? [] : progress.lines.slice(operation.line_count - progress.from);
  const kept = fresh.length === 0 ? [] : boundLog(stored, fresh);
  if (kept.length > 0) {
    const rows = kept.map((line, index) => ({
      operation_id: operation.id,
      n: operation.line_count + index,
      at: receivedAt - line.ageMs,
      level: line.level,
      text: line.text,
    }));
    await trx.insertInto("operation_log").values(rows).execute();
  }
  const ended = hasEnded(operation);
  const step = progress.step === undefined || ended ? operation.step : progress.step;
  const lineCount = operation.line_count + kept.length;
  // Before the state moves, so that one change carries all of it.
  const startedAt = operation.started_at ?? (ended ? null : receivedAt - (progress.lines[0]?.ageMs ?? 0));
  if (kept.length > 0 || step !== operation.step || startedAt !== operation.started_at) {
    await trx
      .updateTable("operation")
      .set({ line_count: lineCount, step, started_at: startedAt })
      .where("id", "=", operation.id)
      .execute();
  }
  const moved = await moveOperation(trx, operation.id, "running", receivedAt);
  return {
    next: gap ? operation.line_count : Math.max(lineCount, progress.from + progress.lines.length),
    lineCount,
    gap,
    grown: kept.length > 0,
    complete: ended && (stored.cut || lineCount >= (operation.lines_total ?? 0)),
    workspaceId: operation.workspace_id,
    serviceId: operation.service_id,
    change: moved ?? (step === operation.step ? undefined : await touchOperation(trx, operation.id)),
  };
}

/** Whether nothing more is kept: the last line says that the rest is left out, or the whole log went because of its age. */
export async function isLogCut(trx: Trx, operationId: string): Promise<boolean> {
  const operation = await trx
    .selectFrom("operation")
    .select("log_removed_at")
    .where("id", "=", operationId)
    .executeTakeFirst();
  if (operation !== undefined && operation.log_removed_at !== null) return true;
  const last = await trx
    .selectFrom("operation_log")
    .select(["level", "text"])
    .where("operation_id", "=", operationId)
    .orderBy("n", "desc")
    .limit(1)
    .executeTakeFirst();
  return last?.level === "warn" && last.text === LOG_CUT_TEXT;
}

async function storedLog(trx: Trx, operationId: string): Promise<StoredLog> {
  const sum = await trx
    .selectFrom("operation_log")
    .select([sql<number>`count(*)`.as("lines"), sql<number | null>`sum(octet_length(text))`.as("bytes")])
    .where("operation_id", "=", operationId)
    .executeTakeFirstOrThrow();
  return { lines: sum.lines, bytes: sum.bytes ?? 0, cut: await isLogCut(trx, operationId) };
}
