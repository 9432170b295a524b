/** Who gets a session and who does not, over real sockets. */
import { connect } from "node:net";
import { CLOSE } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import { authProblem, ownHosts } from "./handshake.ts";
import { FACTS, type FakeIdentity, newKey, openSocket } from "./testing/fake-agent.ts";
import { type Harness, PRE_AUTH_MS, settled, startHarness, until } from "./testing/harness.ts";

let harness: Harness;
let platform: ReturnType<typeof createTestPlatform>;
let agent: FakeIdentity;
beforeEach(async () => {
  platform = createTestPlatform();
  // Time stands still here, so that what may begin in a second is all that may.
  harness = await startHarness({ platform, limits: { upgradesPerSecond: 1_000 } });
  agent = await harness.enrolled();
});
afterEach(() => harness.stop());

const link = () => harness.agents.link(agent.agentId);

describe("the handshake", () => {
  it("gives a session that grows, and tells when the server is online", async () => {
    expect(link().state).toBe("never_connected");
    const first = await harness.open();
    const welcome = await first.authenticate(agent);
    expect(welcome).toMatchObject({ agentId: agent.agentId, session: 1, heartbeatMs: 10_000, deadlineMs: 30_000 });
    await until(() => link().state === "online");
    expect(link()).toMatchObject({ state: "online", peerAddress: "127.0.0.1", connectedAt: platform.clock.now() });
    first.close();
    await until(() => link().state === "unreachable");
    expect((await harness.connect(agent)).session).toBe(2);
    const hints = harness.events.filter((event) => event.type === "server" && event.revision > 1);
    expect(hints.map((event) => event.id)).toEqual([agent.agentId, agent.agentId, agent.agentId]);
  });

  it("lets the agents of many servers report less often", async () => {
    const many = await startHarness({ heartbeatMs: 100, linkDeadlineMs: 300 });
    try {
      const known = await many.enrolled();
      const row = await many.db.selectFrom("server").selectAll().executeTakeFirstOrThrow();
      const others = Array.from({ length: 79 }, (_, n) => ({
        ...row,
        id: `other-${n}`,
        name: `o${n}`,
        agent_kid: `k${n}`,
      }));
      await many.db.insertInto("server").values(others).execute();
      await many.restart();
      const welcome = await (await many.open()).authenticate(known);
      // 80 of them at 400 heartbeats a second.
      expect(welcome).toMatchObject({ heartbeatMs: 200, deadlineMs: 600 });
    } finally {
      await many.stop();
    }
  });

  it("ends the older socket of the same server", async () => {
    const [older, newer] = [await harness.connect(agent), await harness.connect(agent)];
    expect((await older.ended).code).toBe(CLOSE.superseded);
    expect(link().state).toBe("online");
    newer.send({
      type: "heartbeat",
      data: { observedAgeMs: null, dockerOk: true, running: [], streams: 0, rssBytes: 1 },
    });
    await newer.next("heartbeat_ack");
  });

  const refusals: [string, (payload: Record<string, unknown>) => Record<string, unknown>][] = [
    ["another control plane", (payload) => ({ ...payload, controlPlaneId: "x".repeat(43) })],
    ["another host", (payload) => ({ ...payload, url: "wss://evil.example/agent/v1" })],
    ["another path", (payload) => ({ ...payload, url: "wss://dflow.example/elsewhere" })],
    ["another connection", (payload) => ({ ...payload, connectionId: platform.random.id() })],
    ["another nonce", (payload) => ({ ...payload, nonce: "A".repeat(43) })],
    ["an unknown agent", (payload) => ({ ...payload, agentId: platform.random.id() })],
    ["a payload without facts", ({ facts: _, ...payload }) => payload],
  ];
  it.each(refusals)("refuses a signature for %s with 4401", async (_, change) => {
    const socket = await harness.open();
    await socket.authenticate(agent, change).catch(() => undefined);
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
    expect(link().state).toBe("never_connected");
  });

  it("takes the public address and this listener's own names", async () => {
    for (const url of ["wss://dflow.example/agent/v1", harness.socketUrl.replace("127.0.0.1", "localhost")]) {
      const socket = await harness.open();
      await socket.authenticate(agent, (payload) => ({ ...payload, url }));
    }
  });

  it("refuses a signature by another key with 4401", async () => {
    const socket = await harness.open();
    await socket.authenticate({ ...agent, key: await newKey() }).catch(() => undefined);
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
  });

  it("refuses a recorded handshake on another socket", async () => {
    let recorded = "";
    const key = {
      ...agent.key,
      async sign(payload: unknown) {
        recorded = await agent.key.sign(payload);
        return recorded;
      },
    };
    await (await harness.open()).authenticate({ ...agent, key });
    const socket = await harness.open();
    socket.send({ type: "auth", data: { jws: recorded } });
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
  });

  it("takes no message that reads as one server before its signature is checked and as another after", async () => {
    const victim = await harness.enrolled("victim");
    const socket = await harness.open();
    const challenge = (await socket.next("challenge")).data;
    const url = harness.socketUrl.replace("127.0.0.1", "localhost");
    const agentNonce = "A".repeat(43);
    const payload = { ...challenge, url, agentNonce, facts: FACTS };
    // Read as base64url the text ends at its first "=", and names the sender; as it stands it names the victim.
    const hidden = Buffer.from(JSON.stringify({ ...payload, agentId: agent.agentId })).toString("base64url");
    const shown = JSON.stringify({ [`${hidden}=`]: 0, ...payload, agentId: victim.agentId }).replaceAll(".", "\\u002e");
    socket.send({ type: "auth", data: { jws: await agent.key.signPlain(shown) } });
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
    expect(harness.agents.link(victim.agentId).state).toBe("never_connected");
  });

  it("tells a removed server with 4403, at once when it is connected", async () => {
    const socket = await harness.connect(agent);
    await harness.db.updateTable("server").set({ deleted_at: 1 }).where("id", "=", agent.agentId).execute();
    harness.agents.disconnect(agent.agentId);
    expect((await socket.ended).code).toBe(CLOSE.revoked);
    const again = await harness.open();
    await again.authenticate(agent).catch(() => undefined);
    expect((await again.ended).code).toBe(CLOSE.revoked);
    const stranger = await harness.open();
    await stranger.authenticate({ ...agent, key: await newKey() }).catch(() => undefined);
    expect((await stranger.ended).code).toBe(CLOSE.unauthenticated);
  });

  it("gives no session to a server that is removed during it", async () => {
    const socket = await harness.open();
    // The row was still there when the session's number was taken; the removal has found no socket to end.
    harness.agents.disconnect(agent.agentId);
    await socket.authenticate(agent).catch(() => undefined);
    expect((await socket.ended).code).toBe(CLOSE.revoked);
    expect(link().state).not.toBe("online");
  });

  it("ends a socket that proves nothing within its time", async () => {
    const socket = await harness.open();
    await socket.next("challenge");
    platform.advance(PRE_AUTH_MS);
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
  });

  it("is not kept from an agent by sockets that prove nothing", async () => {
    const silent = [];
    for (let n = 0; n < 256; n += 1) silent.push(await harness.open());
    await harness.connect(agent);
    expect(link().state).toBe("online");
    expect((await silent[0]?.ended)?.code).toBe(CLOSE.goingAway);
  });

  it("is refused with 429 to an address that begins too many, and to no other", async () => {
    await harness.stop();
    harness = await startHarness({ platform, limits: { handshakesPerMinute: 3 } });
    agent = await harness.enrolled();
    for (let n = 0; n < 3; n += 1) await harness.open();
    await expect(openSocket(harness.socketUrl)).rejects.toThrow("429");
    const { socketUrl } = harness;
    const elsewhere = await openSocket(socketUrl, { localAddress: "127.0.0.2" });
    elsewhere.cut();
    platform.advance(60_000);
    (await openSocket(socketUrl)).cut();
  });

  it("holds many sockets of one address back, not the agent of another", async () => {
    const agentSocket = await openSocket(harness.socketUrl, { localAddress: "127.0.0.2" });
    for (let n = 0; n < 300; n += 1) await harness.open();
    await agentSocket.authenticate(agent);
    await until(() => link().state === "online");
    agentSocket.cut();
  });

  it("takes no other frame before it", async () => {
    const socket = await harness.open();
    socket.send({ type: "state", data: { full: true, services: [] } });
    expect((await socket.ended).code).toBe(CLOSE.unauthenticated);
  });

  it("takes no frame over 8 KiB before it", async () => {
    const oneFrame = await harness.open();
    oneFrame.sendText("x".repeat(9 * 1024));
    expect((await oneFrame.ended).code).toBe(CLOSE.tooBig);
    const endless = await harness.open();
    endless.sendUnfinished("x".repeat(20 * 1024));
    // Nothing more is read from it, not even its answer to the close: the time for that has to pass.
    await settled();
    platform.advance(2_000);
    expect((await endless.ended).code).toBe(CLOSE.tooBig);
  });

  it("upgrades only its own path and protocol", async () => {
    await expect(openSocket(harness.socketUrl, { protocol: "other.1" })).rejects.toThrow("400");
    await expect(openSocket(harness.socketUrl.replace("/v1", "/v2"))).rejects.toThrow("404");
  });
});

it("lets go of a refused connection even when its peer does not", async () => {
  const { port } = new URL(harness.baseUrl);
  const peer = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
  peer.on("error", () => undefined);
  peer.write("GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const answer = await new Promise<string>((resolve) => peer.once("data", (data) => resolve(String(data))));
  expect(answer).toContain("404");
  await until(async () => (await harness.connections()) === 0);
  peer.destroy();
});

describe("ownHosts", () => {
  it("writes default ports as URLs do", () => {
    expect(ownHosts("https://dflow.example", "127.0.0.1", 80)).toContain("127.0.0.1");
    expect(ownHosts("https://dflow.example:8443", "::1", 3100)).toEqual(
      expect.arrayContaining(["dflow.example:8443", "[::1]:3100", "localhost:3100"]),
    );
  });
});

describe("authProblem", () => {
  it("does not take a text that is no URL for one of ours", () => {
    const challenge = { connectionId: "c", nonce: "n", controlPlaneId: "p" };
    const payload = { ...challenge, url: "dflow.example/agent/v1" } as Parameters<typeof authProblem>[0];
    expect(authProblem(payload, challenge, ["dflow.example"])).toContain("not a URL");
  });
});
