/** The control plane's present: ages on the screen are told by its clock, not by a laptop that runs minutes wrong. */

/** Below this the difference is noise: the `Date` header has whole seconds only. */
const NOISE_MS = 3_000;

export interface ServerClock {
  /** Takes the `Date` header of an answer that has just arrived. */
  learn(dateHeader: string | null): void;
  now(): number;
}

export function createServerClock(localNow: () => number): ServerClock {
  let offsetMs = 0;
  return {
    learn(dateHeader) {
      const serverMs = dateHeader === null ? Number.NaN : Date.parse(dateHeader);
      if (Number.isNaN(serverMs)) return;
      const difference = serverMs - localNow();
      offsetMs = Math.abs(difference) < NOISE_MS ? 0 : difference;
    },
    now: () => localNow() + offsetMs,
  };
}

export const serverClock = createServerClock(Date.now);
