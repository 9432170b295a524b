/** Operations as the API shows them. Pure. */
import {
  DEPLOYMENT_LABELS,
  failureSchema,
  isTerminal,
  logLevelSchema,
  type Operation,
  type OperationLogLine,
  timingsSchema,
} from "@dflow/protocol";
import type { OperationLogTable } from "../db/schema.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
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
    revision: row.revision,
  };
}

/** What lists and the service show of an operation. */
export function openOperationView(row: OperationRow) {
  return { id: row.id, kind: row.kind, state: row.state, createdAt: isoTime(row.created_at) };
}

export function logLineView(row: OperationLogTable): OperationLogLine {
  return { n: row.n, at: isoTime(row.at), level: logLevelSchema.parse(row.level), text: row.text };
}

/** The operation has ended, and a reader who has all lines before `next` has them all. */
export function isLogComplete(row: Pick<OperationRow, "state" | "line_count" | "lines_total">, next: number): boolean {
  return isTerminal(row.state) && next >= Math.max(row.line_count, row.lines_total ?? 0);
}
