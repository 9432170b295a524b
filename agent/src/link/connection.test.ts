import {
  CLOSE,
  LINK_LIMITS,
  type OutgoingToControlPlane,
  reconnectFloorMs,
  type ToAgent,
  type WelcomePayload,
} from "@dflow/protocol";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import { type Connection, createConnection } from "./connection.ts";
import type { Handshake } from "./handshake.ts";
import type { Socket, SocketEvents } from "./socket.ts";

const NONCE = "n".repeat(43);
const BEAT: OutgoingToControlPlane = {
  type: "heartbeat",
  data: { observedAgeMs: 5, dockerOk: true, running: [], streams: 0, rssBytes: 1 },
};

class FakeSocket implements Socket {
  readonly sent: { type: string; seq: number; session: number; data: unknown }[] = [];
  readonly bulk: Uint8Array[] = [];
  readonly events: SocketEvents;
  buffered = 0;
  closedWith: number | undefined;
  terminated = false;
  #seq = 0;
  #onSent: (() => void)[] = [];

  constructor(events: SocketEvents) {
    this.events = events;
  }
  sendText(text: string, onSent: () => void) {
    this.sent.push(JSON.parse(text));
    this.#onSent.push(onSent);
  }
  sendBytes(bytes: Uint8Array, onSent: () => void) {
    this.bulk.push(bytes);
    this.buffered += bytes.length;
    this.#onSent.push(onSent);
  }
  drain() {
    this.buffered = 0;
    for (const onSent of this.#onSent.splice(0)) onSent();
  }
  bufferedBytes() {
    return this.buffered;
  }
  close(code: number) {
    this.closedWith = code;
  }
  terminate() {
    this.terminated = true;
  }
  says(type: string, data: unknown, session = 0, seq = ++this.#seq) {
    this.events.alive();
    this.events.text(JSON.stringify({ type, seq, session, data }));
  }
}

let clock: FakeClock;
let sockets: FakeSocket[];
let seen: string[];
let frames: ToAgent[];
let connection: Connection;
/** What stands on the disk, and what was said on the socket at the moment it was written. */
let kept: { epoch: number; saidBefore: string[] }[];
let diskIsFull: boolean;

const handshake: Handshake = {
  url: "ws://127.0.0.1:1/agent/v1",
  answer: async ({ connectionId }) => ({ jws: "signed", asked: { connectionId, agentNonce: NONCE } }),
  accept: async (jws, asked): Promise<WelcomePayload> => {
    if (jws === "forged") throw new Error("it is signed by another key");
    return {
      ...asked,
      agentId: newId(),
      session: Number(jws),
      epoch: 40 + Number(jws),
      heartbeatMs: 1_000,
      deadlineMs: 5_000,
    };
  },
  keep(epoch) {
    if (diskIsFull) throw new Error("ENOSPC: no space left on device");
    kept.push({ epoch, saidBefore: sockets.at(-1)?.sent.map(({ type }) => type) ?? [] });
  },
};

beforeEach(() => {
  clock = createFakeClock();
  sockets = [];
  seen = [];
  frames = [];
  kept = [];
  diskIsFull = false;
  const random = { id: newId, bytes: (count: number) => new Uint8Array(count), fraction: () => 0.5 };
  const dial = (_url: string, _subprotocol: string, events: SocketEvents) => {
    const socket = new FakeSocket(events);
    sockets.push(socket);
    return socket;
  };
  connection = createConnection(
    { clock, random, log: createMemoryLog(), dial, handshake, stableMs: 60_000 },
    {
      ready: ({ session }) => seen.push(`ready ${session}`),
      frame: (frame) => frames.push(frame),
      unsupported: ({ type }) => seen.push(`unsupported ${type}`),
      lost: () => seen.push("lost"),
      heartbeat: () => BEAT,
    },
  );
});

const last = () => sockets.at(-1) as FakeSocket;

async function becomeReady(session = 1): Promise<FakeSocket> {
  const socket = last();
  socket.events.opened();
  socket.says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
  await clock.advance(0);
  socket.says("welcome", { jws: String(session) });
  await clock.advance(0);
  return socket;
}

test("signs the challenge, takes the welcome, and numbers its frames of that session", async () => {
  connection.start();
  const socket = await becomeReady(7);
  connection.send(BEAT);
  expect(socket.sent.map(({ type, seq, session }) => [type, seq, session])).toEqual([
    ["auth", 1, 0],
    ["ready", 2, 7],
    ["heartbeat", 3, 7],
  ]);
  expect(seen).toEqual(["ready 7"]);
});

test("has the welcome's epoch on disk before it says that it is ready, and says nothing else before that", async () => {
  connection.start();
  const socket = await becomeReady(7);
  expect(kept).toEqual([{ epoch: 47, saidBefore: ["auth"] }]);
  expect(socket.sent[1]).toMatchObject({ type: "ready", data: { epoch: 47 } });
});

test("has no session while its epoch cannot be kept, and comes back soon", async () => {
  connection.start();
  diskIsFull = true;
  const refused = await becomeReady(7);
  expect([refused.sent.map(({ type }) => type), seen]).toEqual([["auth"], []]);
  expect(refused.closedWith).toBe(CLOSE.goingAway);
  diskIsFull = false;
  await clock.advance(1_000);
  await becomeReady(8);
  expect([kept.map(({ epoch }) => epoch), seen]).toEqual([[48], ["ready 8"]]);
});

test("keeps no epoch of a connection that is gone by the time its welcome was checked", async () => {
  connection.start();
  const socket = last();
  socket.events.opened();
  socket.says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
  await clock.advance(0);
  socket.says("welcome", { jws: "7" });
  socket.events.closed(1006, "cut");
  await clock.advance(0);
  expect([kept, seen]).toEqual([[], []]);
});

test("returns after about five minutes, not all copies at once, when another machine uses its identity", async () => {
  connection.start();
  const socket = await becomeReady();
  socket.events.closed(CLOSE.identityConflict, "identity conflict");
  expect(seen).toEqual(["ready 1", "lost"]);
  await clock.advance(299_000);
  expect(sockets).toHaveLength(1);
  await clock.advance(1_000);
  expect(sockets).toHaveLength(2);
  const floors = [0, 0.5, 0.999].map((fraction) => reconnectFloorMs(CLOSE.identityConflict, fraction));
  expect(floors).toEqual([240_000, 300_000, 359_880]);
});

test("sends nothing before the session", async () => {
  connection.start();
  last().events.opened();
  expect(connection.send(BEAT)).toBe(false);
  expect(last().sent).toEqual([]);
});

test("takes what comes right behind the welcome, while its signature is still being checked", async () => {
  connection.start();
  const socket = last();
  socket.events.opened();
  socket.says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
  await clock.advance(0);
  socket.says("welcome", { jws: "4" });
  socket.says("heartbeat_ack", {}, 4);
  socket.says("heartbeat_ack", {}, 4);
  await clock.advance(0);
  expect(seen).toEqual(["ready 4"]);
  expect(frames).toHaveLength(2);
  expect(socket.closedWith).toBeUndefined();
});

test("beats in the given interval and keeps the socket while anything is heard", async () => {
  connection.start();
  const socket = await becomeReady();
  for (let second = 0; second < 20; second += 1) {
    await clock.advance(1_000);
    socket.says("heartbeat_ack", {}, 1);
  }
  expect(socket.sent.filter(({ type }) => type === "heartbeat")).toHaveLength(20);
  expect(sockets).toHaveLength(1);
});

test("ends a silent socket at the deadline without waiting for it, and dials again", async () => {
  connection.start();
  const socket = await becomeReady();
  await clock.advance(5_000);
  expect(socket.terminated).toBe(true);
  expect(seen).toEqual(["ready 1", "lost"]);
  await clock.advance(1_000);
  expect(sockets).toHaveLength(2);
});

test("gives up on a socket that opens and says nothing, at each stage of the handshake", async () => {
  connection.start();
  await clock.advance(15_000);
  expect(sockets[0]?.terminated).toBe(true);
  await clock.advance(1_000);
  last().events.opened();
  await clock.advance(10_000);
  expect(sockets[1]?.terminated).toBe(true);
  await clock.advance(2_000);
  last().events.opened();
  last().says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
  await clock.advance(10_000);
  expect(sockets[2]?.terminated).toBe(true);
});

test("parts with a control plane whose welcome is forged, and returns slowly", async () => {
  connection.start();
  last().events.opened();
  last().says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
  await clock.advance(0);
  last().says("welcome", { jws: "forged" });
  await clock.advance(0);
  expect(last().closedWith).toBe(CLOSE.unauthenticated);
  await clock.advance(29_000);
  expect(sockets).toHaveLength(1);
  await clock.advance(1_000);
  expect(sockets).toHaveLength(2);
});

test("waits an hour after it was revoked", async () => {
  connection.start();
  const socket = await becomeReady();
  socket.events.closed(CLOSE.revoked, "removed");
  await clock.advance(3_599_000);
  expect(sockets).toHaveLength(1);
  await clock.advance(1_000);
  expect(sockets).toHaveLength(2);
});

/** Refused again and again until a moment; the waits in between. */
async function refusedUntil(endMs: number): Promise<number[]> {
  const delays: number[] = [];
  while (clock.monotonicMs() < endMs) {
    const before = sockets.length;
    last().events.closed(1006, "refused");
    const fromMs = clock.monotonicMs();
    while (sockets.length === before) await clock.advance(100);
    delays.push(clock.monotonicMs() - fromMs);
  }
  return delays;
}

test("doubles its patience, and has more of it the longer it is away", async () => {
  const MINUTE_MS = 60_000;
  const startMs = clock.monotonicMs();
  connection.start();
  const soon = await refusedUntil(startMs + 5 * MINUTE_MS);
  expect(soon.slice(0, 6)).toEqual([500, 1_000, 2_000, 4_000, 7_500, 7_500]);
  expect(Math.max(...soon)).toBe(7_500);
  expect(new Set(await refusedUntil(startMs + 60 * MINUTE_MS))).toEqual(new Set([30_000]));
  expect(new Set(await refusedUntil(startMs + 90 * MINUTE_MS))).toEqual(new Set([150_000]));
});

test("is patient for a short time again once it had a session, and begins anew after a stable one", async () => {
  connection.start();
  await refusedUntil(clock.monotonicMs() + 600_000);
  const short = await becomeReady();
  await clock.advance(1_000);
  short.events.closed(1006, "cut");
  await clock.advance(7_400);
  expect(last()).toBe(short);
  await clock.advance(100);
  const stable = await becomeReady(2);
  for (let second = 0; second < 61; second += 1) {
    await clock.advance(1_000);
    stable.says("heartbeat_ack", {}, 2);
  }
  stable.events.closed(1006, "cut");
  await clock.advance(500);
  expect(last()).not.toBe(stable);
});

test("drops a repeated frame, and ends the socket at a gap", async () => {
  connection.start();
  const socket = await becomeReady();
  socket.says("heartbeat_ack", {}, 1);
  socket.says("heartbeat_ack", {}, 1, 3);
  expect(frames).toHaveLength(1);
  socket.says("heartbeat_ack", {}, 1, 9);
  expect(socket.closedWith).toBe(CLOSE.badFrame);
});

test("refuses a frame of another session, and what is not a frame", async () => {
  connection.start();
  const first = await becomeReady(2);
  first.says("heartbeat_ack", {}, 1);
  expect(first.closedWith).toBe(CLOSE.badFrame);
  await clock.advance(5_000);
  const second = await becomeReady(3);
  second.events.text("not json");
  expect(second.closedWith).toBe(CLOSE.badFrame);
});

test("refuses a handshake within a session, and a session within a handshake", async () => {
  connection.start();
  const first = await becomeReady(7);
  first.says("welcome", { jws: "8" }, 7);
  expect([first.closedWith, seen]).toEqual([CLOSE.badFrame, ["ready 7", "lost"]]);
  await clock.advance(1_000);
  const second = last();
  second.events.opened();
  second.says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" }, 7);
  expect(second.closedWith).toBe(CLOSE.badFrame);
});

test("says of a frame over the limit that it is too big, and counts its bytes", async () => {
  connection.start();
  const socket = await becomeReady(7);
  // Half as many characters as bytes.
  socket.says("error", { code: "internal", message: "ü".repeat(LINK_LIMITS.jsonBytes / 2) }, 7);
  expect(socket.closedWith).toBe(CLOSE.tooBig);
});

test("goes on after a frame that a newer control plane knows and it does not", async () => {
  connection.start();
  const socket = await becomeReady();
  socket.says("metrics_open", { every: 5 }, 1);
  socket.says("command", { kind: "teleport", operationId: newId() }, 1);
  socket.says("heartbeat_ack", {}, 1);
  expect(seen).toEqual(["ready 1", "unsupported metrics_open", "unsupported command"]);
  expect(frames).toHaveLength(1);
});

test("ignores what an older socket still says", async () => {
  connection.start();
  const old = await becomeReady();
  await clock.advance(6_000);
  const before = [...seen];
  old.says("heartbeat_ack", {}, 1);
  old.events.closed(1006, "late");
  expect(seen).toEqual(before);
  expect(frames).toHaveLength(0);
});

test("holds bulk back while the socket is full, and lets control frames pass", async () => {
  connection.start();
  const socket = await becomeReady();
  const { signal } = new AbortController();
  await connection.sendBulk(new Uint8Array(600 * 1024), signal);
  const second = connection.sendBulk(new Uint8Array(10), signal);
  await clock.advance(0);
  expect(socket.bulk).toHaveLength(1);
  expect(connection.send(BEAT)).toBe(true);
  socket.drain();
  await second;
  expect(socket.bulk).toHaveLength(2);
});

test("ends waiting bulk when the session ends", async () => {
  connection.start();
  const socket = await becomeReady();
  const { signal } = new AbortController();
  await connection.sendBulk(new Uint8Array(600 * 1024), signal);
  const second = connection.sendBulk(new Uint8Array(10), signal);
  socket.events.closed(1006, "cut");
  await expect(second).rejects.toThrow("session ended");
});

test("closes politely when it stops, and stays stopped", async () => {
  connection.start();
  const socket = await becomeReady();
  connection.stop();
  expect(socket.closedWith).toBe(CLOSE.goingAway);
  await clock.advance(120_000);
  expect(sockets).toHaveLength(1);
  expect(socket.terminated).toBe(true);
});

test("never has two sockets and never stands without a timer, whatever happens in whatever order", async () => {
  const happening = fc.oneof(
    fc.constantFrom("opened", "challenge", "welcome", "ack", "garbage", "bytes"),
    fc.record({ close: fc.constantFrom(1000, 1001, 1006, 4400, 4401, 4408, 4409) }),
    fc.record({ waitMs: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ old: fc.nat(5) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 30 }), async (happenings) => {
      const local = createFakeClock();
      const all: FakeSocket[] = [];
      const link = createConnection(
        {
          clock: local,
          stableMs: 60_000,
          random: { id: newId, bytes: (count) => new Uint8Array(count), fraction: () => 0.9 },
          log: createMemoryLog(),
          dial: (_url, _subprotocol, events) => {
            const socket = new FakeSocket(events);
            all.push(socket);
            return socket;
          },
          handshake,
        },
        { ready: () => {}, frame: () => {}, unsupported: () => {}, lost: () => {}, heartbeat: () => BEAT },
      );
      const closed = new Set<FakeSocket>();
      link.start();
      for (const one of happenings) {
        const socket = all.at(-1) as FakeSocket;
        if (one === "opened") socket.events.opened();
        else if (one === "challenge")
          socket.says("challenge", { connectionId: newId(), nonce: NONCE, controlPlaneId: "cp" });
        else if (one === "welcome") socket.says("welcome", { jws: "1" });
        else if (one === "ack") socket.says("heartbeat_ack", {}, 1);
        else if (one === "garbage") socket.events.text("{}");
        else if (one === "bytes") socket.events.bytes();
        else if ("close" in one) {
          closed.add(socket);
          socket.events.closed(one.close, "");
        } else if ("waitMs" in one) await local.advance(one.waitMs);
        else {
          const older = all[one.old];
          if (older !== undefined) closed.add(older);
          older?.events.closed(1006, "late");
        }
        await local.advance(0);
        const open = all.filter((each) => !each.terminated && each.closedWith === undefined && !closed.has(each));
        expect(open.length).toBeLessThanOrEqual(1);
        expect(local.pending()).toBeGreaterThan(0);
      }
      link.stop();
    }),
    { numRuns: 60 },
  );
});

test("lets bulk go on when it was control frames that filled the socket", async () => {
  connection.start();
  const socket = await becomeReady();
  connection.send(BEAT);
  socket.buffered = 300 * 1024;
  const bulk = connection.sendBulk(new Uint8Array(10), new AbortController().signal);
  await clock.advance(0);
  expect(socket.bulk).toHaveLength(0);
  socket.drain();
  await clock.advance(0);
  expect(socket.bulk).toHaveLength(1);
  await bulk;
});

test("comes back in its own moment when the control plane drains, and lets go of the socket at once", async () => {
  connection.start();
  const socket = await becomeReady();
  socket.says("drain", { reconnectInMs: 7_000 }, 1);
  expect([socket.closedWith, seen.at(-1), connection.phase()]).toEqual([CLOSE.goingAway, "lost", "waiting"]);
  await clock.advance(6_999);
  expect(sockets).toHaveLength(1);
  await clock.advance(1);
  expect(sockets).toHaveLength(2);
  // Asked once: when it is still down then, the ordinary waits begin.
  last().events.closed(1006, "refused");
  await clock.advance(15_000);
  expect(sockets).toHaveLength(3);
});

test("waits as long as a refused upgrade asks for", async () => {
  connection.start();
  last().events.closed(1006, "the upgrade was answered with 503", 20_000);
  await clock.advance(20_499);
  expect(sockets).toHaveLength(1);
  await clock.advance(1);
  expect(sockets).toHaveLength(2);
});
