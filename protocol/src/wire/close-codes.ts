/** Why a socket of the link ended. The agent decides by the code how soon it returns. */

export const CLOSE = {
  /** Malformed frame, unknown subprotocol, gap in `seq`. */
  badFrame: 4400,
  /** Handshake failed or took too long. */
  unauthenticated: 4401,
  /** This agent was removed: workloads keep running, retries are slow. */
  revoked: 4403,
  /** No frame within the deadline. */
  deadline: 4408,
  /** A newer session of the same agent took over. */
  superseded: 4409,
  /** Two machines hold this agent's key: workloads keep running, retries are slow, no command goes to either. */
  identityConflict: 4411,
  /** It sent more frames or bytes than any honest agent needs: the control plane works off nothing more of it. */
  overBudget: 4429,
  /** Frame over the limit (RFC 6455's own code, sent by the websocket library). */
  tooBig: 1009,
  /** The control plane is going down; come back. */
  goingAway: 1001,
} as const;

/**
 * Least wait before the next attempt after a close code, in milliseconds; a longer backoff holds instead. `fraction` in
 * [0, 1) is chance: copies of one machine, refused at the same instant, must not return at the same instant for ever.
 */
export function reconnectFloorMs(code: number, fraction: number): number {
  if (code === CLOSE.revoked) return 3_600_000;
  if (code === CLOSE.identityConflict) return 240_000 + 120_000 * fraction;
  if (code === CLOSE.unauthenticated) return 30_000;
  // Time in which its budget is full again.
  if (code === CLOSE.overBudget) return 60_000 + 30_000 * fraction;
  return 0;
}
