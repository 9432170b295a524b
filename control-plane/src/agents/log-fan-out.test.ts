/** Many viewers of one log: whatever they do in whatever order, each hears every line once and in order, or a gap marker. */
import { decodeLogData, encodeLogData, LINK_LIMITS, type LogOpen, type OutgoingToAgent } from "@dflow/protocol";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { LogLineOut, LogListener, LogRequest } from "./agents.ts";
import { createLogStreams, type LogStreams, VIEWER_LIMITS } from "./log-streams.ts";
import { VIEWER_QUEUE_BYTES } from "./log-viewer.ts";

const SERVICE = "01a208c8-f173-7a56-8c78-cbdd8ca14c54";
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** An agent with one container's log: it sends each stream as far as its credit goes, when it is told to. */
function createAgent(deliver: (bytes: Uint8Array) => void) {
  const log: { at: string; text: string }[] = [];
  const open = new Map<number, { request: LogOpen; next: number; credit: number; offset: number }>();
  let lastTick = 0;

  return {
    log,
    open,
    write(text: string, sameTime = false) {
      if (!sameTime) lastTick += 1;
      log.push({ at: `2026-05-01T10:00:00.${String(lastTick).padStart(9, "0")}Z`, text });
    },
    receive(frame: OutgoingToAgent) {
      if (frame.type === "log_close") open.delete(frame.data.streamId);
      if (frame.type === "log_credit") {
        const stream = open.get(frame.data.streamId);
        if (stream !== undefined) stream.credit += frame.data.bytes;
      }
      if (frame.type !== "log_open") return;
      const { tail, since, streamId, creditBytes } = frame.data;
      const from = since === undefined ? 0 : log.findIndex(({ at }) => at >= since);
      const first = from === -1 ? log.length : from;
      const next = tail === null ? first : Math.max(first, log.length - tail);
      open.set(streamId, { request: frame.data, next, credit: creditBytes, offset: 0 });
    },
    /** At most so many lines of one stream, cut where the test says. */
    pump(streamId: number, atMost = Number.POSITIVE_INFINITY, cutAt = Number.POSITIVE_INFINITY) {
      const stream = open.get(streamId);
      for (let sent = 0; stream !== undefined && sent < atMost && stream.next < log.length; sent += 1) {
        const line = log[stream.next];
        const bytes = new TextEncoder().encode(`${line?.at} ${line?.text}\n`);
        if (bytes.length > stream.credit || !open.has(streamId)) return;
        stream.next += 1;
        stream.credit -= bytes.length;
        const parts = [bytes.subarray(0, cutAt), bytes.subarray(cutAt)].filter(({ length }) => length > 0);
        for (const payload of parts) {
          const { offset } = stream;
          stream.offset += payload.length;
          deliver(encodeLogData({ streamId, offset, stderr: false, gap: false, payload }));
        }
      }
    },
    pumpAll() {
      for (const streamId of [...open.keys()]) this.pump(streamId);
    },
  };
}

interface Viewer {
  /** Texts of lines, and `gap`. */
  heard: string[];
  first: LogLineOut | undefined;
  last: LogLineOut | undefined;
  end: string | undefined;
  /** From now on it takes lines only as `take` allows. */
  slow: boolean;
  closed: boolean;
  take(lines: number): void;
  close(): void;
  request: LogRequest;
}

let streams: LogStreams;
let agent: ReturnType<typeof createAgent>;
let bugs: unknown[];
let frames: OutgoingToAgent[];

function start() {
  bugs = [];
  frames = [];
  agent = createAgent((bytes) => {
    const data = decodeLogData(bytes);
    if (data !== undefined) streams.data(data);
  });
  const send = (frame: OutgoingToAgent) => {
    frames.push(frame);
    agent.receive(frame);
  };
  streams = createLogStreams(send, (error) => bugs.push(error));
}
beforeEach(start);

function view(given: Partial<LogRequest> = {}, slow = false): Viewer {
  const waiting: (() => void)[] = [];
  const request = { serviceId: SERVICE, follow: true, tail: 100, ...given };
  const viewer: Viewer = {
    ...{ heard: [], first: undefined, last: undefined, end: undefined, closed: false, slow, request },
    take(lines) {
      for (const release of waiting.splice(0, lines)) release();
    },
    close() {
      viewer.closed = true;
      stream.close();
    },
  };
  const listener: LogListener = {
    onLine(line) {
      viewer.heard.push(line.text);
      viewer.first ??= line;
      viewer.last = line;
      return viewer.slow ? new Promise((resolve) => waiting.push(resolve)) : undefined;
    },
    onGap: () => void viewer.heard.push("gap"),
    onEnd(reason) {
      viewer.end = reason;
    },
  };
  const stream = streams.open(request, listener);
  return viewer;
}

const opens = () => frames.filter(({ type }) => type === "log_open").length;
const writeLines = (count: number, prefix = "line") => {
  for (let n = 1; n <= count; n += 1) agent.write(`${prefix} ${n}`);
};

describe("viewers of one log", () => {
  it("share one stream once they have brought the same line, without a line lost or told twice", async () => {
    writeLines(50);
    const first = view({ tail: 10 });
    agent.pumpAll();
    const second = view({ tail: 30 });
    agent.write("between");
    agent.pumpAll();
    expect(streams.counts()).toEqual({ streams: 1, viewers: 2 });
    agent.write("last");
    agent.pumpAll();
    await turn();
    const texts = agent.log.map(({ text }) => text);
    expect(first.heard).toEqual(texts.slice(40));
    expect(second.heard).toEqual(texts.slice(20));
  });

  it("that come at the same moment share one stream from its beginning, also when nothing is ever written", () => {
    const viewers = Array.from({ length: 100 }, () => view());
    expect(streams.counts()).toEqual({ streams: 1, viewers: 100 });
    for (const viewer of viewers) viewer.close();
    expect([streams.counts(), agent.open.size]).toEqual([{ streams: 0, viewers: 0 }, 0]);
  });

  it("come back behind their cursors into the stream that is there, without another one", async () => {
    writeLines(20);
    const first = view();
    agent.pumpAll();
    await turn();
    const after = first.last?.cursor ?? "";
    streams.lost();
    expect(first.end).toBe("agent_lost");
    agent.open.clear();
    agent.write("meanwhile");
    const again = Array.from({ length: 5 }, () => view({ after, tail: null }));
    expect(opens()).toBe(2);
    agent.pumpAll();
    const late = view({ after, tail: null });
    await turn();
    expect([...again, late].map(({ heard }) => heard)).toEqual(Array.from({ length: 6 }, () => ["meanwhile"]));
    expect(streams.counts()).toEqual({ streams: 1, viewers: 6 });
  });

  it("of which one is slow: it gets a gap marker and goes on, the others get every line", async () => {
    const line = "x".repeat(1_000);
    const fast = view();
    const slow = view({}, true);
    const lines = Math.ceil((3 * VIEWER_QUEUE_BYTES) / line.length);
    for (let n = 0; n < lines; n += 1) {
      agent.write(`${n} ${line}`);
      agent.pumpAll();
      if (n % 100 === 0) await turn();
    }
    await turn();
    expect(fast.heard.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: lines }, (_, n) => n));
    expect(slow.heard).toHaveLength(1);
    slow.slow = false;
    slow.take(1);
    await turn();
    expect(slow.heard.filter((text) => text === "gap")).toHaveLength(1);
    expect(slow.heard.at(-1)).toBe(fast.heard.at(-1));
    agent.write("after");
    agent.pumpAll();
    await turn();
    expect([fast.heard.at(-1), slow.heard.at(-1)]).toEqual(["after", "after"]);
  });

  it("of which one is alone and slow loses nothing: the agent stops at the source", async () => {
    const slow = view({}, true);
    for (let n = 0; n < 2_000; n += 1) agent.write(`${n} ${"x".repeat(1_000)}`);
    agent.pumpAll();
    expect(agent.open.get(1)?.next).toBeLessThan(LINK_LIMITS.logCreditBytes / 1_000);
    slow.slow = false;
    slow.take(1);
    for (let round = 0; round < 40; round += 1) {
      agent.pumpAll();
      await turn();
    }
    expect(slow.heard.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: 2_000 }, (_, n) => n));
  });

  it("of another service, or of what does not follow, are not mixed", async () => {
    writeLines(5);
    view();
    view({ serviceId: "01a208c8-f173-7a56-8c78-cbdd8ca14c55" });
    view({ follow: false });
    agent.pumpAll();
    expect(streams.counts()).toEqual({ streams: 3, viewers: 3 });
  });

  it("tell two lines of one time apart although a tail cut between them", async () => {
    agent.write("one");
    agent.write("two", true);
    agent.write("three", true);
    const whole = view();
    agent.pumpAll();
    const tail = view({ tail: 2 });
    agent.pumpAll();
    agent.write("four");
    agent.pumpAll();
    await turn();
    expect(whole.heard).toEqual(["one", "two", "three", "four"]);
    expect(tail.heard).toEqual(["two", "three", "four"]);
  });

  it("join behind a gap marker where there is no place for another stream, and are refused where there is no stream", async () => {
    writeLines(3);
    const first = view();
    agent.pumpAll();
    for (let n = 2; n <= LINK_LIMITS.logStreamsPerAgent; n += 1) view({ serviceId: `service ${n}` });
    const late = view();
    expect(() => view({ serviceId: "one more" })).toThrow("64 logs");
    agent.write("four");
    agent.pumpAll();
    await turn();
    expect([first.heard.at(-1), late.heard]).toEqual(["four", ["gap", "four"]]);
  });

  it("are limited in number for a service and for a server", () => {
    for (let n = 0; n < VIEWER_LIMITS.perService; n += 1) view();
    expect(() => view()).toThrow("200 viewers follow this log");
    for (let n = 0; n < VIEWER_LIMITS.perService; n += 1) view({ serviceId: "second" });
    for (let n = 0; n < VIEWER_LIMITS.perServer - 2 * VIEWER_LIMITS.perService; n += 1) view({ serviceId: "third" });
    expect(() => view({ serviceId: "third" })).toThrow("500 viewers read logs of this server");
    expect(streams.counts().streams).toBe(3);
  });

  it("whose listener throws leave, and the others go on", async () => {
    const good = view();
    streams.open(good.request, {
      onLine: () => Promise.reject(new Error("broken listener")),
      onGap: () => undefined,
      onEnd: () => undefined,
    });
    writeLines(2);
    agent.pumpAll();
    await turn();
    expect([good.heard.length, bugs.length, streams.counts()]).toEqual([2, 1, { streams: 1, viewers: 1 }]);
  });
});

describe("what the agent says it has open", () => {
  it("and nobody reads is closed", () => {
    view();
    streams.compare([1, 7]);
    expect(frames.at(-1)).toEqual({ type: "log_close", data: { streamId: 7, reason: "viewer_left" } });
    expect(streams.counts().streams).toBe(1);
  });

  it("and lacks a stream twice in a row: its viewers end as lost and come back", () => {
    const viewer = view();
    streams.compare([]);
    streams.compare([1]);
    streams.compare([]);
    expect(viewer.end).toBe(undefined);
    streams.compare([]);
    expect([viewer.end, streams.counts()]).toEqual(["agent_lost", { streams: 0, viewers: 0 }]);
  });
});

it("leaves nothing behind after 10,000 viewers that come, move and go, and links that break", async () => {
  const viewers: Viewer[] = [];
  for (let n = 0; n < 10_000; n += 1) {
    if (n % 3 === 0) agent.write(`line ${n}`);
    viewers.push(view({ tail: n % 4 }, n % 5 === 0));
    if (n % 2 === 0) agent.pumpAll();
    if (viewers.length > 20) viewers.shift()?.close();
    if (n % 1_000 === 999) {
      streams.lost();
      agent.open.clear();
    }
    if (n % 100 === 0) await turn();
  }
  for (const viewer of viewers) viewer.close();
  expect([streams.counts(), agent.open.size, bugs]).toEqual([{ streams: 0, viewers: 0 }, 0, []]);
});

type Step =
  | { do: "write"; lines: number; sameTime: boolean }
  | { do: "open"; tail: number; slow: boolean }
  | { do: "return" | "close" | "take" | "hurry"; which: number; lines: number }
  | { do: "pump"; which: number; lines: number; cutAt: number }
  | { do: "cut" };

const which = fc.nat(7);
const lines = fc.integer({ min: 1, max: 40 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("write" as const), lines, sameTime: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("open" as const), tail: fc.nat(30), slow: fc.boolean() }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom("return", "close", "take", "hurry" as const), which, lines }),
  },
  {
    weight: 9,
    arbitrary: fc.record({ do: fc.constant("pump" as const), which, lines, cutAt: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const) }) },
);

it("gives each viewer every line from where it began, in order and once, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      start();
      const all: { viewer: Viewer; from: number }[] = [];
      const textAt = (line: LogLineOut | undefined) => agent.log.findIndex(({ text }) => text === line?.text);
      for (const one of steps) {
        if (one.do === "write") {
          for (let n = 0; n < one.lines; n += 1) agent.write(`line ${agent.log.length + 1}`, one.sameTime && n > 0);
        } else if (one.do === "open") {
          const from = Math.max(0, agent.log.length - one.tail);
          all.push({ viewer: view({ tail: one.tail }, one.slow), from });
        } else if (one.do === "cut") {
          streams.lost();
          agent.open.clear();
        } else if (one.do === "pump") {
          agent.pump([...agent.open.keys()][one.which % Math.max(1, agent.open.size)] ?? 0, one.lines, one.cutAt);
        } else {
          const { viewer } = all[one.which % Math.max(1, all.length)] ?? {};
          if (viewer === undefined) continue;
          if (one.do === "close") viewer.close();
          if (one.do === "take") viewer.take(one.lines);
          if (one.do === "hurry") viewer.slow = false;
          const { first, last } = viewer;
          // Where a tail cut between lines of one time, a cursor of that time counts too few.
          if (one.do === "return" && last !== undefined && last.at !== first?.at) {
            all.push({ viewer: view({ after: last.cursor, tail: null }), from: textAt(last) + 1 });
          }
        }
        await turn();
      }
      agent.write("the last line");
      for (const { viewer } of all) viewer.slow = false;
      for (let round = 0; round < 3; round += 1) {
        agent.pumpAll();
        for (const { viewer } of all) viewer.take(1_000);
        await turn();
      }
      const texts = agent.log.map(({ text }) => text);
      for (const { viewer, from } of all) {
        const told = viewer.heard.filter((text) => text !== "gap");
        expect(viewer.heard).toEqual(told);
        // Who shares a stream that was opened a moment earlier may get what was its tail then: more than it asked for.
        const start = viewer.request.after === undefined ? texts.indexOf(told[0] ?? "") : from;
        expect(start).toBeLessThanOrEqual(from);
        const isOpen = viewer.end === undefined && !viewer.closed;
        if (isOpen || told.length > 0) {
          expect(told).toEqual(texts.slice(start, isOpen ? undefined : start + told.length));
        }
      }
      const open = streams.counts();
      expect(open.streams).toBe(open.viewers > 0 ? 1 : 0);
      for (const { viewer } of all) viewer.close();
      expect([streams.counts(), agent.open.size, bugs]).toEqual([{ streams: 0, viewers: 0 }, 0, []]);
    }),
    { numRuns: 300 },
  );
});
