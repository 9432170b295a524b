/** One-use numbers that bind an enrolment to a moment: bounded per token and in all, so that asking costs no memory. */

export interface NonceLimits {
  lifeMs: number;
  perToken: number;
  inAll: number;
}

export const NONCE_LIMITS: NonceLimits = { lifeMs: 2 * 60_000, perToken: 8, inAll: 10_000 };

export interface Nonces {
  /** A new nonce for this token id, whether or not such a token exists: the answer tells nothing. */
  issue(tokenId: string): string;
  /** True once, for a nonce that was issued for this very token id and is still alive. */
  take(tokenId: string, nonce: string): boolean;
}

interface Issued {
  tokenId: string;
  expiresAt: number;
}

export function createNonces(
  deps: { nowMs(): number; newNonce(): string },
  limits: NonceLimits = NONCE_LIMITS,
): Nonces {
  // Insertion order is age order, as every nonce lives equally long: the oldest is always first.
  const issued = new Map<string, Issued>();

  /** Over a bound the oldest goes. Refusing instead would let anyone who knows a token's id keep its owner out. */
  const makeRoom = (tokenId: string): void => {
    const now = deps.nowMs();
    for (const [nonce, entry] of issued) {
      if (entry.expiresAt > now && issued.size < limits.inAll) break;
      issued.delete(nonce);
    }
    const ofToken = [...issued].filter(([, entry]) => entry.tokenId === tokenId);
    for (const [nonce] of ofToken.slice(0, Math.max(0, ofToken.length - limits.perToken + 1))) issued.delete(nonce);
  };

  return {
    issue(tokenId) {
      makeRoom(tokenId);
      const nonce = deps.newNonce();
      issued.set(nonce, { tokenId, expiresAt: deps.nowMs() + limits.lifeMs });
      return nonce;
    },
    take(tokenId, nonce) {
      const entry = issued.get(nonce);
      if (entry === undefined || entry.tokenId !== tokenId) return false;
      issued.delete(nonce);
      return entry.expiresAt > deps.nowMs();
    },
  };
}
