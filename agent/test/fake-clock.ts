/** A clock that stands still until a test moves it. */
import type { Clock } from "../src/deps.ts";

export interface FakeClock extends Clock {
  /** Moves time on, running the timers that fall due in order and letting promises settle in between. */
  advance(durationMs: number): Promise<void>;
  /** Moves time on without running anything. */
  skip(durationMs: number): void;
  jumpWall(byMs: number): void;
  reboot(): void;
  pending(): number;
}

export function createFakeClock(): FakeClock {
  const timers = new Map<number, { atMs: number; run: () => void }>();
  let nextTimer = 1;
  let elapsedMs = 0;
  let wallOffsetMs = Date.UTC(2026, 10, 23);
  let bootAtMs = -100_000;
  let boots = 1;

  const settle = async () => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  return {
    wallMs: () => wallOffsetMs + elapsedMs,
    monotonicMs: () => elapsedMs - bootAtMs,
    bootId: () => `boot-${boots}`,
    after(delayMs, run) {
      const id = nextTimer++;
      timers.set(id, { atMs: elapsedMs + delayMs, run });
      return () => timers.delete(id);
    },
    async advance(durationMs) {
      const untilMs = elapsedMs + durationMs;
      await settle();
      for (;;) {
        const due = [...timers]
          .filter(([, timer]) => timer.atMs <= untilMs)
          .toSorted(([, a], [, b]) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        const [id, timer] = due;
        timers.delete(id);
        elapsedMs = Math.max(elapsedMs, timer.atMs);
        timer.run();
        await settle();
      }
      elapsedMs = untilMs;
    },
    skip: (durationMs) => {
      elapsedMs += durationMs;
    },
    jumpWall: (byMs) => {
      wallOffsetMs += byMs;
    },
    reboot: () => {
      boots += 1;
      bootAtMs = elapsedMs;
    },
    pending: () => timers.size,
  };
}
