/** What arrives becomes a frame, or what has to be said instead. */
import { idSchema } from "@dflow/protocol";
import { expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { type Received, readFrame } from "./read-frame.ts";

const read = (type: string, data: unknown): Received => readFrame(JSON.stringify({ type, seq: 1, session: 1, data }));

test("names the operation of a command that it does not know, so that it can be rejected", () => {
  const operationId = newId();
  expect(read("command", { kind: "teleport", operationId })).toMatchObject({ verdict: "unsupported", operationId });
});

test("names no operation of another frame that it does not know: to refuse to hear of one is not to reject it", () => {
  const received = read("operation_query", { operationId: idSchema.parse(newId()) });
  expect(received.verdict).toBe("unsupported");
  expect(received).not.toHaveProperty("operationId");
});

test("says why in few words, whatever came in", () => {
  const secrets = { ["x".repeat(100_000)]: "secret" };
  const received = read("command", { kind: "deploy", operationId: newId(), secrets });
  expect(received).toMatchObject({ verdict: "unsupported" });
  const whole = read("command", { ...DEPLOY, secrets });
  for (const { reason } of [received, whole] as { reason: string }[]) expect(reason.length).toBeLessThan(300);
});

const [serviceId, volumeId, workspaceId, environmentId] = [newId(), newId(), newId(), newId()];
const DEPLOY = {
  ...{ kind: "deploy", operationId: newId(), serviceId, generation: 1, startWithinMs: 1, runMs: 1 },
  spec: {
    ...{ serviceId, volumeId, workspaceId, environmentId, name: "db", type: "database", engine: "postgres" },
    ...{ version: "18", image: "postgres:18", standIn: false, outgoing: false },
  },
};
