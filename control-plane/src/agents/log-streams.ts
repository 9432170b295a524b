/**
 * Container logs over one socket: numbered streams, each with its own credit. An agent sends no more bytes than its credit,
 * and credit grows only as the listener takes lines, so a slow reader stops Docker's log at the source and fills no memory.
 */
import { AppError, LINK_LIMITS, type LogClose, type LogData, type OutgoingToAgent } from "@dflow/protocol";
import type { LogLineOut, LogListener, LogRequest } from "./agents.ts";
import { createLogLineReader, type LogLineReader, parseCursor } from "./log-lines.ts";

/** Small credits would double the number of frames; half the window keeps the agent sending while we confirm. */
const CREDIT_STEP_BYTES = LINK_LIMITS.logCreditBytes / 2;

export interface LogStreams {
  open(request: LogRequest, listener: LogListener): { close(): void };
  data(data: LogData): void;
  closed(close: LogClose): void;
  /** The socket is gone. */
  lost(): void;
}

type Entry =
  | { type: "lines"; lines: LogLineOut[]; bytes: number }
  | { type: "gap" }
  | { type: "end"; reason: "ended" | "failed" | "agent_lost"; error: AppError | undefined };

interface Stream {
  listener: LogListener;
  reader: LogLineReader;
  queue: Entry[];
  /** Someone is taking entries off the queue. */
  delivering: boolean;
  /** The viewer left, or the end was delivered: what still arrives is dropped. */
  over: boolean;
  /** Where the next payload starts unless something was lost. */
  nextOffset: number;
  receivedBytes: number;
  grantedBytes: number;
  consumedBytes: number;
}

export function createLogStreams(send: (frame: OutgoingToAgent) => void, onBug: (error: unknown) => void): LogStreams {
  const streams = new Map<number, Stream>();
  let lastId = 0;

  const grant = (streamId: number, stream: Stream): void => {
    const bytes = stream.consumedBytes + LINK_LIMITS.logCreditBytes - stream.grantedBytes;
    if (bytes < CREDIT_STEP_BYTES) return;
    stream.grantedBytes += bytes;
    send({ type: "log_credit", data: { streamId, bytes } });
  };

  const deliver = async (streamId: number, stream: Stream): Promise<void> => {
    if (stream.delivering) return;
    stream.delivering = true;
    for (let entry = stream.queue.shift(); entry !== undefined; entry = stream.queue.shift()) {
      if (entry.type === "gap") stream.listener.onGap();
      else if (entry.type === "end") {
        stream.over = true;
        stream.listener.onEnd(entry.reason, entry.error);
      } else {
        for (const line of entry.lines) {
          if (stream.over) return;
          const taken = stream.listener.onLine(line);
          if (taken !== undefined) await taken;
        }
        stream.consumedBytes += entry.bytes;
        if (streams.get(streamId) === stream) grant(streamId, stream);
      }
      if (stream.over) return;
    }
    stream.delivering = false;
  };

  const push = (streamId: number, stream: Stream, ...entries: Entry[]): void => {
    stream.queue.push(...entries);
    deliver(streamId, stream).catch((error: unknown) => {
      // A listener that throws is gone; its stream must not stay behind.
      leave(streamId, stream);
      onBug(error);
    });
  };

  const leave = (streamId: number, stream: Stream): void => {
    stream.over = true;
    stream.queue.length = 0;
    if (streams.get(streamId) !== stream) return;
    streams.delete(streamId);
    send({ type: "log_close", data: { streamId, reason: "viewer_left" } });
  };

  const fail = (streamId: number, stream: Stream, error: AppError): void => {
    streams.delete(streamId);
    send({ type: "log_close", data: { streamId, reason: "failed" } });
    push(streamId, stream, { type: "end", reason: "failed", error });
  };

  return {
    open(request, listener) {
      if (streams.size >= LINK_LIMITS.logStreamsPerAgent) {
        throw new AppError("rate_limited", `${streams.size} logs of this server are being read already.`, {
          hint: "Close a log that nobody looks at, then open this one again.",
        });
      }
      const after = request.after === undefined ? undefined : parseCursor(request.after);
      if (request.after !== undefined && after === undefined) {
        throw new AppError("invalid_input", `“${request.after.slice(0, 80)}” is not a position in a log.`);
      }
      const streamId = ++lastId;
      const stream: Stream = {
        listener,
        reader: createLogLineReader(after),
        queue: [],
        delivering: false,
        over: false,
        nextOffset: 0,
        receivedBytes: 0,
        grantedBytes: LINK_LIMITS.logCreditBytes,
        consumedBytes: 0,
      };
      streams.set(streamId, stream);
      const since = after?.at ?? request.since;
      send({
        type: "log_open",
        data: {
          streamId,
          serviceId: request.serviceId,
          follow: request.follow,
          // Resuming wants every line since the cursor, however many.
          tail: after === undefined ? request.tail : null,
          ...(since === undefined ? {} : { since }),
          creditBytes: stream.grantedBytes,
        },
      });
      return { close: () => leave(streamId, stream) };
    },

    data(data) {
      const stream = streams.get(data.streamId);
      // Bytes that were under way when the viewer left.
      if (stream === undefined) return;
      const isGap = data.gap || data.offset !== stream.nextOffset;
      stream.nextOffset = data.offset + data.payload.length;
      stream.receivedBytes += data.payload.length;
      if (stream.receivedBytes > stream.grantedBytes) {
        fail(data.streamId, stream, new AppError("internal", "The agent sent more of this log than it was asked for."));
        return;
      }
      const lines = stream.reader.read(data.stderr ? "stderr" : "stdout", data.payload);
      const entry: Entry = { type: "lines", lines, bytes: data.payload.length };
      push(data.streamId, stream, ...(isGap ? [{ type: "gap" } as const, entry] : [entry]));
    },

    closed(close) {
      const stream = streams.get(close.streamId);
      if (stream === undefined) return;
      streams.delete(close.streamId);
      const { failure } = close;
      push(close.streamId, stream, {
        type: "end",
        reason: close.reason === "failed" ? "failed" : "ended",
        error: failure && new AppError(failure.code, failure.message, failure.hint ? { hint: failure.hint } : {}),
      });
    },

    lost() {
      const open = [...streams];
      streams.clear();
      for (const [streamId, stream] of open) {
        push(streamId, stream, { type: "end", reason: "agent_lost", error: undefined });
      }
    },
  };
}
