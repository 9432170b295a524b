/** Tells open browsers what changed: a ring of hints per workspace, resumed by number or answered with `reset`. */
import type { Event } from "@dflow/protocol";

export interface NumberedEvent {
  number: number;
  event: Event;
}

export interface EventHub {
  publish(workspaceId: string, event: Event): void;
  /**
   * Calls `onEvent` for each hint after `after` (a number seen before, or undefined for "from now").
   * Returns `reset: true` when `after` is no longer in the ring or of an earlier process.
   */
  subscribe(
    workspaceId: string,
    after: string | undefined,
    onEvent: (id: string, event: Event) => void,
  ): { reset: boolean; unsubscribe: () => void };
  /** How many listen now. */
  subscriberCount(): number;
}

const RING_SIZE = 1_000;

interface Channel {
  ring: NumberedEvent[];
  next: number;
  listeners: Set<(id: string, event: Event) => void>;
}

/** `epoch` names this process, so that numbers of an earlier one are not taken for ours. */
export function createEventHub(epoch: string): EventHub {
  const channels = new Map<string, Channel>();
  const channelOf = (workspaceId: string): Channel => {
    let channel = channels.get(workspaceId);
    if (channel === undefined) {
      channel = { ring: [], next: 1, listeners: new Set() };
      channels.set(workspaceId, channel);
    }
    return channel;
  };

  return {
    publish(workspaceId, event) {
      const channel = channelOf(workspaceId);
      const number = channel.next++;
      channel.ring.push({ number, event });
      if (channel.ring.length > RING_SIZE) channel.ring.shift();
      for (const listener of channel.listeners) listener(`${epoch}.${number}`, event);
    },
    subscribe(workspaceId, after, onEvent) {
      const channel = channelOf(workspaceId);
      let reset = false;
      if (after !== undefined) {
        const [afterEpoch, afterNumber] = after.split(".");
        const number = Number(afterNumber);
        const oldest = channel.ring[0]?.number ?? channel.next;
        if (afterEpoch !== epoch || !Number.isInteger(number) || number + 1 < oldest || number >= channel.next) {
          reset = true;
        } else {
          for (const entry of channel.ring) {
            if (entry.number > number) onEvent(`${epoch}.${entry.number}`, entry.event);
          }
        }
      }
      channel.listeners.add(onEvent);
      return { reset, unsubscribe: () => channel.listeners.delete(onEvent) };
    },
    subscriberCount() {
      return [...channels.values()].reduce((sum, channel) => sum + channel.listeners.size, 0);
    },
  };
}
