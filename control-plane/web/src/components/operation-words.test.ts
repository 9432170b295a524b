/** What is said of operations. */
import type { Operation } from "@dflow/protocol";
import { describe, expect, it } from "vitest";
import { operationDurationMs, operationLabel, outcome, queuedTitle } from "./operation-words.ts";

const operation = (change: Partial<Operation>): Operation => ({
  id: "o",
  serviceId: "s",
  workspaceId: "w",
  kind: "deploy",
  state: "succeeded",
  label: "Success",
  error: null,
  createdAt: "2026-11-23T12:00:00.000Z",
  sentAt: null,
  startedAt: null,
  endedAt: null,
  createdBy: null,
  step: null,
  lineCount: 0,
  timings: null,
  cancelRequestedAt: null,
  settlement: null,
  revision: 1,
  ...change,
});

describe("an outcome", () => {
  it("is good only when the operation succeeded", () => {
    expect(outcome(operation({}), "orders-db")).toEqual({ good: true, title: "orders-db is deployed" });
    for (const state of ["failed", "cancelled", "expired", "unknown"] as const) {
      expect(outcome(operation({ state }), "orders-db").good).toBe(false);
    }
  });

  it("tells a failure with its reason and what to do", () => {
    const error = {
      code: "image_not_found" as const,
      message: "The registry has no such image.",
      hint: "Choose another.",
    };
    expect(outcome(operation({ state: "failed", error }), "orders-db")).toEqual({
      good: false,
      title: "Deployment of orders-db failed",
      description: "The registry has no such image. Choose another.",
    });
  });

  it("does not call an unknown end a failure", () => {
    expect(outcome(operation({ kind: "stop", state: "unknown" }), "orders-db").title).toBe(
      "Nobody knows how the stop of orders-db ended",
    );
  });
});

it("names what was queued", () => {
  expect(queuedTitle("restart", "orders-db")).toBe("Restart of orders-db queued");
});

it("keeps the deployments' words for deployments", () => {
  expect(operationLabel(operation({ state: "running", label: "Building" }))).toBe("Building");
  expect(operationLabel(operation({ kind: "restart", state: "running", label: "Building" }))).toBe("Running");
  expect(operationLabel(operation({ kind: "stop", state: "succeeded", label: "Success" }))).toBe("Done");
});

describe("the duration", () => {
  const startedAt = "2026-11-23T12:00:05.000Z";
  it("runs from the start of the work", () => {
    expect(operationDurationMs(operation({ startedAt, endedAt: "2026-11-23T12:00:08.000Z" }), 0)).toBe(3_000);
  });
  it("ticks while the operation is open", () => {
    expect(operationDurationMs(operation({ state: "running", startedAt }), Date.parse(startedAt) + 9_000)).toBe(9_000);
  });
});
