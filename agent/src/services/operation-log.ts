/** The log of one operation: lines go to the journal in small batches and are told about once they are on disk. */
import { isAppError, LOG_LINE_MAX, type LogLevel } from "@dflow/protocol";
import type { Clock } from "../deps.ts";
import type { Journal } from "../journal/journal.ts";
import type { StoredLine } from "../journal/lines.ts";
import { stampNow } from "../journal/stamp.ts";

export interface OperationLog {
  add(level: LogLevel, text: string): void;
  /** Writes what is waiting, now. */
  flush(): void;
  /** The last attempt to write what is waiting: the agent stops. */
  close(): void;
  /** Lines on disk. */
  count(): number;
}

/** One fsync a batch instead of one a line. */
const BATCH_MS = 100;
const BATCH_LINES = 100;
export const DISK_RETRY_MS = 1_000;
/** A container that talks without end must not fill the disk with its own deployment. */
const OUTPUT_LINES_MAX = 5_000;

export interface OperationLogDeps {
  clock: Clock;
  journal: Pick<Journal, "lines">;
  /** New lines are on disk. */
  onStored(operationId: string): void;
}

export function createOperationLog({ clock, journal, onStored }: OperationLogDeps, operationId: string): OperationLog {
  let stored = journal.lines.count(operationId);
  let waiting: StoredLine[] = [];
  let outputLines = 0;
  let cancelBatch: (() => void) | undefined;

  const flush = () => {
    cancelBatch?.();
    cancelBatch = undefined;
    if (waiting.length === 0) return;
    const lines = waiting;
    journal.lines.add(operationId, stored, lines);
    waiting = [];
    stored += lines.length;
    onStored(operationId);
  };

  /** Lines wait for room on the disk; the operation must not fail for its log. */
  const flushWhenPossible = () => {
    try {
      flush();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      cancelBatch = clock.after(DISK_RETRY_MS, flushWhenPossible);
    }
  };

  const push = (level: LogLevel, text: string) => {
    waiting.push({ at: stampNow(clock), level, text });
    if (waiting.length === BATCH_LINES) return flushWhenPossible();
    cancelBatch ??= clock.after(BATCH_MS, flushWhenPossible);
  };

  return {
    add(level, text) {
      for (const line of text.split("\n")) {
        if (level === "output") {
          outputLines += 1;
          if (outputLines === OUTPUT_LINES_MAX + 1) push("warn", "Further output is not kept in this log.");
          if (outputLines > OUTPUT_LINES_MAX) continue;
        }
        push(level, printable(line));
      }
    },
    flush,
    close() {
      try {
        flush();
      } catch (error) {
        if (!isDiskFull(error)) throw error;
      }
    },
    count: () => stored,
  };
}

/** Terminal colours and control characters would garble a reader's screen. */
function printable(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are just what is removed here
  const plain = line.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "").replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, "");
  return plain.length <= LOG_LINE_MAX ? plain : `${plain.slice(0, LOG_LINE_MAX - 1)}…`;
}

export function isDiskFull(error: unknown): boolean {
  return isAppError(error) && error.code === "disk_full";
}
