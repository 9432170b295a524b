/** Commands from their outbox rows to their results, against a scripted agent. */
import type { ToAgent } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import { nextRows } from "./outbox.ts";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, settled, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
let serviceId: string;
beforeEach(async () => {
  platform = createTestPlatform();
  harness = await startHarness({ platform });
  agent = await harness.enrolled();
  serviceId = await harness.makeService(agent.agentId);
});
afterEach(() => harness.stop());

const accept = (socket: FakeSocket, operationId: string) =>
  socket.send({ type: "ack", data: { operationId, outcome: "accepted" } });
const stateOf = async (id: string) => (await harness.operation(id)).state;
const reaches = (id: string, state: string) => until(async () => (await stateOf(id)) === state, `${id} ${state}`);
const beat = (running: string[] = []) => ({
  type: "heartbeat" as const,
  data: {
    observedAgeMs: 0,
    dockerOk: true,
    running: running.map((operationId) => ({ operationId, step: "pull" })),
    streams: 0,
    rssBytes: 1,
  },
});
const result = (operationId: string, change: object = {}) => ({
  type: "result" as const,
  data: { operationId, state: "succeeded" as const, lineCount: 0, endedAgeMs: 0, ...change },
});
const commandOf = (frame: ToAgent) => (frame.type === "command" ? frame.data : undefined);

describe("a command", () => {
  it("goes out rendered: secrets opened, time as what is left of it", async () => {
    const id = await harness.makeOperation(serviceId, "deploy", { startWithinMs: 60_000 });
    platform.advance(2_000);
    const socket = await harness.connect(agent);
    const command = commandOf(await socket.next("command"));
    expect(command).toMatchObject({
      kind: "deploy",
      operationId: id,
      serviceId,
      generation: 1,
      startWithinMs: 58_000,
      runMs: 60_000,
      secrets: { password: "secret of db" },
      spec: { name: "db", engine: "postgres" },
    });
    expect(await harness.operation(id)).toMatchObject({ state: "sent", sent_at: platform.clock.now() });
    expect(JSON.stringify(await harness.outbox())).not.toContain("secret of db");
  });

  it("is sent at once when the room that wrote it wakes the outbox", async () => {
    const socket = await harness.connect(agent);
    const id = await harness.makeOperation(serviceId);
    harness.agents.wake(agent.agentId);
    expect(commandOf(await socket.next("command"))?.operationId).toBe(id);
  });

  it("is sent once a session until it is acknowledged, and then no more", async () => {
    const id = await harness.makeOperation(serviceId);
    const first = await harness.connect(agent);
    await first.next("command");
    for (let count = 0; count < 3; count++) harness.agents.wake(agent.agentId);
    await settled();
    expect(first.waiting("command")).toEqual([]);
    first.cut();

    const second = await harness.connect(agent);
    expect(commandOf(await second.next("command"))?.operationId).toBe(id);
    accept(second, id);
    await reaches(id, "running");
    expect(await harness.outbox()).toEqual([]);
    second.cut();

    const third = await harness.connect(agent);
    await settled();
    expect(third.waiting("command")).toEqual([]);
  });

  it("outlives a restart of the control plane", async () => {
    const id = await harness.makeOperation(serviceId);
    await (await harness.connect(agent)).next("command");
    await harness.restart();
    const socket = await harness.connect(agent);
    expect(commandOf(await socket.next("command"))?.operationId).toBe(id);
  });

  it("waits for the one before it on the same service, not for other services", async () => {
    const other = await harness.makeService(agent.agentId, "other");
    const first = await harness.makeOperation(serviceId);
    const beside = await harness.makeOperation(other);
    const socket = await harness.connect(agent);
    const sent = [commandOf(await socket.next("command")), commandOf(await socket.next("command"))];
    expect(sent.map((command) => command?.operationId)).toEqual([first, beside]);
  });

  it("ends as expired instead of being sent when its time is over, agent there or not", async () => {
    const late = await harness.makeOperation(serviceId, "stop", { startWithinMs: 1_000 });
    platform.advance(1_001);
    const socket = await harness.connect(agent);
    await reaches(late, "expired");
    expect(socket.waiting("command")).toEqual([]);
    socket.cut();
    await until(() => harness.agents.link(agent.agentId).state === "unreachable");
    const away = await harness.makeOperation(serviceId, "stop", { startWithinMs: 1_000 });
    platform.advance(6_000);
    await reaches(away, "expired");
    expect(await harness.operation(away)).toMatchObject({ error: expect.stringContaining("expired") });
    expect(await harness.outbox()).toEqual([]);
  });

  it("that was sent is not called expired: its agent judges, with no time left", async () => {
    const id = await harness.makeOperation(serviceId, "stop", { startWithinMs: 1_000 });
    const first = await harness.connect(agent);
    await first.next("command");
    first.cut();
    platform.advance(6_000);
    const second = await harness.connect(agent);
    expect(commandOf(await second.next("command"))).toMatchObject({ operationId: id, startWithinMs: 0 });
  });

  it("whose server is gone for good ends as unknown, and stays so when the server is back after all", async () => {
    const other = await harness.makeService(agent.agentId, "other");
    const accepted = await harness.makeOperation(serviceId);
    const unheard = await harness.makeOperation(other);
    const socket = await harness.connect(agent);
    await socket.next("command");
    await socket.next("command");
    accept(socket, accepted);
    await reaches(accepted, "running");
    socket.cut();
    await until(() => harness.agents.link(agent.agentId).state === "unreachable");
    platform.advance(50 * 60_000);
    await settled();
    expect([await stateOf(accepted), await stateOf(unheard)]).toEqual(["running", "sent"]);
    platform.advance(20 * 60_000);
    await reaches(accepted, "unknown");
    await reaches(unheard, "unknown");
    expect(await harness.operation(accepted)).toMatchObject({ error: expect.stringContaining("outcome_unknown") });
    expect(await harness.outbox()).toEqual([]);
    const back = await harness.connect(agent);
    back.send(result(accepted));
    await back.next("result_ack");
    expect(await stateOf(accepted)).toBe("unknown");
  });

  it("that runs is left to its agent as long as that is there, however long it takes", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    accept(socket, id);
    await reaches(id, "running");
    for (let beats = 0; beats < 300; beats += 1) {
      socket.send(beat([id]));
      await socket.next("heartbeat_ack");
      platform.advance(20_000);
    }
    await settled();
    expect(await stateOf(id)).toBe("running");
  });

  it("waits for agents to return after the control plane was away for long itself", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    accept(socket, id);
    await reaches(id, "running");
    socket.cut();
    await until(() => harness.agents.link(agent.agentId).state === "unreachable");
    await harness.db.updateTable("operation").set({ created_at: 1, sent_at: 1, start_before: 2 }).execute();
    await harness.db.updateTable("server").set({ last_seen_at: 3 }).execute();
    await harness.restart();
    platform.advance(50 * 60_000);
    await settled();
    expect(await stateOf(id)).toBe("running");
    const back = await harness.connect(agent);
    back.send(result(id));
    await reaches(id, "succeeded");
  });

  it("fails with the agent's words when it is rejected, and lets the next one go", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    const failure = { code: "policy_refused" as const, message: "not on this server" };
    socket.send({ type: "ack", data: { operationId: id, outcome: "rejected", failure } });
    await reaches(id, "failed");
    expect(JSON.parse((await harness.operation(id)).error ?? "")).toEqual(failure);
    const next = await harness.makeOperation(serviceId);
    harness.agents.wake(agent.agentId);
    expect(commandOf(await socket.next("command"))?.operationId).toBe(next);
  });

  it("that cannot be put together fails, and does not stand before the others", async () => {
    const broken = await harness.makeOperation(serviceId, "deploy");
    await harness.db.updateTable("secret").set({ sealed: "not sealed by us" }).execute();
    const socket = await harness.connect(agent);
    await reaches(broken, "failed");
    const next = await harness.makeOperation(serviceId);
    harness.agents.wake(agent.agentId);
    expect(commandOf(await socket.next("command"))?.operationId).toBe(next);
  });

  it("is asked for again when the agent has accepted it and knows it no more", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    accept(socket, id);
    await reaches(id, "running");
    socket.send(beat([id]));
    socket.send(beat());
    socket.send(beat([id]));
    socket.send(beat());
    await settled();
    expect(socket.waiting("command")).toEqual([]);
    socket.send(beat());
    expect(commandOf(await socket.next("command"))?.operationId).toBe(id);
    socket.send({ type: "ack", data: { operationId: id, outcome: "duplicate" } });
    socket.send(result(id));
    await reaches(id, "succeeded");
  });

  it.each([
    ["check", true],
    ["stop", undefined],
  ] as const)(
    "of a %s, when it is asked for again, says whether it was acknowledged: %s",
    async (kind, acknowledged) => {
      const id = await harness.makeOperation(serviceId, kind);
      const socket = await harness.connect(agent);
      const first = commandOf(await socket.next("command"));
      expect(first).toMatchObject({ kind, operationId: id });
      expect(first).not.toHaveProperty("acknowledged");
      accept(socket, id);
      await reaches(id, "running");
      socket.send(beat());
      socket.send(beat());
      const again = commandOf(await socket.next("command"));
      expect(again).toMatchObject({ kind, operationId: id });
      expect(again !== undefined && "acknowledged" in again ? again.acknowledged : undefined).toBe(acknowledged);
    },
  );

  it("of another server is nothing that this agent can answer", async () => {
    const other = await harness.enrolled("other");
    const foreign = await harness.makeOperation(await harness.makeService(other.agentId, "theirs"));
    const socket = await harness.connect(agent);
    accept(socket, foreign);
    socket.send({
      type: "progress",
      data: { operationId: foreign, from: 0, lines: [{ ageMs: 0, level: "info", text: "x" }] },
    });
    socket.send(result(foreign));
    // Both are let go of, as for an operation that does not exist, so that their sender does not offer them for ever.
    expect((await socket.next("progress_ack")).data.next).toBe(1);
    await socket.next("result_ack");
    expect(await harness.operation(foreign)).toMatchObject({ state: "queued", line_count: 0 });
    expect(await harness.logOf(foreign)).toEqual([]);
    expect(await harness.outbox()).toHaveLength(1);
  });
});

describe("nextRows", () => {
  const row = (id: number, service: string, given: object = {}) => ({
    id,
    service_id: service,
    operation_id: `operation ${id}`,
    kind: "command" as const,
    sent_session: null,
    ...given,
  });
  const ids = (...rows: Parameters<typeof nextRows>[0]) => nextRows(rows, 7).map(({ id }) => id);

  it("gives the first command of each service, and none behind one that is under way", () => {
    expect(ids(row(1, "a"), row(2, "a"), row(3, "b"))).toEqual([1, 3]);
    expect(ids(row(1, "a", { sent_session: 7 }), row(2, "a"))).toEqual([]);
    expect(ids(row(1, "a", { sent_session: 6 }), row(2, "a"))).toEqual([1]);
  });

  it("gives a cancel behind its command or alone, never before it", () => {
    const cancel = { kind: "cancel" as const };
    expect(ids(row(1, "a"), row(2, "a", { ...cancel, operation_id: "operation 1" }))).toEqual([1, 2]);
    expect(ids(row(2, "a", cancel))).toEqual([2]);
    const behind = { ...cancel, operation_id: "operation 2" };
    expect(ids(row(1, "a"), row(2, "a"), row(3, "a", behind))).toEqual([1]);
    expect(ids(row(2, "a", { ...cancel, sent_session: 7 }))).toEqual([]);
  });
});

describe("a cancel", () => {
  const cancel = (operationId: string) =>
    harness.db
      .insertInto("outbox")
      .values({
        server_id: agent.agentId,
        service_id: serviceId,
        operation_id: operationId,
        kind: "cancel",
        created_at: 1,
        sent_session: null,
      })
      .execute();

  it("follows its command, again on each session, until the operation has ended", async () => {
    const id = await harness.makeOperation(serviceId);
    await cancel(id);
    const first = await harness.connect(agent);
    await first.next("command");
    expect((await first.next("cancel")).data.operationId).toBe(id);
    accept(first, id);
    await reaches(id, "running");
    first.cut();
    const second = await harness.connect(agent);
    expect((await second.next("cancel")).data.operationId).toBe(id);
    expect(second.waiting("command")).toEqual([]);
    second.send(result(id, { state: "cancelled" }));
    await reaches(id, "cancelled");
    expect(await harness.outbox()).toEqual([]);
  });
});

describe("a result", () => {
  it("ends the operation once, dated by its age, and is acknowledged as often as it comes", async () => {
    const id = await harness.makeOperation(serviceId, "deploy");
    const socket = await harness.connect(agent);
    await socket.next("command");
    accept(socket, id);
    const timings = { totalMs: 900, pullMs: 500, engineMs: 300, ownMs: 100 };
    socket.send(result(id, { startedAgeMs: 1_000, endedAgeMs: 100, timings }));
    await socket.next("result_ack");
    const now = platform.clock.now();
    const ended = await harness.operation(id);
    expect(ended).toMatchObject({ state: "succeeded", started_at: now - 1_000, ended_at: now - 100, lines_total: 0 });
    expect(JSON.parse(ended.timings ?? "")).toEqual(timings);
    expect((await harness.service(serviceId)).deployed_at).toBe(now - 100);

    socket.send(result(id, { state: "failed", failure: { code: "internal", message: "no, it failed" } }));
    await socket.next("result_ack");
    expect(await harness.operation(id)).toEqual(ended);
  });

  it("is not undone by a late refusal of its command", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    socket.send(result(id));
    await socket.next("result_ack");
    const ended = await harness.operation(id);
    socket.send({ type: "ack", data: { operationId: id, outcome: "rejected" } });
    socket.send(result(id));
    await socket.next("result_ack");
    expect(await harness.operation(id)).toEqual(ended);
  });

  it("keeps the first successful deploy's date", async () => {
    const socket = await harness.connect(agent);
    const dates = [];
    for (let count = 0; count < 2; count++) {
      const id = await harness.makeOperation(serviceId, "deploy");
      harness.agents.wake(agent.agentId);
      await socket.next("command");
      socket.send(result(id));
      await socket.next("result_ack");
      dates.push((await harness.service(serviceId)).deployed_at);
      platform.advance(1_000);
    }
    expect(dates[0]).toBe(dates[1]);
  });

  it("may overtake the acknowledgement: the outbox lets go of the command", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    socket.send(result(id));
    await socket.next("result_ack");
    expect([await stateOf(id), await harness.outbox()]).toEqual(["succeeded", []]);
  });

  it("of a failed deploy says why and leaves the service as never deployed", async () => {
    const id = await harness.makeOperation(serviceId, "deploy");
    const socket = await harness.connect(agent);
    const failure = {
      code: "image_not_found" as const,
      message: "postgres:99 is in no registry",
      hint: "Choose another.",
    };
    await socket.next("command");
    socket.send(result(id, { state: "failed", failure }));
    await socket.next("result_ack");
    expect(JSON.parse((await harness.operation(id)).error ?? "")).toEqual(failure);
    expect((await harness.service(serviceId)).deployed_at).toBeNull();
  });

  it.each([
    ["never began it", undefined, "running"],
    ["had begun it", 10, "stopped"],
  ])(
    "of a stop that failed, when its agent %s, decides what is wanted, whatever lines came",
    async (_, startedAgeMs, desired) => {
      const id = await harness.makeOperation(serviceId, "stop");
      const { generation } = await harness.operation(id);
      await harness.db.updateTable("service").set({ desired: "stopped", generation }).execute();
      await harness.db.updateTable("operation").set({ args: '{"previousDesired":"running"}' }).execute();
      const socket = await harness.connect(agent);
      await socket.next("command");
      const lines = [{ ageMs: 0, level: "error" as const, text: "Docker does not answer" }];
      socket.send({ type: "progress", data: { operationId: id, from: 0, lines } });
      await socket.next("progress_ack");
      expect((await harness.operation(id)).started_at).not.toBeNull();
      const failure = { code: "docker_unavailable" as const, message: "Docker does not answer" };
      socket.send(result(id, { state: "failed", failure, lineCount: 1, startedAgeMs }));
      await socket.next("result_ack");
      expect((await harness.service(serviceId)).desired).toBe(desired);
      const startedAt = startedAgeMs === undefined ? null : platform.clock.now() - startedAgeMs;
      expect((await harness.operation(id)).started_at).toBe(startedAt);
    },
  );

  it.each([
    [true, "absent", 0],
    [false, "present", 1],
  ])(
    "of a delete (data: %s) removes the service and keeps the secret as long as the data",
    async (deleteData, volume, secrets) => {
      const id = await harness.makeOperation(serviceId, "delete", { deleteData });
      const socket = await harness.connect(agent);
      await socket.next("command");
      harness.events.length = 0;
      socket.send(result(id));
      await socket.next("result_ack");
      const service = await harness.service(serviceId);
      expect(service).toMatchObject({ deleted_at: platform.clock.now(), observed_state: "not_deployed" });
      expect(JSON.parse(service.observation ?? "")).toMatchObject({ volume });
      expect(await harness.db.selectFrom("secret").selectAll().execute()).toHaveLength(secrets);
      expect(harness.events.map((event) => event.type)).toEqual(["operation", "service", "environment"]);
    },
  );

  it("is acknowledged only when the log is whole", async () => {
    const id = await harness.makeOperation(serviceId);
    const socket = await harness.connect(agent);
    await socket.next("command");
    socket.send(result(id, { lineCount: 2 }));
    expect((await socket.next("progress_ack")).data).toEqual({ operationId: id, next: 0 });
    expect([await stateOf(id), socket.waiting("result_ack")]).toEqual(["succeeded", []]);
    const line = (text: string) => ({ ageMs: 0, level: "info" as const, text });
    socket.send({ type: "progress", data: { operationId: id, from: 0, lines: [line("one"), line("two")] } });
    await socket.next("result_ack");
    expect((await harness.logOf(id)).map((row) => row.text)).toEqual(["one", "two"]);
    expect(await harness.operation(id)).toMatchObject({ state: "succeeded", line_count: 2, lines_total: 2 });
  });

  it.each(["the result again", "no lines", "nothing at all"])(
    "waits for missing lines no longer than until the agent answers with %s",
    async (answer) => {
      const id = await harness.makeOperation(serviceId);
      const socket = await harness.connect(agent);
      await socket.next("command");
      socket.send(result(id, { lineCount: 5 }));
      await socket.next("progress_ack");
      if (answer === "no lines") socket.send({ type: "progress", data: { operationId: id, from: 0, lines: [] } });
      else if (answer === "the result again") socket.send(result(id, { lineCount: 5 }));
      else for (let count = 0; count < 3; count++) socket.send(beat());
      await socket.next("result_ack");
      expect(await harness.operation(id)).toMatchObject({ line_count: 0, lines_total: 0 });
    },
  );
});
