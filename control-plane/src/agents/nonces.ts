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
  // Insertion order is age order, as every nonce lives equally long: the oldest is always first, in all and of a token.
  const issued = new Map<string, Issued>();
  const ofTokens = new Map<string, Set<string>>();

  const drop = (nonce: string): void => {
    const entry = issued.get(nonce);
    if (entry === undefined) return;
    issued.delete(nonce);
    const ofToken = ofTokens.get(entry.tokenId);
    ofToken?.delete(nonce);
    if (ofToken?.size === 0) ofTokens.delete(entry.tokenId);
  };
  /** Over a bound the oldest goes. Refusing instead would let anyone who knows a token's id keep its owner out. */
  const makeRoom = (tokenId: string): void => {
    const now = deps.nowMs();
    for (const [nonce, entry] of issued) {
      if (entry.expiresAt > now && issued.size < limits.inAll) break;
      drop(nonce);
    }
    for (const nonce of ofTokens.get(tokenId) ?? []) {
      if ((ofTokens.get(tokenId)?.size ?? 0) < limits.perToken) break;
      drop(nonce);
    }
  };

  return {
    issue(tokenId) {
      makeRoom(tokenId);
      const nonce = deps.newNonce();
      issued.set(nonce, { tokenId, expiresAt: deps.nowMs() + limits.lifeMs });
      const ofToken = ofTokens.get(tokenId) ?? new Set();
      ofTokens.set(tokenId, ofToken.add(nonce));
      return nonce;
    },
    take(tokenId, nonce) {
      const entry = issued.get(nonce);
      if (entry === undefined || entry.tokenId !== tokenId) return false;
      drop(nonce);
      return entry.expiresAt > deps.nowMs();
    },
  };
}
