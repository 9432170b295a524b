/**
 * Gives refusals late. Whoever is told "too many" and asks again at once would otherwise take, with answers alone, what
 * everybody else needs; made to wait, one connection asks four times a second instead of a hundred.
 */
import type { Timers } from "../platform.ts";

export interface SlowRefusal {
  /** The answer itself, later if it says 429. */
  pace(answer: Response | Promise<Response>): Response | Promise<Response>;
  /** Gives all that is held. */
  stop(): void;
}

/** Held answers keep connections, which are bounded already; this many cost a few MiB. Beyond it they go at once. */
const HELD_MAX = 1_000;

export function createSlowRefusal(timers: Timers, delayMs: number, heldMax = HELD_MAX): SlowRefusal {
  const held = new Set<() => void>();
  const hold = (answer: Response): Response | Promise<Response> => {
    if (answer.status !== 429 || delayMs === 0 || held.size >= heldMax) return answer;
    return new Promise((done) => {
      const give = (): void => {
        cancel();
        held.delete(give);
        done(answer);
      };
      const cancel = timers.after(delayMs, give);
      held.add(give);
    });
  };
  return {
    pace: (answer) => (answer instanceof Promise ? answer.then(hold) : hold(answer)),
    stop() {
      for (const give of held) give();
    },
  };
}
