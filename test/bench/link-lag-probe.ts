/**
 * Loaded into the measured control plane (`node --import`): its event loop's lag over exactly one phase of the benchmark.
 * /metrics has the same figures for the last full minute only. Ends the process when the benchmark is gone.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** What the parent gets for `read`. Milliseconds and bytes. */
export interface Probe {
  lagP50Ms: number;
  lagP99Ms: number;
  lagMaxMs: number;
  heapBytes: number;
  externalBytes: number;
}

/** The sampler sleeps this long; its figures hold the sleep too. */
const RESOLUTION_MS = 10;
const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();

const lagMs = (ns: number) => Math.max(0, ns / 1e6 - RESOLUTION_MS);
process.on("message", (message) => {
  if (message === "reset") {
    histogram.reset();
    return;
  }
  if (message !== "read") return;
  const { heapUsed, external } = process.memoryUsage();
  const probe: Probe = {
    lagP50Ms: lagMs(histogram.percentile(50)),
    lagP99Ms: lagMs(histogram.percentile(99)),
    lagMaxMs: lagMs(histogram.max),
    heapBytes: heapUsed,
    externalBytes: external,
  };
  process.send?.(probe);
});
process.on("disconnect", () => process.exit(0));
// The control plane ends by itself when it has nothing to do; this channel is no reason to stay.
process.channel?.unref();
