/** Counts answered requests by status class, and how long each took until its answer began. */
import type { Metric } from "./prometheus.ts";

/** Seconds. A request of ours is one or a few SQLite queries; what takes longer waits for something. */
export const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** All of them from the start, so that the first error is a step from 0 and not a line from nowhere. */
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

interface Counts {
  /** By bucket, and last those over the largest. Not cumulative. */
  buckets: number[];
  sumS: number;
}

export interface RequestMeter {
  count(status: number, durationMs: number): void;
  metric(): Metric;
}

export function createRequestMeter(): RequestMeter {
  const counts = new Map<string, Counts>(
    CLASSES.map((name) => [name, { buckets: Array.from({ length: BUCKETS_S.length + 1 }, () => 0), sumS: 0 }]),
  );
  return {
    count(status, durationMs) {
      const entry = counts.get(`${Math.floor(status / 100)}xx`);
      if (entry === undefined) return;
      const seconds = durationMs / 1000;
      const at = BUCKETS_S.findIndex((bound) => seconds <= bound);
      const bucket = at === -1 ? BUCKETS_S.length : at;
      entry.buckets[bucket] = (entry.buckets[bucket] ?? 0) + 1;
      entry.sumS += seconds;
    },
    metric: () => ({
      name: "dflow_http_request_duration_seconds",
      help: "HTTP requests by status class; seconds until the answer began (a stream goes on after that).",
      type: "histogram",
      samples: [...counts].flatMap(([status, { buckets, sumS }]) => {
        let total = 0;
        const cumulative = buckets.map((count, at) => {
          total += count;
          const le = BUCKETS_S[at] === undefined ? "+Inf" : String(BUCKETS_S[at]);
          return { suffix: "_bucket", labels: { status, le }, value: total };
        });
        return [
          ...cumulative,
          { suffix: "_sum", labels: { status }, value: sumS },
          { suffix: "_count", labels: { status }, value: total },
        ];
      }),
    }),
  };
}
