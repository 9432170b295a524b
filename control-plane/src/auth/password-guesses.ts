/** Counts attempts at one account's password, the same at every door that takes one. */
import { limitedAddress } from "../http/client-address.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
import type { Clock } from "../platform.ts";

/** Wrong passwords for one account from one address, and from all. */
const PER_PAIR = { limit: 10, windowMs: 15 * 60_000 };
const PER_ACCOUNT = { limit: 100, windowMs: 15 * 60_000 };

export interface PasswordGuesses {
  /**
   * Counts one attempt before its password is looked at, so that attempts side by side are counted too. Throws
   * `rate_limited`. Call what comes back when the password was right: what was counted is forgotten.
   */
  take(email: string, address: string): () => void;
}

export function createPasswordGuesses(clock: Pick<Clock, "monotonicMs">): PasswordGuesses {
  const perPair = createRateLimiter(PER_PAIR, clock);
  const perAccount = createRateLimiter(PER_ACCOUNT, clock);
  return {
    take(email, address) {
      const pair = `${limitedAddress(address)} ${email}`;
      perPair.take(pair);
      perAccount.take(email);
      return () => {
        perPair.clear(pair);
        perAccount.clear(email);
      };
    },
  };
}
