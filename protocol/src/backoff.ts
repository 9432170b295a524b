/** Reconnection delays: full jitter, so that many agents that lost the same server do not return in step. */

export interface BackoffLimits {
  baseMs: number;
  capMs: number;
}

export const LINK_BACKOFF: BackoffLimits = { baseMs: 1_000, capMs: 60_000 };

/** Delay before attempt `attempt` (0 for the first retry): uniform in [0, min(cap, base × 2^attempt)], never under 50 ms. */
export function backoffMs(attempt: number, random: () => number, limits: BackoffLimits = LINK_BACKOFF): number {
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(50, Math.floor(random() * ceiling));
}
