/** Reconnection delays: full jitter, so that many agents that lost the same server do not return in step. */

export interface BackoffLimits {
  baseMs: number;
  capMs: number;
}

const LINK_BASE_MS = 1_000;

/**
 * How an agent waits that has had no session for `awayMs`. A control plane that was restarted has all of its agents back
 * within seconds; one that is gone for good is asked every few minutes.
 */
export function linkBackoff(awayMs: number): BackoffLimits {
  if (awayMs < 5 * 60_000) return { baseMs: LINK_BASE_MS, capMs: 15_000 };
  return { baseMs: LINK_BASE_MS, capMs: awayMs < 60 * 60_000 ? 60_000 : 5 * 60_000 };
}

/** Delay before attempt `attempt` (0 for the first retry): uniform in [0, min(cap, base × 2^attempt)], never under 50 ms. */
export function backoffMs(attempt: number, random: () => number, limits: BackoffLimits): number {
  const ceiling = Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt, 30));
  return Math.max(50, Math.floor(random() * ceiling));
}
