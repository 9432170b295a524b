/**
 * Container logs over one socket: numbered streams from the agent, each with its own credit, and the viewers of each.
 *
 * THE RULES
 * - A stream goes at the pace of its fastest viewer: credit grows as that one takes lines. So a viewer that is alone stops
 *   Docker's log at the source and loses nothing; in company one that falls behind by a queue gets a gap marker and goes on.
 * - A viewer that follows begins with a stream of its own, unless one of its service stands just where it wants to begin.
 *   When two streams of a service have brought the same line they are one: the viewers of the one go on in the other,
 *   behind that line. Both read the same log in the same order, so nothing is missing and nothing comes twice.
 * - Where there is no place for another stream, a viewer joins one of its service as it is, behind a gap marker.
 * - A stream without viewers is closed at once.
 */
import { AppError, LINK_LIMITS, type LogClose, type LogData, type OutgoingToAgent } from "@dflow/protocol";
import type { LogLineOut, LogListener, LogRequest } from "./agents.ts";
import { createLogLineReader, type LogLineReader, parseCursor } from "./log-lines.ts";
import { createLogRing, type LogRing } from "./log-ring.ts";
import { createLogViewer, type EndReason, type LogViewer } from "./log-viewer.ts";

/** Small credits would double the number of frames; half the window keeps the agent sending while we confirm. */
const CREDIT_STEP_BYTES = LINK_LIMITS.logCreditBytes / 2;
/** Heartbeats in a row that do not name a stream: the first may have left before the agent heard of it. */
const BEATS_WITHOUT = 2;
export const VIEWER_LIMITS = { perService: 200, perServer: 500 } as const;

export interface LogStreams {
  /** Throws `rate_limited` and, for a cursor that is none, `invalid_input`. */
  open(request: LogRequest, listener: LogListener): { close(): void };
  data(data: LogData): void;
  closed(close: LogClose): void;
  /** What the agent says it has open: what nobody here reads is closed, and what it does not know is lost. */
  compare(streamIds: readonly number[]): void;
  /** The socket is gone. */
  lost(): void;
  /** Streams of the agent, and who reads them. */
  counts(): { streams: number; viewers: number };
}

interface Stream {
  id: number;
  request: LogRequest;
  reader: LogLineReader;
  ring: LogRing;
  viewers: Set<LogViewer>;
  /** Where the next payload starts unless something was lost. */
  nextOffset: number;
  receivedBytes: number;
  grantedBytes: number;
  /** As far as its fastest viewer has come. */
  takenBytes: number;
  missedBeats: number;
}

export function createLogStreams(send: (frame: OutgoingToAgent) => void, onBug: (error: unknown) => void): LogStreams {
  const streams = new Map<number, Stream>();
  /** Every viewer that has a stream. */
  const streamOf = new Map<LogViewer, Stream>();
  let lastId = 0;

  const followed = (serviceId: string): Stream[] =>
    [...streams.values()].filter(({ request }) => request.follow && request.serviceId === serviceId);

  const grant = (stream: Stream): void => {
    const bytes = stream.takenBytes + LINK_LIMITS.logCreditBytes - stream.grantedBytes;
    if (bytes < CREDIT_STEP_BYTES || streams.get(stream.id) !== stream) return;
    stream.grantedBytes += bytes;
    send({ type: "log_credit", data: { streamId: stream.id, bytes } });
  };

  const hand = (stream: Stream, viewers: Iterable<LogViewer>, lines: readonly LogLineOut[], bytes: number): void => {
    const position = stream.receivedBytes;
    const taken = () => {
      if (position <= stream.takenBytes) return;
      stream.takenBytes = position;
      grant(stream);
    };
    for (const viewer of viewers) viewer.lines(lines, bytes, taken);
  };

  const join = (viewer: LogViewer, stream: Stream): void => {
    stream.viewers.add(viewer);
    streamOf.set(viewer, stream);
  };

  const closeStream = (stream: Stream, reason: "viewer_left" | "failed"): void => {
    streams.delete(stream.id);
    send({ type: "log_close", data: { streamId: stream.id, reason } });
  };

  const leave = (viewer: LogViewer): void => {
    viewer.leave();
    const stream = streamOf.get(viewer);
    if (stream === undefined) return;
    streamOf.delete(viewer);
    stream.viewers.delete(viewer);
    if (stream.viewers.size === 0) closeStream(stream, "viewer_left");
  };

  const end = (stream: Stream, reason: EndReason, error?: AppError): void => {
    streams.delete(stream.id);
    for (const viewer of stream.viewers) {
      streamOf.delete(viewer);
      viewer.end(reason, error);
    }
  };

  const openStream = (request: LogRequest): Stream => {
    const after = request.after === undefined ? undefined : parseCursor(request.after);
    const stream: Stream = {
      id: ++lastId,
      request,
      reader: createLogLineReader(after),
      ring: createLogRing(request.after),
      viewers: new Set(),
      nextOffset: 0,
      receivedBytes: 0,
      grantedBytes: LINK_LIMITS.logCreditBytes,
      takenBytes: 0,
      missedBeats: 0,
    };
    streams.set(stream.id, stream);
    const since = after?.at ?? request.since;
    send({
      type: "log_open",
      data: {
        streamId: stream.id,
        serviceId: request.serviceId,
        follow: request.follow,
        // Resuming wants every line since the cursor, however many.
        tail: after === undefined ? request.tail : null,
        ...(since === undefined ? {} : { since }),
        creditBytes: stream.grantedBytes,
      },
    });
    return stream;
  };

  /** Where a viewer of this request begins: in a stream that stands there already, in its own, or behind a gap. */
  const begin = (request: LogRequest, viewer: LogViewer): void => {
    const others = request.follow ? followed(request.serviceId) : [];
    const [any] = others;
    for (const stream of others) {
      const missed = missedIn(stream, request);
      if (missed === undefined) continue;
      moveTo(stream, [viewer], missed);
      return;
    }
    if (streams.size < LINK_LIMITS.logStreamsPerAgent) join(viewer, openStream(request));
    else if (any === undefined) throw tooMany(`${streams.size} logs of this server are being read already.`);
    else {
      viewer.gap();
      join(viewer, any);
    }
  };

  const moveTo = (stream: Stream, viewers: readonly LogViewer[], missed: readonly LogLineOut[]): void => {
    const bytes = missed.reduce((sum, { at, text }) => sum + at.length + text.length, 0);
    for (const viewer of viewers) join(viewer, stream);
    if (missed.length > 0) hand(stream, viewers, missed, bytes);
  };

  /** The first of these lines that another stream of the service has brought, too. */
  const meeting = (stream: Stream, lines: readonly LogLineOut[]) => {
    if (!stream.request.follow) return undefined;
    const others = followed(stream.request.serviceId).filter((other) => other !== stream);
    if (others.length === 0) return undefined;
    for (const [position, line] of lines.entries()) {
      for (const other of others) {
        const missed = other.ring.after(line);
        if (missed !== undefined) return { other, missed, known: lines.slice(0, position + 1) };
      }
    }
    return undefined;
  };

  const receive = (stream: Stream, { payload, stderr }: LogData): void => {
    const lines = stream.reader.read(stderr ? "stderr" : "stdout", payload);
    const met = meeting(stream, lines);
    hand(stream, stream.viewers, met?.known ?? lines, payload.length);
    if (met === undefined) {
      for (const line of lines) stream.ring.push(line);
      return;
    }
    const viewers = [...stream.viewers];
    closeStream(stream, "viewer_left");
    moveTo(met.other, viewers, met.missed);
  };

  const admit = (request: LogRequest): void => {
    if (request.after !== undefined && parseCursor(request.after) === undefined) {
      throw new AppError("invalid_input", `“${request.after.slice(0, 80)}” is not a position in a log.`);
    }
    if (streamOf.size >= VIEWER_LIMITS.perServer) {
      throw tooMany(`${streamOf.size} viewers read logs of this server already.`);
    }
    const ofService = followed(request.serviceId).reduce((sum, { viewers }) => sum + viewers.size, 0);
    if (request.follow && ofService >= VIEWER_LIMITS.perService) {
      throw tooMany(`${ofService} viewers follow this log already.`);
    }
  };

  return {
    open(request, listener) {
      admit(request);
      const viewer = createLogViewer(listener, (error) => {
        // A listener that throws is gone; its stream must not stay behind.
        leave(viewer);
        onBug(error);
      });
      begin(request, viewer);
      return { close: () => leave(viewer) };
    },

    data(data) {
      const stream = streams.get(data.streamId);
      // Bytes that were under way when the viewer left.
      if (stream === undefined) return;
      const isGap = data.gap || data.offset !== stream.nextOffset;
      stream.nextOffset = data.offset + data.payload.length;
      stream.receivedBytes += data.payload.length;
      if (stream.receivedBytes > stream.grantedBytes) {
        closeStream(stream, "failed");
        end(stream, "failed", new AppError("internal", "The agent sent more of this log than it was asked for."));
        return;
      }
      if (isGap) {
        stream.ring.clear();
        for (const viewer of stream.viewers) viewer.gap();
      }
      receive(stream, data);
    },

    closed({ streamId, reason, failure }) {
      const stream = streams.get(streamId);
      if (stream === undefined) return;
      const error = failure && new AppError(failure.code, failure.message, failure.hint ? { hint: failure.hint } : {});
      end(stream, reason === "failed" ? "failed" : "ended", error);
    },

    compare(streamIds) {
      const held = new Set(streamIds);
      for (const streamId of held) {
        if (!streams.has(streamId)) send({ type: "log_close", data: { streamId, reason: "viewer_left" } });
      }
      for (const stream of [...streams.values()]) {
        stream.missedBeats = held.has(stream.id) ? 0 : stream.missedBeats + 1;
        if (stream.missedBeats >= BEATS_WITHOUT) end(stream, "agent_lost");
      }
    },

    lost() {
      for (const stream of [...streams.values()]) end(stream, "agent_lost");
    },

    counts: () => ({ streams: streams.size, viewers: streamOf.size }),
  };
}

/** What this stream has brought since the place where a request wants to begin; `undefined` when it does not stand there. */
function missedIn({ request, ring, receivedBytes }: Stream, wanted: LogRequest): LogLineOut[] | undefined {
  if (wanted.after !== undefined) return ring.after({ cursor: wanted.after });
  const isSame = request.after === undefined && request.tail === wanted.tail && request.since === wanted.since;
  return isSame && receivedBytes === 0 ? [] : undefined;
}

function tooMany(message: string): AppError {
  return new AppError("rate_limited", message, { hint: "Close a log that nobody looks at, then open this one again." });
}
