/**
 * Lets one stranger's request begin per turn of the event loop. Whoever is known is served in between, so however many
 * strangers come at once, nobody else waits for more than one of them.
 */

/** Runs `task` after the event loop has looked at what else came in. */
export type NextTurn = (task: () => void) => void;

export interface Turns {
  /** `undefined`: begin now. A promise: begin when it resolves. `full`: too many wait already. */
  take(address: string): undefined | "full" | Promise<void>;
  waiting(): number;
}

export interface TurnLimits {
  perAddress: number;
  inAll: number;
}

/** A few hundred strangers' requests are done in a tenth of a second; an honest address has no more at one moment. */
export const TURN_LIMITS: TurnLimits = { perAddress: 100, inAll: 1_000 };

export function createTurns(nextTurn: NextTurn, limits: TurnLimits = TURN_LIMITS): Turns {
  const queues = new Map<string, (() => void)[]>();
  let waiting = 0;
  let taken = false;

  /** Addresses come round in turn, each with its oldest: a long queue holds up its own address only. */
  const shift = (): (() => void) | undefined => {
    const first = queues.entries().next();
    if (first.done === true) return undefined;
    const [address, queue] = first.value;
    const begin = queue.shift();
    queues.delete(address);
    if (queue.length > 0) queues.set(address, queue);
    waiting -= 1;
    return begin;
  };
  const turn = (): void => {
    const begin = shift();
    if (begin === undefined) {
      taken = false;
      return;
    }
    nextTurn(turn);
    begin();
  };

  return {
    take(address) {
      if (!taken) {
        taken = true;
        nextTurn(turn);
        return undefined;
      }
      const queue = queues.get(address) ?? [];
      if (queue.length >= limits.perAddress || waiting >= limits.inAll) return "full";
      queues.set(address, queue);
      waiting += 1;
      return new Promise((begin) => queue.push(begin));
    },
    waiting: () => waiting,
  };
}
