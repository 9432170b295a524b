import { expect, test } from "vitest";
import { createRequestMeter } from "./request-meter.ts";

const samplesOf = (status: string, counts: [number, number][]) => {
  const meter = createRequestMeter();
  for (const [code, ms] of counts) meter.count(code, ms);
  return meter.metric().samples.filter(({ labels }) => labels?.status === status);
};

test("buckets are cumulative, and one on a bound is within it", () => {
  const samples = samplesOf("2xx", [
    [200, 5],
    [204, 6],
    [200, 60_000],
    [404, 1],
  ]);
  const bucket = (le: string) => samples.find(({ labels }) => labels?.le === le)?.value;
  expect([bucket("0.005"), bucket("0.01"), bucket("10"), bucket("+Inf")]).toEqual([1, 2, 2, 3]);
  expect(samples.find(({ suffix }) => suffix === "_count")?.value).toBe(3);
  expect(samples.find(({ suffix }) => suffix === "_sum")?.value).toBeCloseTo(60.011);
});

test("every class is there before its first request", () => {
  expect(samplesOf("5xx", []).find(({ suffix }) => suffix === "_count")?.value).toBe(0);
});
