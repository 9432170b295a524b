/** Container logs through a real socket: lines and cursors, credit, and every way a stream can end. */
import { CLOSE, encodeLogData, LINK_LIMITS, type LogOpen } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LogLineOut, LogListener, LogRequest } from "./agents.ts";
import type { FakeIdentity, FakeSocket } from "./testing/fake-agent.ts";
import { type Harness, settled, startHarness, until } from "./testing/harness.ts";

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

interface Viewer extends LogListener {
  lines: LogLineOut[];
  gaps: number;
  end: string | undefined;
  close(): void;
}

function view(request: Partial<LogRequest> = {}, onLine: LogListener["onLine"] = () => undefined): Viewer {
  const viewer: Viewer = {
    lines: [],
    gaps: 0,
    end: undefined,
    onLine(line) {
      viewer.lines.push(line);
      return onLine(line);
    },
    onGap() {
      viewer.gaps += 1;
    },
    onEnd(reason, error) {
      viewer.end = error === undefined ? reason : `${reason}: ${error.code}`;
    },
    close: () => stream.close(),
  };
  const stream = harness.agents.openLog(agent.agentId, { serviceId, follow: true, tail: 100, ...request }, viewer);
  return viewer;
}

const T0 = "2026-05-01T10:00:00.000000001Z";
const T1 = "2026-05-01T10:00:00.000000002Z";

/** Sends text of a stream as an agent does, counting offsets. */
function feed(open: LogOpen) {
  let offset = 0;
  return (text: string, given: { stderr?: boolean; gap?: boolean; skip?: number } = {}) => {
    const payload = new TextEncoder().encode(text);
    offset += given.skip ?? 0;
    const { stderr = false, gap = false } = given;
    socket.sendBytes(encodeLogData({ streamId: open.streamId, offset, stderr, gap, payload }));
    offset += payload.length;
  };
}

describe("a container's log", () => {
  it("is asked for with the first credit, and comes as lines with cursors", async () => {
    const viewer = view();
    const open = (await socket.next("log_open")).data;
    expect(open).toEqual({ streamId: 1, serviceId, follow: true, tail: 100, creditBytes: LINK_LIMITS.logCreditBytes });
    const send = feed(open);
    send(`${T0} one\n${T0} two\n`);
    send(`${T1} three\n`, { stderr: true });
    await until(() => viewer.lines.length === 3);
    expect(viewer.lines).toEqual([
      { cursor: `${T0}#1`, at: T0, stream: "stdout", text: "one" },
      { cursor: `${T0}#2`, at: T0, stream: "stdout", text: "two" },
      { cursor: `${T1}#1`, at: T1, stream: "stderr", text: "three" },
    ]);
  });

  it("puts lines together that frames have cut, in the middle of a character too", async () => {
    const viewer = view();
    const open = (await socket.next("log_open")).data;
    const bytes = new TextEncoder().encode(`${T0} größe €\n`);
    bytes.forEach((byte, offset) => {
      socket.sendBytes(
        encodeLogData({ streamId: open.streamId, offset, stderr: false, gap: false, payload: new Uint8Array([byte]) }),
      );
    });
    await until(() => viewer.lines.length === 1);
    expect(viewer.lines[0]?.text).toBe("größe €");
  });

  it("resumes behind its cursor: same time asked for, lines that were read left out", async () => {
    const viewer = view({ after: `${T0}#2` });
    const open = (await socket.next("log_open")).data;
    expect(open).toMatchObject({ since: T0, tail: null });
    feed(open)(`${T0} one\n${T0} two\n${T0} three\n${T1} four\n`);
    await until(() => viewer.lines.length === 2);
    expect(viewer.lines.map((line) => [line.text, line.cursor])).toEqual([
      ["three", `${T0}#3`],
      ["four", `${T1}#1`],
    ]);
  });

  it("refuses a text that is no cursor", () => {
    expect(() => view({ after: "yesterday" })).toThrow("not a position");
  });

  it("stops the agent while its reader is slow, and lets it go on when lines are taken", async () => {
    let release = (): void => undefined;
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    const viewer = view({}, () => slow);
    const open = (await socket.next("log_open")).data;
    const send = feed(open);
    const line = `${T0} ${"x".repeat(1024 - T0.length - 2)}\n`;
    for (let sent = 0; sent < open.creditBytes; sent += 32 * 1024) send(line.repeat(32));
    await settled();
    expect(socket.waiting("log_credit")).toEqual([]);
    expect(viewer.lines).toHaveLength(1);
    release();
    await until(() => viewer.lines.length === 256);
    const credits = [(await socket.next("log_credit")).data.bytes, (await socket.next("log_credit")).data.bytes];
    expect(credits.reduce((sum, bytes) => sum + bytes, 0)).toBe(open.creditBytes);
    send(`${T1} after\n`);
    await until(() => viewer.lines.at(-1)?.text === "after");
  });

  it("ends a stream whose agent sends more than it has credit for", async () => {
    const never = new Promise<void>(() => undefined);
    view({}, () => never);
    const open = (await socket.next("log_open")).data;
    const send = feed(open);
    for (let sent = 0; sent <= open.creditBytes; sent += 64 * 1024)
      send(`${T0} ${"x".repeat(64 * 1024 - T0.length - 2)}\n`);
    expect((await socket.next("log_close")).data).toMatchObject({ streamId: open.streamId, reason: "failed" });
  });

  it("tells of lines that were lost", async () => {
    const viewer = view();
    const send = feed((await socket.next("log_open")).data);
    send(`${T0} one\n`);
    send(`${T1} two\n`, { gap: true });
    send(`${T1} three\n`, { skip: 500 });
    await until(() => viewer.lines.length === 3);
    expect(viewer.gaps).toBe(2);
  });

  it("is closed by its viewer, and what is still under way is dropped", async () => {
    const viewer = view();
    const open = (await socket.next("log_open")).data;
    viewer.close();
    viewer.close();
    expect((await socket.next("log_close")).data).toEqual({ streamId: open.streamId, reason: "viewer_left" });
    feed(open)(`${T0} late\n`);
    await settled();
    expect([viewer.lines, viewer.end, socket.waiting("log_close")]).toEqual([[], undefined, []]);
  });

  it.each([
    [{ reason: "ended" as const }, "ended"],
    [
      { reason: "failed" as const, failure: { code: "log_unavailable" as const, message: "no container" } },
      "failed: log_unavailable",
    ],
  ])("ends behind its last line when the agent says so: %o", async (close, end) => {
    const viewer = view({}, () => new Promise((resolve) => setTimeout(resolve, 20)));
    const open = (await socket.next("log_open")).data;
    feed(open)(`${T0} last words\n`);
    socket.send({ type: "log_close", data: { streamId: open.streamId, ...close } });
    await until(() => viewer.end !== undefined);
    expect([viewer.lines.length, viewer.end]).toEqual([1, end]);
  });

  it("ends as lost with its agent", async () => {
    const viewer = view();
    await socket.next("log_open");
    socket.cut();
    await until(() => viewer.end === "agent_lost");
    expect(() => view()).toThrow("cannot be reached");
  });

  it("ends as lost when a newer session takes over", async () => {
    const viewer = view();
    await harness.connect(agent);
    expect((await socket.ended).code).toBe(CLOSE.superseded);
    await until(() => viewer.end === "agent_lost");
  });
});
