/** Operations as the API shows them. Pure. */
import {
  DEPLOYMENT_LABELS,
  failureSchema,
  isTerminal,
  type LogRemoval,
  logLevelSchema,
  type Operation,
  type OperationLogLine,
  type Settlement,
  timingsSchema,
} from "@dflow/protocol";
import type { OperationLogTable } from "../db/schema.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import { KEPT_DAYS } from "../retention/retention.ts";
import type { OperationRow } from "./store.ts";

export function operationView(row: OperationRow): Operation {
  return {
    id: row.id,
    serviceId: row.service_id,
    workspaceId: row.workspace_id,
    kind: row.kind,
    state: row.state,
    label: DEPLOYMENT_LABELS[row.state],
    error: row.error === null ? null : failureSchema.parse(JSON.parse(row.error)),
    createdAt: isoTime(row.created_at),
    sentAt: isoTimeOrNull(row.sent_at),
    startedAt: isoTimeOrNull(row.started_at),
    endedAt: isoTimeOrNull(row.ended_at),
    createdBy: row.created_by_kind === null ? null : { kind: row.created_by_kind, name: row.created_by_name ?? "" },
    step: row.step,
    lineCount: row.line_count,
    timings: row.timings === null ? null : timingsSchema.parse(JSON.parse(row.timings)),
    cancelRequestedAt: isoTimeOrNull(row.cancel_requested_at),
    settlement: settlementOf(row),
    revision: row.revision,
  };
}

function settlementOf(row: OperationRow): Settlement | null {
  if (row.settled_outcome === null || row.settled_at === null) return null;
  return {
    outcome: row.settled_outcome,
    note: row.settled_note ?? "",
    by: row.settled_by ?? "",
    at: isoTime(row.settled_at),
  };
}

/** What lists and the service show of an operation. */
export function openOperationView(row: OperationRow) {
  return { id: row.id, kind: row.kind, state: row.state, createdAt: isoTime(row.created_at) };
}

export function lastCheckView(row: OperationRow) {
  return { ...openOperationView(row), endedAt: isoTimeOrNull(row.ended_at) };
}

/** What a reader learns of a log that went because of its age; `undefined` while it is here, or when it never had a line. */
export function logRemoval(row: Pick<OperationRow, "line_count" | "log_removed_at">): LogRemoval | undefined {
  if (row.log_removed_at === null || row.line_count === 0) return undefined;
  const at = isoTime(row.log_removed_at);
  const days = KEPT_DAYS.operationLog;
  const lines = row.line_count === 1 ? "Its one line was" : `Its ${row.line_count} lines were`;
  return { at, reason: `Logs are kept for ${days} days after their operation's end. ${lines} removed on ${at}.` };
}

/**
 * Stands in the place of the last line, so that a reader who has the whole log gets nothing new and one who lacks any of
 * it reads why.
 */
export function removalLine(row: OperationRow, after: number): OperationLogLine[] {
  const removal = logRemoval(row);
  const n = row.line_count - 1;
  if (removal === undefined || after > n) return [];
  return [{ n, at: removal.at, level: "info", text: removal.reason }];
}

export function logLineView(row: OperationLogTable): OperationLogLine {
  return { n: row.n, at: isoTime(row.at), level: logLevelSchema.parse(row.level), text: row.text };
}

/** The operation has ended, and a reader who has all lines before `next` has all that will ever be here. */
export function isLogComplete(
  row: Pick<OperationRow, "state" | "line_count" | "lines_total" | "log_removed_at">,
  next: number,
): boolean {
  if (row.log_removed_at !== null) return true;
  return isTerminal(row.state) && next >= Math.max(row.line_count, row.lines_total ?? 0);
}
