/** A moment as it is stored, so that its age can be told later, also by another process or after a reboot. */
import { z } from "zod";
import type { Clock } from "../deps.ts";

export const stampSchema = z.object({ bootId: z.string(), monotonicMs: z.number(), wallMs: z.number() });
export type Stamp = z.infer<typeof stampSchema>;

type StampClock = Pick<Clock, "bootId" | "monotonicMs" | "wallMs">;

export function stampNow(clock: StampClock): Stamp {
  return { bootId: clock.bootId(), monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** Within one boot exact, whatever happens to the clock; across boots as good as the clock, and never less than the uptime. */
export function ageMs(clock: StampClock, stamp: Stamp): number {
  const age =
    clock.bootId() === stamp.bootId
      ? clock.monotonicMs() - stamp.monotonicMs
      : Math.max(clock.wallMs() - stamp.wallMs, clock.monotonicMs());
  return Math.max(0, Math.round(age));
}
