/** Finds operations that nobody works on: acknowledged, not ended, and missing from the agent's own list. Pure. */

/** An operation may begin or end between two heartbeats; missing from this many in a row it is asked for. */
const MISSES_BEFORE_ASKING = 2;

export interface StaleOperations {
  /** Those to ask for now, given what should be running and what the agent says it runs. */
  missed(acknowledged: readonly string[], running: readonly string[]): string[];
}

export function createStaleOperations(): StaleOperations {
  let misses = new Map<string, number>();
  return {
    missed(acknowledged, running) {
      const next = new Map<string, number>();
      const asked: string[] = [];
      for (const id of acknowledged) {
        if (running.includes(id)) continue;
        const count = (misses.get(id) ?? 0) + 1;
        // After asking it counts anew, so that an agent which only queues the work is not asked at every beat.
        if (count >= MISSES_BEFORE_ASKING) asked.push(id);
        else next.set(id, count);
      }
      misses = next;
      return asked;
    },
  };
}
