/**
 * Hashing a password costs a core for a tenth of a second, on purpose. So strangers' passwords are hashed few at a time
 * and wait in a bounded queue, and whoever is known does not wait behind them.
 */
import { tooMany } from "../http/rate-limit.ts";

export interface PasswordLanes {
  /** Runs `work` when its turn comes. Throws `rate_limited` when too many wait already. */
  run<T>(caller: LaneCaller, work: () => Promise<T>): Promise<T>;
}

export interface LaneCaller {
  /** What a limit counts as one address. */
  address: string;
  /** Has shown something that a stranger has not: there is a lane for these alone. */
  known: boolean;
}

/** Two seconds of waiting at a tenth of a second each: who would wait longer is told to come back. */
const WAITING_MAX = 20;
const RETRY_AFTER_S = 2;
/** Known callers are few, and each of them is limited by itself. */
const KNOWN_AT_ONCE = 1;

interface Waiting {
  address: string;
  begin(): void;
  refuse(error: Error): void;
}

export function createPasswordLanes(strangersAtOnce: number): PasswordLanes {
  const strangers = createLane(strangersAtOnce);
  const known = createLane(KNOWN_AT_ONCE);
  return {
    run: (caller, work) => (caller.known ? known : strangers).run(caller.address, work),
  };
}

function createLane(atOnce: number) {
  const queue: Waiting[] = [];
  let running = 0;

  const next = (): void => {
    running -= 1;
    const first = queue.shift();
    if (first === undefined) return;
    running += 1;
    first.begin();
  };

  /**
   * When the queue is full, whoever has most in it gives up a place: the last of theirs. Refusing the newcomer instead
   * would let one address keep all others out.
   */
  const makeRoom = (address: string): void => {
    if (queue.length < WAITING_MAX) return;
    const held = Map.groupBy(queue, (entry) => entry.address);
    const [largest] = [...held.values()].sort((a, b) => b.length - a.length);
    const last = largest?.at(-1);
    const own = held.get(address)?.length ?? 0;
    if (largest === undefined || last === undefined || largest.length <= own + 1) throw tooManyAtOnce();
    queue.splice(queue.lastIndexOf(last), 1);
    last.refuse(tooManyAtOnce());
  };

  return {
    async run<T>(address: string, work: () => Promise<T>): Promise<T> {
      if (running < atOnce) running += 1;
      else {
        makeRoom(address);
        await new Promise<void>((begin, refuse) => queue.push({ address, begin, refuse }));
      }
      try {
        return await work();
      } finally {
        next();
      }
    },
  };
}

function tooManyAtOnce(): Error {
  return tooMany("Too many people sign in at this moment.", RETRY_AFTER_S);
}
