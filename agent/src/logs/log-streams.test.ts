import { PassThrough } from "node:stream";
import { AppError, decodeLogData, type LogClose, type LogData } from "@dflow/protocol";
import { beforeEach, expect, test } from "vitest";
import { newId } from "../../test/commands.ts";
import { createFakeClock, type FakeClock } from "../../test/fake-clock.ts";
import { logFrame } from "../../test/fake-docker.ts";
import { createMemoryLog } from "../../test/memory-log.ts";
import type { Docker, FoundContainer, LogRequest } from "../docker/docker.ts";
import { createLogStreams, type LogStreams } from "./log-streams.ts";

const agentId = newId();
const serviceId = newId();
const at = (n: number) => `2026-11-23T10:00:00.${String(n).padStart(9, "0")}Z`;

let clock: FakeClock;
let container: FoundContainer | undefined;
let sources: { id: string; request: LogRequest; stream: PassThrough }[];
let frames: LogData[];
let closes: LogClose[];
let streams: LogStreams;
let dockerIsDown: boolean;

beforeEach(() => {
  clock = createFakeClock();
  sources = [];
  frames = [];
  closes = [];
  dockerIsDown = false;
  container = containerOf("c1", at(0));
  const docker = {
    listContainers: async () => {
      if (dockerIsDown) throw new AppError("docker_unavailable", "Docker does not answer");
      return container === undefined ? [] : [container];
    },
    findContainer: async () => container,
    openLogs: async (id: string, request: LogRequest) => {
      const stream = new PassThrough();
      sources.push({ id, request, stream });
      return stream;
    },
  } as Partial<Docker> as Docker;
  streams = createLogStreams({ clock, docker, log: createMemoryLog() }, agentId, {
    async send(frame, signal) {
      signal.throwIfAborted();
      const data = decodeLogData(frame);
      if (data !== undefined) frames.push(data);
    },
    closed: (close) => closes.push(close),
  });
});

function containerOf(id: string, startedAt: string, state: FoundContainer["state"] = "running"): FoundContainer {
  const labels = { "sh.dflow.agent": agentId, "sh.dflow.service": serviceId, "sh.dflow.generation": "1" };
  const rest = { health: "none", imageId: "i", exitCode: 0, oomKilled: false, restartCount: 0, networks: [] } as const;
  return { id, name: id, labels, state, startedAt, ...rest, networks: [] };
}

const open = (part: object = {}) =>
  streams.open({ streamId: 1, serviceId, follow: true, tail: 100, creditBytes: 100_000, ...part });
const source = () => {
  const last = sources.at(-1);
  if (last === undefined) throw new Error("nothing was opened");
  return last;
};
const say = (text: string, n: number, stderr = false) => source().stream.write(logFrame(`${at(n)} ${text}\n`, stderr));
const text = () => frames.map(({ payload }) => Buffer.from(payload).toString()).join("");
const bytes = () => frames.reduce((sum, { payload }) => sum + payload.length, 0);

test("streams whole lines with their times, the channels apart, each frame where the last one ended", async () => {
  open();
  await clock.advance(0);
  say("one", 1);
  say("two", 2);
  say("oh no", 3, true);
  await clock.advance(0);
  expect(text()).toBe(`${at(1)} one\n${at(2)} two\n${at(3)} oh no\n`);
  expect(frames.at(-1)).toMatchObject({ streamId: 1, stderr: true, gap: false });
  let offset = 0;
  for (const frame of frames) {
    expect(frame.offset).toBe(offset);
    offset += frame.payload.length;
  }
});

test("asks Docker for what the viewer asked for", async () => {
  open({ tail: 5, since: "2026-11-23T10:00:00.123456789Z" });
  await clock.advance(0);
  expect(source().request).toEqual({ follow: true, tail: 5, timestamps: true, since: "1795428000.123456789" });
});

test("never sends more than there is credit for, and stops reading Docker meanwhile", async () => {
  open({ creditBytes: 200 });
  await clock.advance(0);
  let n = 0;
  while (source().stream.write(logFrame(`${at(n)} ${"x".repeat(60)}\n`)) && n < 5_000) n += 1;
  await clock.advance(0);
  expect(bytes()).toBeLessThanOrEqual(200);
  expect(source().stream.readableLength + source().stream.writableLength).toBeGreaterThan(0);
  const before = bytes();
  streams.credit(1, 500);
  await clock.advance(0);
  expect(bytes()).toBeGreaterThan(before);
  expect(bytes()).toBeLessThanOrEqual(700);
});

test("keeps a frame's payload under 64 KiB and sends a line that is longer than the window", async () => {
  open({ creditBytes: 1_000_000 });
  await clock.advance(0);
  for (let n = 0; n < 40; n += 1) say("y".repeat(4_000), n);
  await clock.advance(0);
  expect(bytes()).toBeGreaterThan(160_000);
  expect(Math.max(...frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(64 * 1024);
  streams.close(1);
  frames = [];
  open({ streamId: 2, creditBytes: 50 });
  await clock.advance(0);
  say("z".repeat(400), 1);
  await clock.advance(0);
  expect(bytes()).toBeGreaterThan(400);
});

test("ends with the container's log when it does not follow", async () => {
  open({ follow: false });
  await clock.advance(0);
  say("bye", 1);
  source().stream.end();
  await clock.advance(0);
  expect(text()).toBe(`${at(1)} bye\n`);
  expect(closes).toEqual([{ streamId: 1, reason: "ended" }]);
  expect(streams.count()).toBe(0);
});

test("goes on in the same container after its restart, without a gap and without a line twice", async () => {
  open();
  await clock.advance(0);
  say("a", 5);
  say("b", 5);
  container = containerOf("c1", at(0), "exited");
  source().stream.end();
  await clock.advance(2_000);
  expect(sources).toHaveLength(1);
  container = containerOf("c1", at(9));
  streams.seen(new Map([[serviceId, container]]));
  await clock.advance(0);
  expect(source().request).toMatchObject({ since: "1795428000.000000005", tail: null });
  for (const line of ["a", "b", "c"]) say(line, 5);
  await clock.advance(0);
  expect(text()).toBe(`${at(5)} a\n${at(5)} b\n${at(5)} c\n`);
});

test("follows the service into its next container, from that one's beginning", async () => {
  open({ since: at(1) });
  await clock.advance(0);
  say("old", 2);
  container = undefined;
  source().stream.end();
  await clock.advance(2_000);
  container = containerOf("c2", at(50));
  streams.seen(new Map([[serviceId, container]]));
  await clock.advance(0);
  expect(source()).toMatchObject({ id: "c2", request: { tail: null } });
  expect(source().request).not.toHaveProperty("since");
});

test("takes a stream up again that broke although the container runs on", async () => {
  open();
  await clock.advance(0);
  say("a", 1);
  await clock.advance(0);
  source().stream.destroy(new Error("reset"));
  await clock.advance(1_100);
  expect(sources).toHaveLength(2);
  await clock.advance(61_000);
  await clock.advance(1_100);
  expect(sources).toHaveLength(3);
});

test("leaves no stream of Docker open after a close, whoever closes", async () => {
  for (let streamId = 1; streamId <= 20; streamId += 1) open({ streamId });
  await clock.advance(0);
  expect(streams.count()).toBe(20);
  streams.close(3);
  streams.closeAll();
  await clock.advance(0);
  expect(sources.every(({ stream }) => stream.destroyed)).toBe(true);
  expect(closes).toEqual([]);
  expect(clock.pending()).toBe(0);
});

test("says that there is no log when there is no container", async () => {
  container = undefined;
  open({ follow: false });
  await clock.advance(0);
  expect(closes).toMatchObject([{ reason: "failed", failure: { code: "log_unavailable" } }]);
});

test("opens no more than the agreed number", async () => {
  for (let streamId = 1; streamId <= 65; streamId += 1) open({ streamId });
  await clock.advance(0);
  expect(closes).toMatchObject([{ streamId: 65, reason: "failed" }]);
  streams.closeAll();
});

test("keeps a frame's payload under 64 KiB also when the program writes what is not UTF-8", async () => {
  open({ creditBytes: 1_000_000 });
  await clock.advance(0);
  const line = Buffer.concat([Buffer.from(`${at(1)} `), Buffer.alloc(40_000, 0xff), Buffer.from("\n")]);
  const header = Buffer.alloc(8);
  header[0] = 1;
  header.writeUInt32BE(line.length, 4);
  source().stream.write(Buffer.concat([header, line]));
  await clock.advance(0);
  expect(bytes()).toBeGreaterThan(1_000);
  expect(Math.max(...frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(64 * 1024);
});

test("goes on in a container that ran on while Docker itself was away", async () => {
  open();
  await clock.advance(0);
  say("a", 1);
  await clock.advance(0);
  dockerIsDown = true;
  source().stream.destroy(new Error("reset"));
  await clock.advance(5_000);
  expect(sources).toHaveLength(1);
  dockerIsDown = false;
  streams.seen(new Map([[serviceId, container as FoundContainer]]));
  await clock.advance(1_000);
  expect(sources).toHaveLength(2);
  expect(closes).toEqual([]);
  streams.closeAll();
});
