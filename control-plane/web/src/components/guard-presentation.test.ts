/** From the guard table's verdicts to buttons. */
import { type GuardFacts, guard, type Service } from "@dflow/protocol";
import { describe, expect, it } from "vitest";
import { actionButton } from "./guard-presentation.ts";

const FACTS: GuardFacts = {
  role: "developer",
  observed: "running",
  volume: "present",
  desired: "running",
  everDeployed: true,
  openOperation: undefined,
  link: "online",
  serverName: "fra-1",
};

/** A service whose verdicts come from the table itself. */
function service(change: Partial<GuardFacts>): Pick<Service, "actions" | "openOperation"> {
  const facts = { ...FACTS, ...change };
  const open = facts.openOperation;
  return {
    openOperation: open === undefined ? null : { ...open, state: "running", createdAt: "2026-11-23T12:00:00.000Z" },
    actions: {
      deploy: guard("deploy", facts),
      restart: guard("restart", facts),
      stop: guard("stop", facts),
      check: guard("check", facts),
      change: guard("change", facts),
      delete: guard("delete", facts),
      credentials: guard("credentials", facts),
      logs: guard("logs", facts),
    },
  };
}

describe("a button", () => {
  it("is plain when the action is allowed", () => {
    expect(actionButton("restart", service({}))).toEqual({ kind: "ready", label: "Restart" });
  });

  it("is absent for Deploy after the first success", () => {
    expect(actionButton("deploy", service({}))).toEqual({ kind: "absent" });
  });

  it("is off with the table's sentence and remedy", () => {
    expect(actionButton("stop", service({ everDeployed: false, observed: "not_deployed" }))).toEqual({
      kind: "refused",
      label: "Stop",
      sentence: "Please deploy the service before stopping.",
      remedy: { label: "Deploy", action: "deploy" },
    });
  });

  it("carries the label of what runs, also where it would be absent", () => {
    const deploying = service({ openOperation: { id: "o", kind: "deploy" } });
    expect(actionButton("deploy", deploying)).toEqual({ kind: "running", label: "Deploying", operationId: "o" });
    expect(actionButton("restart", deploying)).toMatchObject({ kind: "refused", remedy: { action: "operation" } });
  });

  it("is off for Check while the database does not run, and says what would help", () => {
    expect(actionButton("check", service({}))).toEqual({ kind: "ready", label: "Check" });
    expect(actionButton("check", service({ observed: "exited", desired: "stopped" }))).toMatchObject({
      kind: "refused",
      sentence: "Only a database that runs can be checked. Restart starts it.",
      remedy: { action: "restart" },
    });
  });

  it("tells a viewer whom to ask", () => {
    const button = actionButton("restart", service({ role: "viewer" }));
    expect(button.kind === "refused" && button.sentence).toContain("Ask an admin");
  });
});
