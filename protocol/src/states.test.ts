import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canOperationMove,
  isTerminal,
  linkStateSchema,
  observedStateSchema,
  operationStateSchema,
  SERVICE_STATE_TONES,
  serviceState,
} from "./states.ts";

describe("serviceState", () => {
  const running = { observed: "running", desired: "running", openOperation: undefined, everDeployed: true } as const;

  it("is what was observed while the server is online", () => {
    expect(serviceState({ ...running, link: "online" })).toBe("running");
    expect(serviceState({ ...running, observed: "unhealthy", link: "online" })).toBe("unhealthy");
  });

  it("is never green for a server that is away", () => {
    fc.assert(
      fc.property(fc.constantFrom(...observedStateSchema.options), fc.boolean(), (observed, everDeployed) => {
        for (const link of linkStateSchema.exclude(["online"]).options) {
          const state = serviceState({ ...running, observed, everDeployed, link });
          expect(SERVICE_STATE_TONES[state]).toBe("quiet");
        }
      }),
    );
  });

  it("tells a stop that was asked for from an exit that was not", () => {
    expect(serviceState({ ...running, observed: "exited", desired: "stopped", link: "online" })).toBe("stopped");
    expect(serviceState({ ...running, observed: "exited", desired: "running", link: "online" })).toBe("exited");
  });

  it("goes on to be what is observed during a check, which changes nothing", () => {
    const checking = { ...running, openOperation: "check" } as const;
    expect(serviceState({ ...checking, link: "online" })).toBe("running");
    expect(serviceState({ ...checking, observed: "exited", link: "online" })).toBe("exited");
    expect(serviceState({ ...checking, link: "unreachable" })).toBe("unreachable");
  });

  it("shows the open operation before everything else", () => {
    expect(serviceState({ ...running, openOperation: "restart", link: "unreachable" })).toBe("restarting");
  });

  it("says not deployed before the first deployment, whether or not the server is there", () => {
    const created = { ...running, observed: "not_deployed", everDeployed: false } as const;
    expect(serviceState({ ...created, link: "unreachable" })).toBe("not_deployed");
  });
});

describe("operation states", () => {
  it("never leave a terminal state", () => {
    for (const from of operationStateSchema.options.filter(isTerminal)) {
      for (const to of operationStateSchema.options) expect(canOperationMove(from, to)).toBe(false);
    }
  });

  it("never go back", () => {
    expect(canOperationMove("running", "sent")).toBe(false);
    expect(canOperationMove("sent", "queued")).toBe(false);
    expect(canOperationMove("queued", "running")).toBe(true);
  });
});
