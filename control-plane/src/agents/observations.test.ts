/** What agents report of their services, as rows and hints. */
import type { Observation } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let agent: FakeIdentity;
let socket: FakeSocket;
let serviceId: string;
beforeEach(async () => {
  harness = await startHarness();
  agent = await harness.enrolled();
  serviceId = await harness.makeService(agent.agentId);
  socket = await harness.connect(agent);
});
afterEach(() => harness.stop());

const HEALTHY: Observation = { state: "running", evidence: "container healthy", volume: "present", restartCount: 0 };
const report = async (full: boolean, entries: { id: string; observation: Observation; ageMs?: number }[]) => {
  const services = entries.map(({ id, observation, ageMs }) => ({
    serviceId: id,
    generation: 1,
    observation,
    ageMs: ageMs ?? 0,
  }));
  socket.send({ type: "state", data: { full, services } });
  // A frame behind it that is answered from the database: when the answer is here, the report is stored.
  socket.send({
    type: "result",
    data: { operationId: harness.deps.random.id(), state: "failed", lineCount: 0, endedAgeMs: 0 },
  });
  await socket.next("result_ack");
};
const hints = () => harness.events.filter((event) => event.type === "service").map((event) => event.id);

describe("a state report", () => {
  it("sets what was seen, and when by its age", async () => {
    await report(false, [{ id: serviceId, observation: HEALTHY, ageMs: 2_000 }]);
    const service = await harness.service(serviceId);
    expect(service.observed_state).toBe("running");
    expect(JSON.parse(service.observation ?? "")).toEqual(HEALTHY);
    expect(Math.abs(Date.now() - 2_000 - (service.observed_at ?? 0))).toBeLessThan(1_000);
    expect(hints()).toEqual([serviceId]);
  });

  it("that is not stored yet is not what a heartbeat behind it confirms", async () => {
    const confirmedAt = () => harness.agents.link(agent.agentId).confirmedAt;
    const gate = Promise.withResolvers<void>();
    const busy = harness.db.transaction().execute(() => gate.promise);
    const services = [{ serviceId, generation: 1, observation: HEALTHY, ageMs: 0 }];
    socket.send({ type: "state", data: { full: false, services } });
    const beat = { observedAgeMs: 0, dockerOk: true, running: [], streams: 0, rssBytes: 1 };
    socket.send({ type: "heartbeat", data: beat });
    await socket.next("heartbeat_ack");
    expect(confirmedAt()).toBe(null);
    gate.resolve();
    await busy;
    await until(() => confirmedAt() !== null);
    expect((await harness.service(serviceId)).observed_state).toBe("running");
  });

  it("that says the same again writes nothing and tells nobody", async () => {
    await report(false, [{ id: serviceId, observation: HEALTHY }]);
    const before = await harness.service(serviceId);
    await report(true, [{ id: serviceId, observation: HEALTHY }]);
    expect(await harness.service(serviceId)).toEqual(before);
    expect(hints()).toEqual([serviceId]);
  });

  it("as a delta leaves the others alone; in full, those left out are not there", async () => {
    const other = await harness.makeService(agent.agentId, "other");
    const deployed = await harness.makeService(agent.agentId, "deployed");
    await harness.db.updateTable("service").set({ deployed_at: 1 }).where("id", "=", deployed).execute();
    await report(false, [{ id: deployed, observation: HEALTHY }]);
    await report(false, [{ id: serviceId, observation: HEALTHY }]);
    expect((await harness.service(deployed)).observed_state).toBe("running");
    expect((await harness.service(other)).observation).toBeNull();

    await report(true, [{ id: serviceId, observation: HEALTHY }]);
    const evidence = "the agent knows no such service";
    const seen = async (id: string) => JSON.parse((await harness.service(id)).observation ?? "null");
    expect(await seen(deployed)).toEqual({ state: "missing", evidence, volume: "unknown" });
    expect(await seen(other)).toEqual({ state: "not_deployed", evidence, volume: "absent" });
    expect(await seen(serviceId)).toEqual(HEALTHY);
  });

  it("says nothing of another server's services, by naming them or by silence", async () => {
    const theirs = await harness.makeService((await harness.enrolled("other")).agentId, "theirs");
    await report(true, [{ id: theirs, observation: HEALTHY }]);
    expect(await harness.service(theirs)).toMatchObject({ observed_state: "not_deployed", observation: null });
  });

  it("does not bring back a deleted service", async () => {
    await harness.db.updateTable("service").set({ deleted_at: 5 }).where("id", "=", serviceId).execute();
    await report(false, [{ id: serviceId, observation: HEALTHY }]);
    expect(await harness.service(serviceId)).toMatchObject({ deleted_at: 5, observed_state: "not_deployed" });
  });

  it("never moves an operation: only a result does", async () => {
    const id = await harness.makeOperation(serviceId, "deploy");
    harness.agents.wake(agent.agentId);
    await socket.next("command");
    await report(false, [{ id: serviceId, observation: HEALTHY }]);
    await until(async () => (await harness.service(serviceId)).observed_state === "running");
    expect((await harness.operation(id)).state).toBe("sent");
    expect((await harness.service(serviceId)).deployed_at).toBeNull();
  });
});
