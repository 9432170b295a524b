/** What is said of servers after a start of the control plane, until their agents had the time to come back. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, startHarness, until } from "./testing/harness.ts";

const GRACE_MS = 180_000;

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

const link = () => harness.agents.link(agent.agentId);
const row = () => harness.db.selectFrom("server").selectAll().where("id", "=", agent.agentId).executeTakeFirstOrThrow();

describe("a server that was online before the control plane went down", () => {
  it("is reconnecting, last seen when it was, and not confirmed by anybody", async () => {
    const lastSeenAt = platform.clock.now();
    await harness.restart();
    platform.advance(60_000);
    expect(link()).toMatchObject({ state: "reconnecting", lastSeenAt, confirmedAt: null, dockerOk: null });
    await harness.connect(agent);
    expect(link().state).toBe("online");
  });

  it("is unreachable when the grace is over, and browsers hear of it", async () => {
    await harness.restart();
    platform.advance(GRACE_MS - 1_000);
    expect(link().state).toBe("reconnecting");
    const { revision } = await row();
    harness.events.length = 0;
    platform.advance(1_000);
    expect(link().state).toBe("unreachable");
    await until(() => harness.events.length > 0, "the hint");
    expect(harness.events).toEqual([{ type: "server", id: agent.agentId, revision: revision + 1 }]);
    await harness.restart();
    expect(link().state).toBe("unreachable");
  });

  it("is unreachable at once when it is lost after it came back", async () => {
    await harness.restart();
    const again = await harness.connect(agent);
    again.cut();
    await until(() => link().state === "unreachable");
  });

  it("is waited for after a kill too: that its link is open stands in its row", async () => {
    expect((await row()).link_open).toBe(1);
    socket.cut();
    await until(async () => (await row()).link_open === 0);
  });
});

it("a server that was away before the control plane went down is unreachable at once", async () => {
  socket.cut();
  await until(() => link().state === "unreachable");
  await harness.restart();
  expect(link().state).toBe("unreachable");
});

it("a server that is quarantined stays so", async () => {
  await harness.db.updateTable("server").set({ quarantined_at: platform.clock.now() }).execute();
  await harness.restart();
  expect(link().state).toBe("quarantined");
});
