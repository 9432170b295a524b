/** How much of an operation's log is kept: pure. What lies over the bound is left out, and the log says so, once. */
import type { LogLine } from "@dflow/protocol";

export const OPERATION_LOG_LIMITS = { lines: 20_000, bytes: 1024 * 1024 } as const;

export const LOG_CUT_TEXT = "The log is longer than 20,000 lines or 1 MiB. The rest of it is not kept here.";

export interface StoredLog {
  lines: number;
  bytes: number;
  /** The marker is there: nothing more is kept. */
  cut: boolean;
}

/** Which of these lines are kept, in order; the first that does not fit becomes the marker and ends the log. */
export function boundLog(stored: StoredLog, lines: readonly LogLine[]): LogLine[] {
  if (stored.cut) return [];
  const kept: LogLine[] = [];
  let count = stored.lines;
  let bytes = stored.bytes;
  for (const line of lines) {
    count += 1;
    bytes += Buffer.byteLength(line.text);
    if (count > OPERATION_LOG_LIMITS.lines || bytes > OPERATION_LOG_LIMITS.bytes) {
      kept.push({ ageMs: line.ageMs, level: "warn", text: LOG_CUT_TEXT });
      break;
    }
    kept.push(line);
  }
  return kept;
}
