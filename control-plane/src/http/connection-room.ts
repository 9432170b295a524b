/** Which connections may stay when there are too many. Pure: who calls it opens and closes them. */

/**
 * `fresh`: nothing whole has come yet, or a body is still on its way. `busy`: an answer is being made or streamed.
 * `idle`: between two requests. A busy one is let go of last, and only for an address that has fewer.
 */
export type ConnectionState = "fresh" | "busy" | "idle";

export interface RoomLimits {
  perAddress: number;
  inAll: number;
}

export interface ConnectionRoom<C> {
  /**
   * A connection came. What comes back has to be closed: another one in whose place it is, or itself. `limited` is false
   * for a proxy, behind which everybody stands.
   */
  enter(connection: C, address: string, limited: boolean): C | undefined;
  move(connection: C, state: ConnectionState): void;
  /** It has ended, or is no longer one of HTTP. */
  leave(connection: C): void;
  size(): number;
}

interface Holder<C> {
  address: string;
  limited: boolean;
  /** Each in the order in which they came into that state. */
  states: Record<ConnectionState, Set<C>>;
}

export function createConnectionRoom<C>(limits: RoomLimits): ConnectionRoom<C> {
  const holders = new Map<string, Holder<C>>();
  const places = new Map<C, { holder: Holder<C>; state: ConnectionState }>();

  const leave = (connection: C): void => {
    const place = places.get(connection);
    if (place === undefined) return;
    places.delete(connection);
    place.holder.states[place.state].delete(connection);
    if (countOf(place.holder) === 0) holders.delete(place.holder.address);
  };

  /** Of one address: who has said least for longest. */
  const weakest = ({ states: { fresh, idle } }: Holder<C>): C | undefined => oldestOf(fresh) ?? oldestOf(idle);

  /** Of all: the address with most that say nothing gives one up; who once said something is spared longer. */
  const weakestOfAll = (): C | undefined => {
    for (const state of ["fresh", "idle"] as const) {
      let largest: Set<C> | undefined;
      for (const { states } of holders.values()) {
        if (states[state].size > (largest?.size ?? 0)) largest = states[state];
      }
      if (largest !== undefined) return oldestOf(largest);
    }
    return undefined;
  };

  /**
   * Who takes no answer is busy for as long as they like, so a few such addresses could keep all others out. Not of a
   * proxy, behind which many stand.
   */
  const oldestAnswerOfLargest = (own: number): C | undefined => {
    let largest: Holder<C> | undefined;
    for (const holder of holders.values()) {
      if (holder.limited && countOf(holder) > (largest === undefined ? own + 1 : countOf(largest))) largest = holder;
    }
    return largest && oldestOf(largest.states.busy);
  };

  return {
    enter(connection, address, limited) {
      const known = holders.get(address);
      let evicted: C | undefined;
      if (limited && known !== undefined && countOf(known) >= limits.perAddress) {
        evicted = weakest(known);
        if (evicted === undefined) return connection;
      } else if (places.size >= limits.inAll) {
        evicted = weakestOfAll() ?? oldestAnswerOfLargest(known === undefined ? 0 : countOf(known));
        if (evicted === undefined) return connection;
      }
      if (evicted !== undefined) leave(evicted);
      const holder = holders.get(address) ?? {
        address,
        limited,
        states: { fresh: new Set(), busy: new Set(), idle: new Set() },
      };
      holders.set(address, holder);
      holder.states.fresh.add(connection);
      places.set(connection, { holder, state: "fresh" });
      return evicted;
    },
    move(connection, state) {
      const place = places.get(connection);
      if (place === undefined || place.state === state) return;
      place.holder.states[place.state].delete(connection);
      place.holder.states[state].add(connection);
      place.state = state;
    },
    leave,
    size: () => places.size,
  };
}

function countOf<C>({ states: { fresh, busy, idle } }: Holder<C>): number {
  return fresh.size + busy.size + idle.size;
}

function oldestOf<C>(connections: Set<C>): C | undefined {
  const first = connections.values().next();
  return first.done === true ? undefined : first.value;
}
