/** A server-sent event stream that ends: with its client, its reader's right, or the process. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { RoomDeps } from "../deps.ts";
import type { ApiEnv } from "./context.ts";

const KEEP_ALIVE_MS = 15_000;

export interface StreamMessage {
  event: string;
  data: string;
  id?: string;
}

export interface EventStream {
  /** Resolves when the client can take more. */
  send(message: StreamMessage): Promise<void>;
  /** Aborted when the stream has ended. */
  ended: AbortSignal;
  end(): void;
  /** A message after the end: why it ended. Lost when the client has gone. */
  last(message: StreamMessage): Promise<void>;
}

/** Runs `work` as the body of the answer; the stream ends when it returns or when the reader's right does. */
export function eventStream(
  c: Context<ApiEnv>,
  deps: Pick<RoomDeps, "access" | "clock" | "stopping" | "timers" | "log">,
  work: (stream: EventStream) => Promise<void>,
): Response {
  const { principal, workspaceId, requestId } = c.var;
  const ending = new AbortController();
  const end = () => ending.abort();
  // Nginx and its kind would otherwise hold events back until a buffer is full.
  c.header("X-Accel-Buffering", "no");
  return streamSSE(
    c,
    async (sse) => {
      sse.onAbort(end);
      const stopWatching = deps.access.watch(principal, workspaceId, end);
      const endsAt = principal.kind === "user" ? principal.sessionEndsAt : principal.endsAt;
      const stopExpiry = deps.timers.after(Math.min(Math.max(0, endsAt - deps.clock.now()), 2 ** 31 - 1), end);
      const stopKeepAlive = deps.timers.every(KEEP_ALIVE_MS, () => void sse.write(": keep-alive\n\n"));
      deps.stopping.addEventListener("abort", end);
      if (deps.stopping.aborted) end();
      try {
        // Says at once that the stream is open, before the first event.
        await sse.write(": open\n\n");
        await work({
          send: (message) => (ending.signal.aborted ? Promise.resolve() : sse.writeSSE(message)),
          ended: ending.signal,
          end,
          last: (message) => sse.writeSSE(message),
        });
      } finally {
        end();
        stopWatching();
        stopExpiry();
        stopKeepAlive();
        deps.stopping.removeEventListener("abort", end);
      }
    },
    async (error) => {
      deps.log.error({ err: error, requestId }, "event stream failed");
    },
  );
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
