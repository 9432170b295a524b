/** How long what is kept: pure. The sweep asks here, the documentation and the log's own words name the same figures. */

const DAY_MS = 24 * 3600_000;

/** Days after which a thing goes: a log after its operation's end, a token or invitation after its use or its end. */
export const KEPT_DAYS = { operationLog: 30, audit: 365, enrolmentToken: 30, invitation: 30 } as const;

/** A sweep an hour: a session that has ended is no right to anything, so it goes with the next one. */
export const SWEEP_INTERVAL_MS = 3600_000;

/**
 * Rows of one transaction, so that requests wait for milliseconds however much there is to remove. A log goes whole or
 * not at all: one that is longer than this is a transaction of its own, and its length has a bound (agents/log-bound.ts).
 */
export const ROWS_PER_TRANSACTION = 2_000;

export interface Cutoffs {
  /** Milliseconds UTC: what ended at or before goes. */
  operationLog: number;
  audit: number;
  enrolmentToken: number;
  invitation: number;
  session: number;
}

export function cutoffs(now: number): Cutoffs {
  return {
    operationLog: now - KEPT_DAYS.operationLog * DAY_MS,
    audit: now - KEPT_DAYS.audit * DAY_MS,
    enrolmentToken: now - KEPT_DAYS.enrolmentToken * DAY_MS,
    invitation: now - KEPT_DAYS.invitation * DAY_MS,
    session: now,
  };
}

/** The first of these logs that fit into one transaction together; always at least one. */
export function logsOfOneTransaction<T extends { lines: number }>(logs: readonly T[]): T[] {
  let rows = 0;
  const taken: T[] = [];
  for (const log of logs) {
    rows += log.lines;
    if (taken.length > 0 && rows > ROWS_PER_TRANSACTION) break;
    taken.push(log);
  }
  return taken;
}
