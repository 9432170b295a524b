/** One identity, one machine: what the join counter sees, what a quarantine does, and how a re-key ends it. */
import { CLOSE } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import { enrolBy, FACTS, type FakeIdentity, type FakeSocket, newKey, openAnswer } from "./testing/fake-agent.ts";
import { type Harness, PRE_AUTH_MS, settled, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
beforeEach(async () => {
  platform = createTestPlatform();
  harness = await startHarness({ platform });
  agent = await harness.enrolled();
});
afterEach(() => harness.stop());

const link = () => harness.agents.link(agent.agentId);
const row = () => harness.db.selectFrom("server").selectAll().where("id", "=", agent.agentId).executeTakeFirstOrThrow();
const counters = async () => {
  const { epoch, pending_epoch, session } = await row();
  return { epoch, pending: pending_epoch, session };
};
const audits = async () => (await harness.db.selectFrom("audit").selectAll().execute()).map(({ action }) => action);
const beat = { observedAgeMs: 0, dockerOk: true, running: [], streams: 0, rssBytes: 1 };

/** Its end, after a handshake that must not succeed. */
async function refusedAs(identity: FakeIdentity): Promise<number> {
  const socket = await harness.open();
  await socket.authenticate(identity).catch(() => undefined);
  return (await socket.ended).code;
}

/** Both machines have connected once, so both know that something is wrong. */
async function quarantined(): Promise<{ copy: FakeIdentity; live: FakeSocket }> {
  const copy = { ...agent };
  const live = await harness.connect(agent);
  expect(await refusedAs(copy)).toBe(CLOSE.identityConflict);
  return { copy, live };
}

describe("the begin of a session", () => {
  it("is the agent's ready: before it the server is not online and is sent nothing", async () => {
    const operationId = await harness.makeOperation(await harness.makeService(agent.agentId));
    const socket = await harness.open();
    const welcome = await socket.getWelcome(agent);
    harness.agents.wake(agent.agentId);
    await settled();
    expect([link().state, socket.waiting("command").length]).toEqual(["never_connected", 0]);
    expect(await counters()).toEqual({ epoch: 0, pending: 1, session: 1 });
    socket.beReady(agent, welcome);
    expect((await socket.next("command")).data.operationId).toBe(operationId);
    expect(link().state).toBe("online");
    expect(await counters()).toEqual({ epoch: 1, pending: null, session: 1 });
  });

  it("takes what comes right behind the ready, in its order", async () => {
    const socket = await harness.open();
    await socket.authenticate(agent);
    socket.send({ type: "state", data: { full: true, services: [] } });
    for (let n = 0; n < 20; n += 1) socket.send({ type: "heartbeat", data: beat });
    for (let n = 0; n < 20; n += 1) await socket.next("heartbeat_ack");
    expect(link()).toMatchObject({ state: "online", rssBytes: 1 });
  });

  it("does not come by a ready for another epoch, by any other frame, or too late", async () => {
    const other = await harness.open();
    const welcome = await other.getWelcome(agent);
    other.send({ type: "ready", data: { epoch: welcome.epoch + 1 } });
    expect((await other.ended).code).toBe(CLOSE.badFrame);
    const early = await harness.open();
    await early.getWelcome(agent);
    early.send({ type: "heartbeat", data: beat });
    expect((await early.ended).code).toBe(CLOSE.unauthenticated);
    const silent = await harness.open();
    await silent.getWelcome(agent);
    platform.advance(PRE_AUTH_MS);
    expect((await silent.ended).code).toBe(CLOSE.unauthenticated);
    expect([link().state, (await counters()).epoch]).toEqual(["never_connected", 0]);
  });

  it("leaves an older session alone until then", async () => {
    const older = await harness.connect(agent);
    const newer = await harness.open();
    const welcome = await newer.getWelcome(agent);
    older.send({ type: "heartbeat", data: beat });
    await older.next("heartbeat_ack");
    newer.beReady(agent, welcome);
    expect((await older.ended).code).toBe(CLOSE.superseded);
    expect(link().state).toBe("online");
  });
});

describe("one machine", () => {
  it("is never taken for two, whether its welcomes or its readies are lost", async () => {
    for (let round = 0; round < 3; round += 1) {
      const lostWelcome = await harness.open();
      await lostWelcome.getWelcome(agent);
      lostWelcome.cut();
      const lostReady = await harness.open();
      agent.epoch = (await lostReady.getWelcome(agent)).epoch;
      lostReady.cut();
      await harness.connect(agent);
    }
    expect(link().state).toBe("online");
    expect((await row()).quarantined_at).toBeNull();
    expect(agent.epoch).toBe((await row()).epoch);
  });

  it("is not accused by a handshake that a slow network brought after the next one", async () => {
    const slow = await harness.open();
    const { data: challenge } = await slow.next("challenge");
    const payload = { ...challenge, url: harness.socketUrl, agentId: agent.agentId, agentNonce: "A".repeat(43) };
    const jws = await agent.key.sign({ ...payload, epoch: agent.epoch, facts: FACTS });
    const live = await harness.connect(agent);
    slow.send({ type: "auth", data: { jws } });
    expect((await slow.ended).code).toBe(CLOSE.superseded);
    live.send({ type: "heartbeat", data: beat });
    await live.next("heartbeat_ack");
    expect([link().state, (await row()).quarantined_at]).toEqual(["online", null]);
  });

  it("comes back by itself to a control plane that was restored from an older backup", async () => {
    await (await harness.connect(agent)).cut();
    const backup = await row();
    for (let n = 0; n < 5; n += 1) (await harness.connect(agent)).cut();
    const { epoch, pending_epoch, session } = backup;
    await harness.db.updateTable("server").set({ epoch, pending_epoch, session }).execute();
    await harness.restart();
    const lostWelcome = await harness.open();
    await lostWelcome.getWelcome(agent);
    lostWelcome.cut();
    await harness.connect(agent);
    expect(link().state).toBe("online");
    expect(await counters()).toMatchObject({ epoch: agent.epoch, pending: null });
  });
});

describe("a second machine with the same identity", () => {
  it("is found out at its first connect when the first has been online since, and both are sent away", async () => {
    const { live } = await quarantined();
    expect((await live.ended).code).toBe(CLOSE.identityConflict);
    expect(link().state).toBe("quarantined");
    expect((await row()).quarantined_at).toBe(platform.clock.now());
    expect(await audits()).toContain("server.quarantine");
    expect(harness.events.at(-1)?.type).toBe("server");
  });

  it("is found out within two connects of each when both start at the same instant", async () => {
    const copy = { ...agent };
    const [first, second] = [await harness.open(), await harness.open()];
    await Promise.all([first.authenticate(agent), second.authenticate(copy)].map((one) => one.catch(() => undefined)));
    // One was faster. The other cannot be told yet from a connection that was left behind, and is told to come again.
    const [slower, live] = await Promise.race([
      first.ended.then((end) => [{ end, identity: agent }, second] as const),
      second.ended.then((end) => [{ end, identity: copy }, first] as const),
    ]);
    expect(slower.end.code).toBe(CLOSE.superseded);
    expect(await refusedAs(slower.identity)).toBe(CLOSE.identityConflict);
    expect((await live.ended).code).toBe(CLOSE.identityConflict);
    expect([await refusedAs(agent), await refusedAs(copy)]).toEqual([CLOSE.identityConflict, CLOSE.identityConflict]);
  });

  it("may be the same one, set back to an older disk", async () => {
    const snapshot = { ...agent };
    for (let n = 0; n < 3; n += 1) (await harness.connect(agent)).cut();
    expect(await refusedAs(snapshot)).toBe(CLOSE.identityConflict);
    expect(link().state).toBe("quarantined");
  });

  it("is not found out by whoever does not have the key", async () => {
    const live = await harness.connect(agent);
    expect(await refusedAs({ ...agent, epoch: 0, key: await newKey() })).toBe(CLOSE.unauthenticated);
    live.send({ type: "heartbeat", data: beat });
    await live.next("heartbeat_ack");
    expect(link().state).toBe("online");
  });
});

describe("a quarantined server", () => {
  it("is refused at every handshake, also by the control plane's next life, and counts no further", async () => {
    const { copy } = await quarantined();
    const before = await counters();
    expect([await refusedAs(agent), await refusedAs(copy)]).toEqual([CLOSE.identityConflict, CLOSE.identityConflict]);
    await harness.restart();
    expect(link().state).toBe("quarantined");
    expect([await refusedAs(agent), await refusedAs(copy)]).toEqual([CLOSE.identityConflict, CLOSE.identityConflict]);
    expect(await counters()).toEqual(before);
  });

  it("ends what was on its way as unknown with the reason, and lets what was never sent wait", async () => {
    const copy = { ...agent };
    const live = await harness.connect(agent);
    const running = await harness.makeOperation(await harness.makeService(agent.agentId, "runs"));
    const sent = await harness.makeOperation(await harness.makeService(agent.agentId, "sent"));
    harness.agents.wake(agent.agentId);
    await live.next("command");
    await live.next("command");
    live.send({ type: "ack", data: { operationId: running, outcome: "accepted" } });
    await until(async () => (await harness.operation(running)).state === "running");
    const queued = await harness.makeOperation(await harness.makeService(agent.agentId, "waits"));
    expect(await refusedAs(copy)).toBe(CLOSE.identityConflict);
    harness.agents.wake(agent.agentId);
    await settled();
    for (const id of [running, sent]) {
      const operation = await harness.operation(id);
      expect([operation.state, operation.error]).toEqual(["unknown", expect.stringContaining("Two machines")]);
    }
    expect(await harness.operation(queued)).toMatchObject({ state: "queued", sent_at: null });
    expect(live.waiting("command")).toEqual([]);
    platform.advance(65_000);
    await until(async () => (await harness.operation(queued)).state === "expired");
  });

  it("does not come online by a ready that was on its way", async () => {
    const socket = await harness.open();
    const welcome = await socket.getWelcome(agent);
    await harness.db.updateTable("server").set({ quarantined_at: 1 }).execute();
    socket.beReady(agent, welcome);
    expect((await socket.ended).code).toBe(CLOSE.identityConflict);
    expect(link().state).not.toBe("online");
  });
});

describe("a re-key", () => {
  const rekeys = () => ({ rekeys: agent.agentId });
  const token = () => harness.makeToken("web", agent.agentId);
  const present = (text: string, key: FakeIdentity["key"], claim: object = rekeys()) =>
    enrolBy(harness.baseUrl, text, key, (payload) => ({ ...payload, ...claim }));

  it("gives the machine to keep a new key under the same id; the old key is refused, and the session number goes on", async () => {
    const { copy } = await quarantined();
    const { session } = await row();
    const key = await newKey();
    const { status, body } = await present(await token(), key);
    expect(status).toBe(200);
    expect(await openAnswer(body.jws, harness.controlPlaneId)).toMatchObject({ agentId: agent.agentId });
    expect(await row()).toMatchObject({ agent_kid: key.kid, epoch: 0, pending_epoch: null, quarantined_at: null });
    expect(link().state).toBe("unreachable");
    expect(await audits()).toContain("server.rekey");
    const kept = { agentId: agent.agentId, key, epoch: 0 };
    expect((await harness.connect(kept)).session).toBe(session + 1);
    expect([await refusedAs(copy), await refusedAs(agent)]).toEqual([CLOSE.unauthenticated, CLOSE.unauthenticated]);
    expect([link().state, (await row()).quarantined_at]).toEqual(["online", null]);
  });

  it("answers the same token and key again as it did, and no other key", async () => {
    const [text, key] = [await token(), await newKey()];
    const answers = await Promise.all([present(text, key), present(text, key)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    await harness.connect({ agentId: agent.agentId, key, epoch: 0 });
    expect((await present(text, key)).status).toBe(200);
    expect(link().state).toBe("online");
    expect((await present(text, await newKey())).body.code).toBe("token_used");
  });

  it("ends a session with the old key at once, and one whose ready is on its way", async () => {
    const live = await harness.connect(agent);
    const next = await harness.open();
    const welcome = await next.getWelcome(agent);
    expect((await present(await token(), await newKey())).status).toBe(200);
    expect((await live.ended).code).toBe(CLOSE.unauthenticated);
    next.beReady(agent, welcome);
    await next.ended;
    expect(link().state).toBe("unreachable");
  });

  it("leaves what ended as unknown as it is, whatever the machine reports later", async () => {
    const copy = { ...agent };
    const live = await harness.connect(agent);
    const operationId = await harness.makeOperation(await harness.makeService(agent.agentId));
    harness.agents.wake(agent.agentId);
    await live.next("command");
    await refusedAs(copy);
    const key = await newKey();
    await present(await token(), key);
    const kept = await harness.connect({ agentId: agent.agentId, key, epoch: 0 });
    kept.send({ type: "result", data: { operationId, state: "succeeded", lineCount: 0, endedAgeMs: 5 } });
    await kept.next("result_ack");
    expect((await harness.operation(operationId)).state).toBe("unknown");
  });

  it("is refused to a machine that is not this server, to an old key, and by a token for a new server", async () => {
    const other = await harness.enrolled("other");
    const key = await newKey();
    const refused = [
      await present(await token(), key, {}),
      await present(await token(), key, { rekeys: other.agentId }),
      await present(await token(), agent.key),
      await present(await token(), other.key),
      await present(await harness.makeToken("new"), key),
    ];
    expect(refused.map(({ body }) => body.code)).toEqual(Array(5).fill("forbidden"));
    expect((await row()).agent_kid).toBe(agent.key.kid);
    expect(await harness.db.selectFrom("server").select("id").execute()).toHaveLength(2);
    const expired = await token();
    platform.advance(31 * 60_000);
    expect((await present(expired, key)).body.code).toBe("token_expired");
  });
});
