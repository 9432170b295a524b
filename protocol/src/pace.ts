/** How often agents report, when there are many of them. */

/** Heartbeats that a control plane has to take in a second, of all its agents together. */
const BEATS_PER_S = 400;

export interface Pace {
  heartbeatMs: number;
  /** Either side ends the socket after this long without any frame. */
  deadlineMs: number;
}

/** The configured pace, stretched so that so many agents stay under the bound. The deadline keeps its proportion. */
export function paceOf(agents: number, configured: Pace): Pace {
  const heartbeatMs = Math.max(configured.heartbeatMs, Math.ceil((agents / BEATS_PER_S) * 1_000));
  const deadlineMs = Math.ceil((configured.deadlineMs / configured.heartbeatMs) * heartbeatMs);
  return { heartbeatMs, deadlineMs };
}
