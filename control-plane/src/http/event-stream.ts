/** A server-sent event stream that ends: with its client, its reader's right, or the process. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { RoomDeps } from "../deps.ts";
import type { ApiEnv } from "./context.ts";

const KEEP_ALIVE_MS = 15_000;
/** What a timer can count: a session that lasts longer is looked at again when the stream is opened anew. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface StreamMessage {
  event: string;
  /** One line: JSON. */
  data: string;
  id?: string;
}

export interface EventStream {
  /** In the order of the calls. Resolves when the client can take more. */
  send(...messages: StreamMessage[]): Promise<void>;
  /** Aborted when the stream has ended. */
  ended: AbortSignal;
  end(): void;
  /** A message after the end: why it ended. Lost when the client has gone. */
  last(message: StreamMessage): Promise<void>;
}

/**
 * `begin` is called at once and may still refuse with an error; what it returns runs as the body of the answer. The stream
 * ends when that returns or when the reader's right does.
 */
export function eventStream(
  c: Context<ApiEnv>,
  deps: Pick<RoomDeps, "access" | "clock" | "stopping" | "streams" | "timers" | "log">,
  begin: () => (stream: EventStream) => Promise<void>,
): Response {
  const { principal, workspaceId, requestId } = c.var;
  // Of a HEAD answer nobody reads the body, and nobody would tell us to stop writing it.
  if (c.req.method === "HEAD") return c.body(null, 200, { "Content-Type": "text/event-stream" });
  const leave = deps.streams.open(principal.id);
  const work = begun(begin, leave);
  const ending = new AbortController();
  const end = () => ending.abort();
  // Nginx and its kind would otherwise hold events back until a buffer is full.
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (sse) => {
    const write = async (text: string): Promise<void> => {
      await sse.write(text);
    };
    /** A client that takes nothing holds up its own stream, never the end of it. */
    const writeUntilEnd = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const done = () => {
          ending.signal.removeEventListener("abort", done);
          resolve();
        };
        ending.signal.addEventListener("abort", done);
        if (ending.signal.aborted) done();
        void write(text).then(done);
      });
    let pinging = false;
    const ping = () => {
      // A client that takes nothing gets no heap of comments.
      if (pinging) return;
      pinging = true;
      void write(": keep-alive\n\n").finally(() => {
        pinging = false;
      });
    };
    const endsAt = principal.kind === "user" ? principal.sessionEndsAt : principal.endsAt;
    const lastsMs = Math.min(Math.max(0, endsAt - deps.clock.now()), LONGEST_TIMER_MS);

    sse.onAbort(end);
    deps.stopping.addEventListener("abort", end);
    const stops = [
      leave,
      deps.access.watch(principal, workspaceId, end),
      deps.timers.after(lastsMs, end),
      deps.timers.every(KEEP_ALIVE_MS, ping),
      () => deps.stopping.removeEventListener("abort", end),
    ];
    if (deps.stopping.aborted) end();
    try {
      // Says at once that the stream is open, before the first event.
      await writeUntilEnd(": open\n\n");
      await work({
        send: (...messages) =>
          ending.signal.aborted ? Promise.resolve() : writeUntilEnd(messages.map(messageText).join("")),
        ended: ending.signal,
        end,
        // Not waited for: whatever the client takes, the stream is over.
        last: async (message) => void write(messageText(message)),
      });
    } catch (error) {
      // Here and not in the framework, which would send the error's own text to the client.
      deps.log.error({ err: error, requestId }, "event stream failed");
    } finally {
      end();
      for (const stop of stops) stop();
    }
  });
}

function begun<T>(begin: () => T, undo: () => void): T {
  try {
    return begin();
  } catch (error) {
    undo();
    throw error;
  }
}

function messageText({ event, data, id }: StreamMessage): string {
  return `event: ${event}\ndata: ${data}\n${id === undefined ? "" : `id: ${id}\n`}\n`;
}

/** Resolves when the signal is aborted. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** A doorbell: `ring` any number of times, `wait` once for all of them. */
export function createBell(signal: AbortSignal): { ring(): void; wait(): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  const ring = () => {
    rung = true;
    wake?.();
  };
  signal.addEventListener("abort", ring, { once: true });
  return {
    ring,
    async wait() {
      if (!rung && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      wake = undefined;
      rung = false;
    },
  };
}
