/** Log streams that viewers opened: read from Docker only as far as credit goes, and followed across restarts. */
import type { Readable } from "node:stream";
import {
  AppError,
  encodeLogData,
  isAppError,
  LINK_LIMITS,
  type LogClose,
  type LogOpen,
  messageOf,
} from "@dflow/protocol";
import type { Clock, Log } from "../deps.ts";
import type { Docker, FoundContainer } from "../docker/docker.ts";
import { generationOf, LABEL, serviceLabel } from "../services/naming.ts";
import { sleep } from "../waiting.ts";
import { createLineReader, type Line } from "./lines.ts";

export interface LogTransport {
  /** Hands bulk bytes to the link; resolves when it takes more. Rejects when the signal is aborted. */
  send(frame: Uint8Array, signal: AbortSignal): Promise<void>;
  closed(close: LogClose): void;
}

export interface LogStreams {
  open(request: LogOpen): void;
  credit(streamId: number, bytes: number): void;
  close(streamId: number): void;
  /** The link is gone: every stream ends. */
  closeAll(): void;
  count(): number;
  /** What the last look at Docker saw, so that a stream goes on when its container comes back. */
  seen(containers: ReadonlyMap<string, FoundContainer>): void;
}

export interface LogStreamsDeps {
  clock: Clock;
  docker: Docker;
  log: Log;
}

/** Docker has been seen to stop following at a rotation; after this silence the stream is opened anew from its cursor. */
const SILENCE_MS = 60_000;
const REOPEN_PAUSE_MS = 1_000;

interface Stream {
  request: LogOpen;
  controller: AbortController;
  credit: number;
  wake: () => void;
  offset: number;
  /** Of the last line handed on: its time, and how many lines carried that time. */
  cursor?: { containerId: string; time: string; count: number };
}

export function createLogStreams(
  { clock, docker, log }: LogStreamsDeps,
  agentId: string,
  transport: LogTransport,
): LogStreams {
  const streams = new Map<number, Stream>();
  let running: ReadonlyMap<string, FoundContainer> = new Map();
  const lookers = new Set<() => void>();

  const follow = async (stream: Stream) => {
    const { request, controller } = stream;
    const { signal } = controller;
    let container = await newestContainer(request.serviceId, signal);
    if (container === undefined && !request.follow) {
      throw new AppError("log_unavailable", "there is no container, and its log went with it");
    }
    for (;;) {
      if (container !== undefined) await readContainer(stream, container, signal);
      if (!request.follow) return;
      const before: FoundContainer | undefined = container;
      container = await nextRun(request.serviceId, before, signal);
    }
  };

  const newestContainer = async (serviceId: string, signal: AbortSignal) => {
    const listed = (await docker.listContainers(serviceLabel(serviceId), signal))
      .filter(({ labels }) => labels[LABEL.agent] === agentId)
      .toSorted((a, b) => generationOf(b.labels) - generationOf(a.labels));
    return listed[0] === undefined ? undefined : docker.findContainer(listed[0].id, signal);
  };

  /** Until the service runs in a new container, or again in the same one. */
  const nextRun = async (serviceId: string, before: FoundContainer | undefined, signal: AbortSignal) => {
    // The stream may have ended although the container runs on; a pause keeps a broken log from turning in circles.
    await sleep(clock, REOPEN_PAUSE_MS, signal);
    let dockerAnswered = true;
    const now = await newestContainer(serviceId, signal).catch((error) => {
      if (signal.aborted || !isAppError(error)) throw error;
      dockerAnswered = false;
      return undefined;
    });
    // A container can outlive the engine's absence, so that the next look finds it unchanged.
    if (!dockerAnswered) {
      await nextLook(signal);
      return nextRun(serviceId, before, signal);
    }
    if (now !== undefined && (now.state === "running" || now.id !== before?.id)) return now;
    for (;;) {
      const seen = running.get(serviceId);
      const isNew = seen?.id !== before?.id || seen?.startedAt !== (now ?? before)?.startedAt;
      if (seen?.state === "running" && isNew) return seen;
      await nextLook(signal);
    }
  };

  const nextLook = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const onLook = () => {
        lookers.delete(onLook);
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        lookers.delete(onLook);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      lookers.add(onLook);
      signal.addEventListener("abort", onAbort, { once: true });
    });

  const readContainer = async (stream: Stream, container: FoundContainer, signal: AbortSignal) => {
    const { request, cursor } = stream;
    const goesOn = cursor?.containerId === container.id ? cursor : undefined;
    const isFirst = cursor === undefined;
    const since = goesOn?.time ?? (isFirst ? request.since : undefined);
    const source = await docker.openLogs(
      container.id,
      {
        follow: request.follow,
        tail: isFirst ? request.tail : null,
        timestamps: true,
        ...(since === undefined ? {} : { since: unixTime(since) }),
      },
      signal,
    );
    if (source === undefined) return;
    let skip = goesOn?.count ?? 0;
    const lines: Line[] = [];
    const reader = createLineReader((line) => {
      if (goesOn !== undefined && skip > 0 && line.time === goesOn.time) {
        skip -= 1;
        return;
      }
      lines.push(line);
    });
    const end = () => source.destroy();
    signal.addEventListener("abort", end, { once: true });
    try {
      for await (const chunk of untilSilent(source)) {
        reader.feed(chunk);
        await handOn(stream, container.id, lines, signal);
      }
      reader.end();
      await handOn(stream, container.id, lines, signal);
    } catch (error) {
      // A stream that broke is taken up again from its cursor.
      if (signal.aborted || !request.follow) throw error;
      log.debug({ streamId: request.streamId, reason: messageOf(error) }, "a container's log ended early");
    } finally {
      signal.removeEventListener("abort", end);
      source.destroy();
    }
  };

  async function* untilSilent(source: Readable): AsyncGenerator<Buffer> {
    const arm = () => clock.after(SILENCE_MS, () => source.destroy());
    let cancel = arm();
    try {
      for await (const chunk of source) {
        cancel();
        yield chunk as Buffer;
        cancel = arm();
      }
    } finally {
      cancel();
    }
  }

  /** Sends whole lines in frames of one channel, never more than there is credit for. */
  const handOn = async (stream: Stream, containerId: string, lines: Line[], signal: AbortSignal) => {
    const { request } = stream;
    while (lines.length > 0) {
      const [first] = lines;
      if (first === undefined) return;
      const firstBytes = bytesOf(first);
      // A line longer than the whole window could never go; it goes when the window is open as far as it gets.
      while (stream.credit < firstBytes.length && stream.credit < request.creditBytes) {
        await woken(stream, signal);
      }
      const parts = [firstBytes];
      let size = firstBytes.length;
      let taken = 1;
      for (const line of lines.slice(1)) {
        const bytes = bytesOf(line);
        const limit = Math.min(stream.credit, LINK_LIMITS.logPayloadBytes);
        if (line.stderr !== first.stderr || size + bytes.length > limit) break;
        parts.push(bytes);
        size += bytes.length;
        taken += 1;
      }
      const payload = Buffer.concat(parts);
      const { streamId } = request;
      const frame = encodeLogData({ streamId, offset: stream.offset, stderr: first.stderr, gap: false, payload });
      stream.credit -= size;
      stream.offset += size;
      for (const line of lines.splice(0, taken)) advance(stream, containerId, line.time);
      await transport.send(frame, signal);
      signal.throwIfAborted();
    }
  };

  const end = (stream: Stream, close: Omit<LogClose, "streamId"> | undefined) => {
    const { streamId } = stream.request;
    if (streams.get(streamId) !== stream) return;
    streams.delete(streamId);
    stream.controller.abort(new Error("the log stream was closed"));
    if (close !== undefined) transport.closed({ streamId, ...close });
  };

  return {
    open(request) {
      const { streamId } = request;
      const known = streams.get(streamId);
      if (known !== undefined) end(known, undefined);
      if (streams.size >= LINK_LIMITS.logStreamsPerAgent) {
        const failure = { code: "log_unavailable" as const, message: "too many logs are open on this server" };
        transport.closed({ streamId, reason: "failed", failure });
        return;
      }
      const stream: Stream = {
        request,
        controller: new AbortController(),
        credit: request.creditBytes,
        wake: () => undefined,
        offset: 0,
      };
      streams.set(streamId, stream);
      follow(stream).then(
        () => end(stream, { reason: "ended" }),
        (error) => end(stream, { reason: "failed", failure: failureOf(error) }),
      );
    },
    credit(streamId, bytes) {
      const stream = streams.get(streamId);
      if (stream === undefined) return;
      stream.credit += bytes;
      stream.wake();
    },
    close(streamId) {
      const stream = streams.get(streamId);
      if (stream !== undefined) end(stream, undefined);
    },
    closeAll() {
      for (const stream of [...streams.values()]) end(stream, undefined);
    },
    count: () => streams.size,
    seen(containers) {
      running = containers;
      for (const looker of [...lookers]) looker();
    },
  };
}

function woken(stream: Stream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    stream.wake = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
  });
}

function advance(stream: Stream, containerId: string, time: string): void {
  const { cursor } = stream;
  const same = cursor?.containerId === containerId && cursor.time === time;
  stream.cursor = { containerId, time, count: same ? cursor.count + 1 : 1 };
}

const bytesOf = ({ time, text }: Line) => Buffer.from(`${time} ${text}\n`);

/** RFC 3339 to Docker's seconds with nanoseconds, without rounding through a float. */
function unixTime(rfc3339: string): string {
  const match = /^(.*?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/.exec(rfc3339);
  const seconds = Math.floor(Date.parse(`${match?.[1]}${match?.[3]}`) / 1_000);
  if (match === null || Number.isNaN(seconds)) throw new AppError("invalid_input", `"${rfc3339}" is not a time`);
  return `${seconds}.${(match[2] ?? "").padEnd(9, "0")}`;
}

function failureOf(error: unknown): LogClose["failure"] {
  if (!isAppError(error)) return { code: "log_unavailable", message: messageOf(error).slice(0, 4_000) };
  return { code: error.code, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}
