/** One viewer of a log: a bounded queue that is emptied as fast as its listener takes lines. */
import type { AppError } from "@dflow/protocol";
import type { LogLineOut, LogListener } from "./agents.ts";

/** What may wait for a viewer, in bytes of log. Who is further behind than this loses what waits and gets a gap marker. */
export const VIEWER_QUEUE_BYTES = 1024 * 1024;

export type EndReason = Parameters<LogListener["onEnd"]>[0];

export interface LogViewer {
  /** `taken` is called when the listener has taken the last of these lines, and not when they were dropped. */
  lines(lines: readonly LogLineOut[], bytes: number, taken: () => void): void;
  gap(): void;
  /** Told to the listener behind the last line. */
  end(reason: EndReason, error: AppError | undefined): void;
  /** Nobody listens any more: nothing is told from here on. */
  leave(): void;
}

type Entry =
  | { type: "lines"; lines: readonly LogLineOut[]; bytes: number; taken: () => void }
  | { type: "gap" }
  | { type: "end"; reason: EndReason; error: AppError | undefined };

/** `failed` hears of a listener that throws; its viewer has left then. */
export function createLogViewer(listener: LogListener, failed: (error: unknown) => void): LogViewer {
  let queue: Entry[] = [];
  let queuedBytes = 0;
  let delivering = false;
  let over = false;

  const next = (): Entry | undefined => {
    const entry = queue.shift();
    if (entry?.type === "lines") queuedBytes -= entry.bytes;
    return entry;
  };

  const leave = (): void => {
    over = true;
    queue = [];
    queuedBytes = 0;
  };

  const deliver = async (): Promise<void> => {
    for (let entry = next(); entry !== undefined; entry = next()) {
      if (entry.type === "gap") listener.onGap();
      else if (entry.type === "end") {
        leave();
        listener.onEnd(entry.reason, entry.error);
      } else {
        for (const line of entry.lines) {
          if (over) return;
          const taken = listener.onLine(line);
          if (taken !== undefined) await taken;
        }
        if (over) return;
        entry.taken();
      }
    }
    delivering = false;
  };

  const push = (entry: Entry): void => {
    if (over) return;
    queue.push(entry);
    if (delivering) return;
    delivering = true;
    deliver().catch((error: unknown) => {
      leave();
      failed(error);
    });
  };

  return {
    lines(lines, bytes, taken) {
      if (over) return;
      if (queuedBytes + bytes > VIEWER_QUEUE_BYTES && queuedBytes > 0) {
        queue = [{ type: "gap" }];
        queuedBytes = 0;
      }
      queuedBytes += bytes;
      push({ type: "lines", lines, bytes, taken });
    },
    gap: () => push({ type: "gap" }),
    end: (reason, error) => push({ type: "end", reason, error }),
    leave,
  };
}
