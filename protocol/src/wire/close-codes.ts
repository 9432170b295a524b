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
  /** Frame over the limit (RFC 6455's own code, sent by the websocket library). */
  tooBig: 1009,
  /** The control plane is going down; come back. */
  goingAway: 1001,
} as const;

/** Least wait before the next attempt after a close code, in milliseconds; the backoff comes on top. */
export function reconnectFloorMs(code: number): number {
  if (code === CLOSE.revoked) return 3_600_000;
  if (code === CLOSE.unauthenticated) return 30_000;
  return 0;
}
