import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GuardFacts, guard, isDataGone, SERVICE_ACTIONS } from "./guards.ts";
import { roleSchema } from "./roles.ts";
import { desiredStateSchema, linkStateSchema, observedStateSchema, operationKindSchema } from "./states.ts";

const fresh: GuardFacts = {
  role: "developer",
  observed: "not_deployed",
  volume: "absent",
  desired: "stopped",
  everDeployed: false,
  openOperation: undefined,
  link: "online",
  serverName: "fra-1",
};
const running: GuardFacts = {
  ...fresh,
  observed: "running",
  volume: "present",
  desired: "running",
  everDeployed: true,
};

const anyFacts = fc.record({
  role: fc.constantFrom(...roleSchema.options),
  observed: fc.constantFrom(...observedStateSchema.options),
  volume: fc.constantFrom("present" as const, "absent" as const, "unknown" as const),
  desired: fc.constantFrom(...desiredStateSchema.options),
  everDeployed: fc.boolean(),
  openOperation: fc.option(
    fc.record({ id: fc.constant("op"), kind: fc.constantFrom(...operationKindSchema.options) }),
    { nil: undefined },
  ),
  link: fc.constantFrom(...linkStateSchema.options),
  serverName: fc.constant("fra-1"),
});

describe("guard", () => {
  it("allows Deploy before the first success and hides it after", () => {
    expect(guard("deploy", fresh)).toEqual({ verdict: "allowed" });
    expect(guard("deploy", running)).toMatchObject({ verdict: "hidden", code: "already_deployed" });
  });

  it("allows Check while the database runs, and says what would help while it does not", () => {
    expect(guard("check", running).verdict).toBe("allowed");
    expect(guard("check", { ...running, observed: "unhealthy" }).verdict).toBe("allowed");
    expect(guard("check", fresh).sentence).toBe("Please deploy the service before checking.");
    for (const observed of ["exited", "missing", "unknown"] as const) {
      expect(guard("check", { ...running, observed })).toMatchObject({
        verdict: "refused",
        code: "not_running",
        remedy: { action: "restart" },
      });
    }
    expect(guard("check", { ...running, role: "viewer" }).code).toBe("forbidden");
  });

  it("keeps Deploy hidden while either container or volume of a succeeded deploy exists", () => {
    expect(guard("deploy", { ...running, observed: "missing", volume: "present" }).verdict).toBe("hidden");
    expect(guard("deploy", { ...running, observed: "exited", volume: "absent" }).verdict).toBe("hidden");
    expect(guard("deploy", { ...running, observed: "missing", volume: "unknown" }).verdict).toBe("hidden");
    expect(guard("deploy", { ...running, observed: "missing", volume: "absent" }).verdict).toBe("allowed");
  });

  it("asks for a deployment before Restart and Stop, in the contract's words", () => {
    expect(guard("restart", fresh).sentence).toBe("Please deploy the service before restarting.");
    expect(guard("stop", fresh).sentence).toBe("Please deploy the service before stopping.");
  });

  it("does nothing on a quarantined server but change the control plane's own row, and names the way out", () => {
    const refused = SERVICE_ACTIONS.filter((action) => action !== "credentials" && action !== "change");
    for (const action of refused) {
      const facts: GuardFacts = { ...(action === "deploy" ? fresh : running), link: "quarantined", role: "admin" };
      expect(guard(action, facts)).toMatchObject({ verdict: "refused", code: "server_quarantined" });
      expect(guard(action, facts).sentence).toContain("Re-key");
    }
    for (const action of ["credentials", "change"] as const) {
      expect(guard(action, { ...running, link: "quarantined", role: "admin" }).verdict).toBe("allowed");
    }
  });

  it("restarts a stopped database and does not stop it twice", () => {
    const stopped: GuardFacts = { ...running, observed: "exited", desired: "stopped" };
    expect(guard("restart", stopped).verdict).toBe("allowed");
    expect(guard("stop", stopped)).toMatchObject({ verdict: "refused", code: "already_stopped" });
  });

  it("stops a database that crashed by itself, so that Docker no longer restarts it", () => {
    expect(guard("stop", { ...running, observed: "exited", desired: "running" }).verdict).toBe("allowed");
  });

  it("refuses Restart over a lost volume and points to Delete", () => {
    expect(guard("restart", { ...running, observed: "missing", volume: "absent" })).toMatchObject({
      code: "data_missing",
      remedy: { action: "delete" },
    });
  });

  it("lets Delete through while the server is away: it waits for it", () => {
    expect(guard("delete", { ...running, link: "unreachable" }).verdict).toBe("allowed");
    expect(guard("restart", { ...running, link: "unreachable" }).code).toBe("server_unreachable");
    expect(guard("restart", { ...running, link: "reconnecting" })).toMatchObject({
      code: "server_unreachable",
      sentence: "Server fra-1 has not reconnected yet: the control plane has just started.",
    });
  });

  it("lets a change through before the first deployment and while the server is away", () => {
    expect(guard("change", fresh).verdict).toBe("allowed");
    expect(guard("change", { ...running, link: "unreachable" }).verdict).toBe("allowed");
    expect(guard("change", { ...running, role: "viewer" }).sentence).toContain("cannot change services");
  });

  it("names what is open", () => {
    const busy: GuardFacts = { ...running, openOperation: { id: "1", kind: "restart" } };
    expect(guard("stop", busy)).toMatchObject({
      code: "operation_open",
      sentence: expect.stringContaining("Restarting"),
    });
  });

  it("lets a viewer read logs and nothing that changes or reveals", () => {
    const viewer: GuardFacts = { ...running, role: "viewer" };
    for (const action of SERVICE_ACTIONS) {
      const { verdict } = guard(action, viewer);
      expect(verdict, action).toBe(action === "logs" ? "allowed" : action === "deploy" ? "hidden" : "refused");
    }
    expect(guard("deploy", { ...fresh, role: "viewer" })).toMatchObject({ verdict: "refused", code: "forbidden" });
  });

  it("always gives a refusal a code and a sentence, and never allows two operations or a viewer's change", () => {
    fc.assert(
      fc.property(fc.constantFrom(...SERVICE_ACTIONS), anyFacts, (action, facts) => {
        const verdict = guard(action, facts);
        if (verdict.verdict !== "allowed") {
          expect(verdict.code).toBeDefined();
          expect(verdict.sentence).toMatch(/\.$/);
          return;
        }
        const changes = action !== "logs" && action !== "credentials";
        if (changes) expect(facts.openOperation).toBeUndefined();
        if (changes || action === "credentials") expect(facts.role).not.toBe("viewer");
        if (action === "deploy" && facts.everDeployed) expect(isDataGone(facts)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
