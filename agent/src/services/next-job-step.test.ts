import { expect, test } from "vitest";
import type { ContainerState } from "../docker/docker.ts";
import { type JobStep, nextJobStep } from "./next-job-step.ts";

const TABLE: [ContainerState | undefined, intended: boolean, JobStep][] = [
  [undefined, false, "create"],
  [undefined, true, "unknown"],
  ["created", true, "start"],
  ["created", false, "start"],
  ["running", true, "wait"],
  ["running", false, "wait"],
  ["paused", true, "wait"],
  ["exited", true, "collect"],
  ["exited", false, "collect"],
  ["dead", true, "collect"],
  ["removing", true, "collect"],
];

test.each(TABLE)("a job container that is %s, intended %s: %s", (state, intended, step) => {
  expect(nextJobStep(intended, state === undefined ? undefined : { state })).toBe(step);
});

test("it is made only where nothing was intended and nothing is there", () => {
  expect(TABLE.filter(([, , step]) => step === "create")).toHaveLength(1);
});
