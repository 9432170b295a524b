/** When an agent comes back after its socket ended: what the control plane asked for, else its own backoff. Pure. */
import { backoffMs, linkBackoff } from "./backoff.ts";
import { reconnectFloorMs } from "./wire/close-codes.ts";
import { RECONNECT_IN_MAX_MS } from "./wire/frames.ts";

export interface SocketEnd {
  /** Close code, or 1006 when there was none. */
  code: number;
  /** Attempts without a good connection since the last one. */
  failures: number;
  /** Since there was a session last, in milliseconds. */
  awayMs: number;
  /** From `drain`. */
  drainMs?: number | undefined;
  /** From a refused upgrade. */
  retryAfterMs?: number | undefined;
}

/** `Retry-After` counts whole seconds: many agents that were given the same number must not come in the same instant. */
const RETRY_AFTER_SPREAD_MS = 1_000;

/**
 * Milliseconds until the next attempt: the drain's moment before `Retry-After` before the backoff, and never sooner than the
 * close code allows. `random` gives fractions in [0, 1).
 */
export function reconnectDelayMs(end: SocketEnd, random: () => number): number {
  return Math.max(askedFor(end, random), reconnectFloorMs(end.code, random()));
}

function askedFor({ failures, awayMs, drainMs, retryAfterMs }: SocketEnd, random: () => number): number {
  if (drainMs !== undefined) return drainMs;
  if (retryAfterMs !== undefined) return retryAfterMs + Math.floor(random() * RETRY_AFTER_SPREAD_MS);
  return backoffMs(failures, random, linkBackoff(awayMs));
}

/**
 * A `Retry-After` header in milliseconds, ten minutes at most: a broken proxy must not send an agent away for a day. A
 * date, or anything else that is not a count of seconds, says nothing: an agent's wall clock may be wrong.
 */
export function parseRetryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\s*\d{1,15}\s*$/.test(header)) return undefined;
  return Math.min(Number(header) * 1000, RECONNECT_IN_MAX_MS);
}
