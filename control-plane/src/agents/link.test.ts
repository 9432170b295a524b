/** Frames at the border of an open link: what ends it, what is ignored, and when silence is too long. */
import { CLOSE } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, settled, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
let socket: FakeSocket;
beforeEach(async () => {
  platform = createTestPlatform();
  harness = await startHarness({ platform });
  agent = await harness.enrolled();
  socket = await harness.connect(agent);
});
afterEach(() => harness.stop());

const beat = (change: object = {}) => ({
  type: "heartbeat" as const,
  data: { observedAgeMs: 0, dockerOk: true, running: [], streams: 0, rssBytes: 50_000_000, ...change },
});
const link = () => harness.agents.link(agent.agentId);

describe("an open link", () => {
  it("answers each heartbeat and remembers what it said", async () => {
    platform.advance(1_000);
    socket.send(beat({ observedAgeMs: 400 }));
    await socket.next("heartbeat_ack");
    const now = platform.clock.now();
    expect(link()).toMatchObject({ lastSeenAt: now, confirmedAt: now - 400, dockerOk: true, rssBytes: 50_000_000 });
  });

  it("tells browsers when Docker is gone or back, not with every heartbeat", async () => {
    const told = [];
    for (const dockerOk of [true, true, false, false, true]) {
      harness.events.length = 0;
      socket.send(beat({ dockerOk }));
      await socket.next("heartbeat_ack");
      told.push(harness.events.map((event) => event.type).join());
    }
    expect(told).toEqual(["server", "", "server", "", "server"]);
  });

  it("answers an unknown type with an error and goes on", async () => {
    socket.send({ type: "from_the_future", data: { anything: 1 } });
    expect((await socket.next("error")).data.code).toBe("unsupported");
    socket.send(beat());
    await socket.next("heartbeat_ack");
  });

  it("drops a frame that it has seen before", async () => {
    const frame = { ...beat(), session: socket.session };
    socket.sendText(JSON.stringify({ ...frame, seq: 3 }));
    await socket.next("heartbeat_ack");
    socket.sendText(JSON.stringify({ ...frame, seq: 3 }));
    await settled();
    expect(socket.waiting("heartbeat_ack")).toEqual([]);
    socket.sendText(JSON.stringify({ ...frame, seq: 4 }));
    await socket.next("heartbeat_ack");
  });

  const bad: [string, number, (session: number) => string | Uint8Array][] = [
    ["a gap in the numbers", CLOSE.badFrame, (session) => JSON.stringify({ ...beat(), seq: 4, session })],
    ["another session", CLOSE.badFrame, (session) => JSON.stringify({ ...beat(), seq: 3, session: session - 1 })],
    ["no JSON", CLOSE.badFrame, () => "{"],
    ["a frame without data", CLOSE.badFrame, (session) => JSON.stringify({ type: "dance", seq: 3, session })],
    ["no frame", CLOSE.badFrame, () => JSON.stringify(["heartbeat"])],
    [
      "data of another form",
      CLOSE.badFrame,
      (session) => JSON.stringify({ ...beat({ streams: -1 }), seq: 3, session }),
    ],
    [
      "a second handshake",
      CLOSE.badFrame,
      (session) => JSON.stringify({ type: "auth", seq: 3, session, data: { jws: "x" } }),
    ],
    ["a binary frame that is none", CLOSE.badFrame, () => new Uint8Array([9, 9, 9])],
    ["256 KiB of text", CLOSE.tooBig, () => JSON.stringify({ ...beat(), filler: "x".repeat(256 * 1024) })],
    ["over 1 MiB", CLOSE.tooBig, () => new Uint8Array(1024 * 1024 + 1)],
  ];
  it.each(bad)("ends at %s with %i", async (_, code, make) => {
    const bytes = make(socket.session);
    if (typeof bytes === "string") socket.sendText(bytes);
    else socket.sendBytes(bytes);
    expect((await socket.ended).code).toBe(code);
    await until(() => link().state === "unreachable");
  });

  it("survives reasons that no close frame could hold", async () => {
    const data = { operationId: "x", state: "ä".repeat(200), lineCount: "é", endedAgeMs: 0 };
    socket.send({ type: "result", data });
    const { code, reason } = await socket.ended;
    expect([code, /^[ -~]*$/.test(reason)]).toEqual([CLOSE.badFrame, true]);
    await harness.connect(agent);
  });

  it("ends after a deadline without any frame, and not before", async () => {
    platform.advance(29_000);
    socket.send(beat());
    await socket.next("heartbeat_ack");
    platform.advance(29_000);
    expect(link().state).toBe("online");
    platform.advance(15_000);
    await socket.ended;
    expect(link().state).toBe("unreachable");
  });

  it("writes when it was last seen now and then, not with every frame", async () => {
    const saved = async () =>
      (await harness.db.selectFrom("server").select("last_seen_at").executeTakeFirstOrThrow()).last_seen_at;
    const before = await saved();
    platform.advance(10_000);
    socket.send(beat());
    await socket.next("heartbeat_ack");
    expect(await saved()).toBe(before);
    platform.advance(20_000);
    await until(async () => (await saved()) === (before ?? 0) + 10_000);
  });

  it("dates what heartbeats confirmed when the link ends", async () => {
    const serviceId = await harness.makeService(agent.agentId);
    const observation = { state: "running", evidence: "container healthy", volume: "present" } as const;
    socket.send({
      type: "state",
      data: { full: false, services: [{ serviceId, generation: 1, observation, ageMs: 0 }] },
    });
    await until(async () => (await harness.service(serviceId)).observed_state === "running");
    platform.advance(9_000);
    socket.send(beat({ observedAgeMs: 100 }));
    await socket.next("heartbeat_ack");
    const confirmedAt = platform.clock.now() - 100;
    platform.advance(5_000);
    socket.close();
    await until(async () => (await harness.service(serviceId)).observed_at === confirmedAt);
  });

  it("says that it goes down, and is back with the same rows", async () => {
    await harness.restart();
    expect((await socket.ended).code).toBe(CLOSE.goingAway);
    expect(link().state).toBe("reconnecting");
    await harness.connect(agent);
    expect(link().state).toBe("online");
  });
});
