/** Agents that send more than they may, agents that come all at once, and how each is told to stay away. */
import { CLOSE, encodeLogData } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { createTestPlatform } from "../testing/platform.ts";
import { AGENT_BUDGET } from "./budget.ts";
import { type FakeIdentity, type FakeSocket, openSocket } from "./testing/fake-agent.ts";
import { type Harness, settled, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
beforeEach(async () => {
  platform = createTestPlatform();
  harness = await startHarness({ platform, limits: { upgradesPerSecond: 50 } });
  agent = await harness.enrolled();
});
afterEach(() => harness.stop());

const beat = { type: "heartbeat", data: { observedAgeMs: 0, dockerOk: true, running: [], streams: 0, rssBytes: 1 } };
const UNKNOWN = "0190a000-0000-7000-8000-000000000000";

describe("an agent that sends more than it may", () => {
  const floods: [string, (socket: FakeSocket, n: number) => void, atOnce?: number][] = [
    ["frames of a type that nobody knows", (socket) => socket.send({ type: "x".repeat(64), data: {} })],
    ["progress of operations that are not its own", (socket, n) => socket.send(progress(n))],
    ["results of operations that are not its own", (socket, n) => socket.send(result(n))],
    ["a log of a million streams that nobody opened", (socket, n) => socket.sendBytes(logData(n))],
    ["megabytes of frames seen before", (socket) => socket.sendText(repeated(socket.session)), 5],
    ["pongs that nobody waits for", (socket) => socket.pong()],
  ];
  it.each(floods)("is closed with 4429 for %s, and again when it is back at once", async (_, flood, atOnce = 100) => {
    for (const expected of [1, 2]) {
      const socket = await harness.connect(agent);
      const isClosed = () => harness.agents.refusals().overBudget === expected;
      for (let n = 0; !isClosed() && n < 50_000; n += 1) {
        flood(socket, n);
        if (n % atOnce === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await until(isClosed, "the end of a flood");
      await until(() => harness.agents.link(agent.agentId).state !== "online");
      // Nothing more is read from it, not even its answer to the close: the time for that has to pass.
      await settled();
      platform.advance(2_000);
      expect((await socket.ended).code).toBe(CLOSE.overBudget);
      expect(isClosed()).toBe(true);
    }
  });

  it("does not keep another from being answered", async () => {
    const other = await harness.enrolled("other");
    const hostile = await harness.connect(agent);
    const honest = await harness.connect(other);
    for (let n = 0; n < AGENT_BUDGET.frames.burst + 10; n += 1) hostile.send({ type: "flood", data: {} });
    honest.send(beat);
    await honest.next("heartbeat_ack");
    expect(harness.agents.link(other.agentId).state).toBe("online");
  });

  it("may come back and work when its budget is full again", async () => {
    const hostile = await harness.connect(agent);
    for (let n = 0; n < AGENT_BUDGET.frames.burst + 10; n += 1) hostile.sendBytes(logData(n));
    await until(() => harness.agents.refusals().overBudget === 1);
    hostile.cut();
    platform.advance(60_000);
    const socket = await harness.connect(agent);
    for (let n = 0; n < 1_000; n += 1) socket.sendBytes(logData(n));
    socket.send(beat);
    await socket.next("heartbeat_ack");
  });
});

describe("agents that come all at once", () => {
  /** The status and Retry-After of an upgrade, or undefined when it was let in. */
  const upgrade = () =>
    new Promise<{ status: number; retryAfter: number } | undefined>((done) => {
      const socket = new WebSocket(harness.socketUrl, ["dflow.1"]);
      socket.on("error", () => undefined);
      socket.on("open", () => {
        socket.terminate();
        done(undefined);
      });
      socket.on("unexpected-response", (_request, response) => {
        done({ status: response.statusCode ?? 0, retryAfter: Number(response.headers["retry-after"]) });
        socket.terminate();
      });
    });

  it("are let in as many as a second may bring, and the others are told times of their own", async () => {
    const answers = await Promise.all(Array.from({ length: 300 }, upgrade));
    const refused = answers.filter((answer) => answer !== undefined);
    expect(answers.length - refused.length).toBe(50);
    expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
    expect(new Set(refused.map(({ retryAfter }) => retryAfter)).size).toBeGreaterThan(4);
    expect(harness.agents.refusals()).toMatchObject({ busy: 250, tooMany: 0 });
    platform.advance(1_000);
    expect(await upgrade()).toBeUndefined();
  });
});

describe("a control plane that goes down", () => {
  it("tells each agent its own moment to come back, within the window, before it closes", async () => {
    const agents = await Promise.all(Array.from({ length: 20 }, (_, n) => harness.enrolled(`server-${n}`)));
    const sockets = await Promise.all(agents.map((each) => harness.connect(each)));
    const silent = await openSocket(harness.socketUrl);
    await harness.restart();
    const moments: number[] = [];
    for (const socket of sockets) {
      moments.push((await socket.next("drain")).data.reconnectInMs);
      expect((await socket.ended).code).toBe(CLOSE.goingAway);
    }
    expect(Math.max(...moments)).toBeLessThan(5_000);
    expect(new Set(moments).size).toBeGreaterThan(15);
    expect((await silent.ended).code).toBe(CLOSE.goingAway);
    expect(silent.waiting("drain")).toEqual([]);
  });
});

function progress(n: number) {
  const lines = [{ ageMs: 0, level: "info", text: "x" }];
  return { type: "progress", data: { operationId: idOf(n), from: 0, lines } };
}

function result(n: number) {
  return { type: "result", data: { operationId: idOf(n), state: "succeeded", lineCount: 0, endedAgeMs: 0 } };
}

const idOf = (n: number) => UNKNOWN.slice(0, -6) + n.toString(16).padStart(6, "0");

function logData(n: number): Uint8Array {
  return encodeLogData({ streamId: n + 1, offset: 0, stderr: false, gap: false, payload: new Uint8Array(16) });
}

/** A quarter of a megabyte that is parsed, and then not wanted. */
const repeated = (session: number) => JSON.stringify({ ...beat, seq: 1, session, filler: "x".repeat(200_000) });
