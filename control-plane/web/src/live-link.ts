/** Keeps one event stream of one workspace open for ever and says how it stands. Runs in the shared worker or in the page. */
import { backoffMs, type Event } from "@dflow/protocol";
import { pause, readSse, StreamRefused } from "./sse.ts";

export type LinkStatus =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "offline"; sinceMs: number }
  /** The session has ended: nothing to retry until someone signs in. */
  | { state: "signed_out" };

export type LiveMessage =
  | { type: "status"; status: LinkStatus }
  | { type: "hint"; event: Event }
  /** Hints may have been lost: everything on the screen has to be asked for again. */
  | { type: "reset" };

export interface LiveLinkOptions {
  url: string;
  onMessage: (message: LiveMessage) => void;
  now?: () => number;
  random?: () => number;
  fetch?: typeof fetch;
  /** Short waits: a person looks at the screen, and there are few browsers. */
  backoff?: { baseMs: number; capMs: number };
}

const SILENCE_MS = 45_000;

export function startLiveLink(options: LiveLinkOptions): () => void {
  const stop = new AbortController();
  const { onMessage, now = Date.now, random = Math.random, backoff = { baseMs: 500, capMs: 5_000 } } = options;
  let lastEventId: string | undefined;
  let attempt = 0;
  let offlineSinceMs: number | undefined;

  async function connectOnce(): Promise<void> {
    await readSse({
      url: options.url,
      lastEventId,
      signal: stop.signal,
      silenceMs: SILENCE_MS,
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
      onOpen: () => {
        attempt = 0;
        // Asking once more costs little; a missed hint would leave something untrue on the screen.
        if (offlineSinceMs !== undefined) onMessage({ type: "reset" });
        offlineSinceMs = undefined;
        onMessage({ type: "status", status: { state: "live" } });
      },
      onEvent: ({ event, data, id }) => {
        if (id !== undefined) lastEventId = id;
        if (event === "reset") onMessage({ type: "reset" });
        if (event === "hint") onMessage({ type: "hint", event: JSON.parse(data) as Event });
      },
    });
  }

  async function run(): Promise<void> {
    onMessage({ type: "status", status: { state: "connecting" } });
    while (!stop.signal.aborted) {
      try {
        await connectOnce();
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof StreamRefused && error.status === 401) {
          onMessage({ type: "status", status: { state: "signed_out" } });
          return;
        }
      }
      offlineSinceMs ??= now();
      onMessage({ type: "status", status: { state: "offline", sinceMs: offlineSinceMs } });
      // Rejects only when stopped, which the loop's condition then sees.
      await pause(backoffMs(attempt, random, backoff), stop.signal).catch(() => undefined);
      attempt += 1;
    }
  }

  void run();
  return () => stop.abort(new Error("stopped"));
}
