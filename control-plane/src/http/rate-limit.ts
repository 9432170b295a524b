/** Counts events per key in fixed windows, in bounded memory that is given back when the windows have ended. */
import { AppError } from "@dflow/protocol";
import type { Clock } from "../platform.ts";

export interface RateLimit {
  limit: number;
  windowMs: number;
}

export interface RateLimiter {
  /** Counts one event. Throws `rate_limited` when it is one too many. */
  take(key: string): void;
  /** Counts one event. When it is one too many: the seconds to wait, for who answers without throwing. */
  refusal(key: string): number | undefined;
  /** Whether the next event would be one too many. Counts nothing. */
  isSpent(key: string): boolean;
  /** Forgets what was counted for a key. */
  clear(key: string): void;
  /** Keys that are held in memory. */
  size(): number;
}

/** More keys than this at once are a flood of addresses: the oldest windows are forgotten first. */
const MAX_KEYS = 20_000;

interface Window {
  startedAt: number;
  count: number;
}

export function createRateLimiter({ limit, windowMs }: RateLimit, clock: Pick<Clock, "monotonicMs">): RateLimiter {
  // Insertion order is age order, as every window lasts equally long: the oldest is always first.
  const windows = new Map<string, Window>();

  const forgetEnded = (now: number): void => {
    for (const [key, { startedAt }] of windows) {
      if (now - startedAt < windowMs && windows.size <= MAX_KEYS) break;
      windows.delete(key);
    }
  };
  const windowOf = (key: string, now: number): Window => {
    const known = windows.get(key);
    if (known !== undefined && now - known.startedAt < windowMs) return known;
    const fresh = { startedAt: now, count: 0 };
    // Deleted first so that a renewed window moves to the end of the map's order.
    windows.delete(key);
    windows.set(key, fresh);
    forgetEnded(now);
    return fresh;
  };
  const refusal = (key: string): number | undefined => {
    const now = clock.monotonicMs();
    const window = windowOf(key, now);
    if (window.count >= limit) return Math.max(1, Math.ceil((window.startedAt + windowMs - now) / 1000));
    window.count += 1;
    return undefined;
  };

  return {
    refusal,
    take(key) {
      const retryAfterSeconds = refusal(key);
      if (retryAfterSeconds !== undefined) throw tooMany("Too many requests.", retryAfterSeconds);
    },
    isSpent(key) {
      const window = windows.get(key);
      return window !== undefined && clock.monotonicMs() - window.startedAt < windowMs && window.count >= limit;
    },
    clear(key) {
      windows.delete(key);
    },
    size: () => windows.size,
  };
}

export function tooMany(message: string, retryAfterSeconds: number): AppError {
  return new AppError("rate_limited", message, {
    hint: `Try again in ${retryAfterSeconds} s.`,
    details: { retryAfterSeconds },
  });
}
