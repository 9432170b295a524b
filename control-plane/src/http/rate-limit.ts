/** Counts events per key in fixed windows, in bounded memory. */
import { AppError } from "@dflow/protocol";
import type { Clock } from "../platform.ts";

export interface RateLimit {
  limit: number;
  windowMs: number;
}

export interface RateLimiter {
  /** Counts one event. Throws `rate_limited` when it is one too many. */
  take(key: string): void;
  /** Throws when the next event would be one too many, and counts nothing. */
  check(key: string): void;
  /** Forgets what was counted for a key. */
  clear(key: string): void;
}

/** More keys than this at once are a flood of addresses: the oldest windows are forgotten first. */
const MAX_KEYS = 20_000;

export function createRateLimiter({ limit, windowMs }: RateLimit, clock: Pick<Clock, "monotonicMs">): RateLimiter {
  const windows = new Map<string, { startedAt: number; count: number }>();

  const windowOf = (key: string) => {
    const now = clock.monotonicMs();
    const known = windows.get(key);
    if (known !== undefined && now - known.startedAt < windowMs) return known;
    const fresh = { startedAt: now, count: 0 };
    // Deleted first so that a renewed window moves to the end of the map's order.
    windows.delete(key);
    windows.set(key, fresh);
    if (windows.size > MAX_KEYS) {
      const oldest = windows.keys().next();
      if (oldest.done !== true) windows.delete(oldest.value);
    }
    return fresh;
  };
  const refuse = (startedAt: number): never => {
    const retryAfterSeconds = Math.max(1, Math.ceil((startedAt + windowMs - clock.monotonicMs()) / 1000));
    throw new AppError("rate_limited", "Too many requests.", {
      hint: `Try again in ${retryAfterSeconds} s.`,
      details: { retryAfterSeconds },
    });
  };

  return {
    take(key) {
      const window = windowOf(key);
      if (window.count >= limit) refuse(window.startedAt);
      window.count += 1;
    },
    check(key) {
      const window = windows.get(key);
      if (window === undefined || clock.monotonicMs() - window.startedAt >= windowMs) return;
      if (window.count >= limit) refuse(window.startedAt);
    },
    clear(key) {
      windows.delete(key);
    },
  };
}
