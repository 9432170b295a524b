/** How late the event loop runs: the last full minute's median, 99th percentile and worst. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Timers } from "../platform.ts";

const WINDOW_MS = 60_000;
/** The sampler sleeps this long; its figures hold the sleep too. */
const RESOLUTION_MS = 20;

export interface Lag {
  medianS: number;
  p99S: number;
  worstS: number;
}

export interface EventLoopMeter {
  start(): void;
  stop(): void;
  /** Of the last full minute; within the first, of the time since the start. */
  lag(): Lag;
}

/** Windows and not "since the last question", so that two who ask do not take figures from each other. */
export function createEventLoopMeter(timers: Timers): EventLoopMeter {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let lastMinute: Lag | undefined;
  let cancelTimer: (() => void) | undefined;

  const seconds = (ns: number) => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - RESOLUTION_MS) / 1000 : 0);
  const now = (): Lag => ({
    medianS: seconds(histogram.percentile(50)),
    p99S: seconds(histogram.percentile(99)),
    worstS: histogram.count === 0 ? 0 : seconds(histogram.max),
  });
  return {
    start() {
      histogram.enable();
      cancelTimer = timers.every(WINDOW_MS, () => {
        lastMinute = now();
        histogram.reset();
      });
    },
    stop() {
      cancelTimer?.();
      histogram.disable();
    },
    lag: () => lastMinute ?? now(),
  };
}
