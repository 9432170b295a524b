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
/** Well under the limit of a JSON frame. */
const BATCH_CHARACTERS = 100_000;
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
    while (state.sent - state.acknowledged < WINDOW_LINES) {
      const lines = batch(operationId, state.sent);
      if (lines.length === 0) break;
      const step = stepOf(operationId);
      const data = { operationId, from: state.sent, lines, ...(step === undefined ? {} : { step }) };
      if (!send({ type: "progress", data })) return;
      state.sent += lines.length;
    }
    const record = journal.operations.get(operationId);
    if (record?.outcome === undefined || record.acknowledged || !state.finished || state.resultSent) return;
    if (state.sent < record.outcome.lineCount) return;
    state.resultSent = send({ type: "result", data: resultOf(record, record.outcome) });
  };

  const batch = (operationId: string, from: number): LogLine[] => {
    let characters = 0;
    const lines: LogLine[] = [];
    for (const { at, ...line } of journal.lines.read(operationId, from, BATCH_LINES)) {
      characters += line.text.length + 50;
      if (characters > BATCH_CHARACTERS && lines.length > 0) break;
      lines.push({ ...line, ageMs: ageMs(clock, at) });
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
      send({ type: "result", data: resultOf(record, record.outcome) });
    },
    linesAcknowledged(operationId, next) {
      const state = progress.get(operationId);
      if (state === undefined) return;
      state.acknowledged = Math.max(state.acknowledged, Math.min(next, state.sent));
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
