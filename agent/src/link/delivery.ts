/** Brings operations' log lines and results to the control plane, again after every reconnect, until it has them. */
import type { LogLine, OutgoingToControlPlane } from "@dflow/protocol";
import type { Clock } from "../deps.ts";
import type { Journal, OperationRecord } from "../journal/journal.ts";
import { ageMs } from "../journal/stamp.ts";

export interface Delivery {
  /** A new session: whatever is not acknowledged goes out again. */
  begin(): void;
  linesStored(operationId: string): void;
  finished(operationId: string): void;
  /** Again, because the control plane asked for an operation that is over. */
  resend(operationId: string): void;
  linesAcknowledged(operationId: string, next: number): void;
  resultAcknowledged(operationId: string): void;
}

export interface DeliveryDeps {
  clock: Clock;
  journal: Pick<Journal, "operations" | "lines">;
  send(frame: OutgoingToControlPlane): boolean;
  stepOf(operationId: string): string | undefined;
}

const BATCH_LINES = 200;
/** Well under the limit of a JSON frame, which counts bytes: other scripts take three a character. */
const BATCH_BYTES = 100_000;
/** Lines that may be under way without an acknowledgement. */
const WINDOW_LINES = 2_000;

interface Progress {
  sent: number;
  acknowledged: number;
  /** The result may go once its lines have gone. */
  finished: boolean;
  resultSent: boolean;
}

export function createDelivery({ clock, journal, send, stepOf }: DeliveryDeps): Delivery {
  const progress = new Map<string, Progress>();

  const progressOf = (operationId: string) => {
    const known = progress.get(operationId);
    if (known !== undefined) return known;
    const fresh = { sent: 0, acknowledged: 0, finished: false, resultSent: false };
    progress.set(operationId, fresh);
    return fresh;
  };

  const pump = (operationId: string) => {
    const state = progressOf(operationId);
    const ended = journal.operations.get(operationId)?.outcome;
    while (state.sent - state.acknowledged < WINDOW_LINES) {
      const lines = batch(operationId, state.sent, ended?.lineCount);
      if (lines.length === 0) break;
      const step = stepOf(operationId);
      const data = { operationId, from: state.sent, lines, ...(step === undefined ? {} : { step }) };
      if (!send({ type: "progress", data })) return;
      state.sent += lines.length;
    }
    const record = journal.operations.get(operationId);
    if (record?.outcome === undefined || record.acknowledged || !state.finished || state.resultSent) return;
    if (state.sent < record.outcome.lineCount) return;
    state.resultSent = sendResult(record, record.outcome);
  };

  const batch = (operationId: string, from: number, until: number | undefined): LogLine[] => {
    let bytes = 0;
    const lines: LogLine[] = [];
    for (const { at, ...stored } of journal.lines.read(operationId, from, BATCH_LINES, until)) {
      const line = { ...stored, ageMs: ageMs(clock, at) };
      bytes += Buffer.byteLength(JSON.stringify(line));
      if (bytes > BATCH_BYTES && lines.length > 0) break;
      lines.push(line);
    }
    return lines;
  };

  const resultOf = ({ operationId, startedAt }: OperationRecord, outcome: NonNullable<OperationRecord["outcome"]>) => {
    const { endedAt, ...rest } = outcome;
    return {
      operationId,
      ...rest,
      endedAgeMs: ageMs(clock, endedAt),
      ...(startedAt === undefined ? {} : { startedAgeMs: ageMs(clock, startedAt) }),
    };
  };

  const sendResult = (record: OperationRecord, outcome: NonNullable<OperationRecord["outcome"]>) =>
    send({ type: "result", data: resultOf(record, outcome) });

  const restart = (operationId: string) => {
    const state = progressOf(operationId);
    state.sent = state.acknowledged;
    state.resultSent = false;
    // Only a running operation is still to be told about by its runner.
    state.finished = journal.operations.get(operationId)?.outcome !== undefined;
    pump(operationId);
  };

  return {
    begin() {
      for (const { operationId } of journal.operations.undelivered()) restart(operationId);
    },
    linesStored: pump,
    finished(operationId) {
      progressOf(operationId).finished = true;
      pump(operationId);
    },
    resend(operationId) {
      const record = journal.operations.get(operationId);
      if (record?.outcome === undefined) return restart(operationId);
      // Its lines may be gone, because they were delivered once; the result is kept for a week.
      sendResult(record, record.outcome);
    },
    linesAcknowledged(operationId, next) {
      const state = progress.get(operationId);
      const record = journal.operations.get(operationId);
      // Asked for lines that were let go of: the result again says that there are none.
      if (record?.outcome !== undefined && record.acknowledged) return sendResult(record, record.outcome);
      if (state === undefined) return;
      // Fewer than it had before: the control plane was restored from an older backup. Its lines go out again.
      if (next < state.acknowledged) state.sent = next;
      state.acknowledged = Math.min(next, state.sent);
      pump(operationId);
    },
    resultAcknowledged(operationId) {
      const record = journal.operations.change(operationId, { acknowledged: true });
      if (record === undefined) return;
      progress.delete(operationId);
      journal.lines.removeAll(operationId);
    },
  };
}
