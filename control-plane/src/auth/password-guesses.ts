/** Counts attempts at one account's password, the same at every door that takes one. */
import { limitedAddress } from "../http/client-address.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
import type { Clock } from "../platform.ts";

const WINDOW_MS = 15 * 60_000;
/** Attempts at one account by one guesser: an address, or a browser that has signed in to it before. */
const PER_GUESSER = { limit: 10, windowMs: WINDOW_MS };
/** Attempts at one account by all addresses that it does not know; over it each of them has fewer. */
const PER_ACCOUNT = { limit: 100, windowMs: WINDOW_MS };
const PER_GUESSER_UNDER_ATTACK = { limit: 2, windowMs: WINDOW_MS };

export interface Guesser {
  address: string;
  /** The browser's, when it has signed in to this very account before. */
  device: string | undefined;
}

export interface PasswordGuesses {
  /**
   * Counts one attempt before its password is looked at, so that attempts side by side are counted too. Throws
   * `rate_limited`. Call what comes back when the password was right: this guesser's attempts are forgotten.
   *
   * Nothing that others do shuts anybody out: a browser that is known is counted by itself, and an address that has not
   * tried yet always may. An account under attack only gives each new address fewer attempts.
   */
  take(email: string, guesser: Guesser): () => void;
}

export function createPasswordGuesses(clock: Pick<Clock, "monotonicMs">): PasswordGuesses {
  const perGuesser = createRateLimiter(PER_GUESSER, clock);
  const underAttack = createRateLimiter(PER_GUESSER_UNDER_ATTACK, clock);
  const perAccount = createRateLimiter(PER_ACCOUNT, clock);
  return {
    take(email, { address, device }) {
      const key = device === undefined ? `${limitedAddress(address)} ${email}` : `device ${device} ${email}`;
      if (device === undefined && perAccount.isSpent(email)) underAttack.take(key);
      perGuesser.take(key);
      if (device === undefined) perAccount.refusal(email);
      return () => {
        perGuesser.clear(key);
        underAttack.clear(key);
      };
    },
  };
}
