/**
 * One run against the real agent: a control plane with the right key that speaks nonsense. Judged: what becomes of each
 * frame, that every answer is a frame itself, that nothing throws or grows, and that Docker is asked only for what a
 * valid command wants.
 */
import { type WelcomePayload, welcomePayloadSchema } from "@dflow/protocol";
import type { Dial, SocketEvents } from "../../agent/src/link/socket.ts";
import { createEngine, IMAGE } from "../simulate/engine.ts";
import type { Life } from "../simulate/life.ts";
import { newMachineTime, startAgent } from "../simulate/processes.ts";
import type { Template } from "../simulate/template.ts";
import { createWorld } from "../simulate/world.ts";
import { createRandom } from "../support/random.ts";
import type { Frame } from "../transcripts/lines.ts";
import { createAsked } from "./asked.ts";
import { brief, createEnds, type FuzzRun, HEAP_SLACK_BYTES, heapBytes, RUN_FRAMES, someId } from "./fuzz-run.ts";
import { mutated, mutatedBytes } from "./mutate.ts";
import { type AgentPhase, contradiction, judgeTextToAgent, type Verdict } from "./oracle.ts";
import { poolOf } from "./pool.ts";
import { envelopeOf, TO_CONTROL_PLANE } from "./shapes.ts";

/** Longer than an agent may be asked to stay away, with its own chance on top. */
const RETURNS_WITHIN_MS = 12 * 60_000;
const TIMERS_MAX = 400;
const SPOILT_HANDSHAKE = 0.15;

/** The socket that the agent has open, as its peer sees it. */
interface Line {
  events: SocketEvents;
  agent: Life;
  sent: Frame[];
  ended?: number;
}

interface Talk {
  line: Line;
  phase: AgentPhase;
  seq: number;
  session: number;
}

export async function fuzzAgent(template: Template, seed: number, frames = RUN_FRAMES): Promise<FuzzRun> {
  const world = createWorld(seed);
  const random = createRandom(seed ^ 0x5eed);
  const folder = template.copy();
  const engine = createEngine(world, template.enrolment.agentId, `${folder.agentDir}/services`);
  const ends = createEnds();
  const asked = createAsked(world, engine);
  const lines: Line[] = [];
  const pool = poolOf("control plane");
  let delivered = 0;
  let startHeap: number | undefined;
  const onRejection = (error: unknown) =>
    world.wrong(`nobody waited for: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("unhandledRejection", onRejection);

  const dialFor =
    (agent: Life): Dial =>
    (_url, _subprotocol, events) => {
      const line: Line = { events, agent, sent: [] };
      if (lines.some(({ ended }) => ended === undefined)) world.wrong("it dials while a socket of its is open");
      lines.splice(0, lines.length, line);
      let seqOut = 0;
      return {
        sendText(text, onSent) {
          const frame = envelopeOf(JSON.parse(text));
          const shape = frame === undefined ? undefined : TO_CONTROL_PLANE[frame.type];
          if (frame === undefined || shape?.(frame.data) !== true)
            world.wrong(`it says what is no frame: ${brief(text)}`);
          else if (frame.seq !== ++seqOut) world.wrong(`its frame ${frame.seq} comes after ${seqOut - 1}`);
          else line.sent.push(frame);
          agent.after(0, onSent);
        },
        sendBytes: (_bytes, onSent) => void agent.after(0, onSent),
        bufferedBytes: () => 0,
        close(code, reason) {
          // As the websocket library has it.
          if (Buffer.byteLength(reason.slice(0, 120)) > 123)
            world.wrong(`its close reason is too long: ${brief(reason)}`);
          line.ended ??= code;
        },
        terminate() {
          line.ended ??= 1006;
        },
      };
    };

  const verdictOf = (what: string, text: string, talk: Talk, verdict: Verdict): void => {
    const { line } = talk;
    const heardBefore = line.sent.length;
    line.agent.run("a frame", () => {
      line.events.alive();
      line.events.text(text);
    });
    delivered += 1;
    const { ended } = line;
    const wrong = (how: string) => world.wrong(`${what} in phase ${talk.phase} ${how}: ${brief(text)}`);
    ends.count(ended === undefined ? verdict.is : `closed with ${ended}`);
    const contradicted = contradiction(verdict, ended);
    if (contradicted !== undefined) wrong(contradicted);
    if (ended !== undefined || !("seq" in verdict)) return;
    talk.seq = verdict.seq;
    if (verdict.is === "taken") asked.take(verdict.type, verdict.data);
    else if (!line.sent.slice(heardBefore).some((frame) => answers(frame, verdict.operationId)))
      wrong("was not answered");
  };

  /** A connection whose session has begun, or `undefined` when it was spoilt on the way. */
  const connect = async (): Promise<Talk | undefined> => {
    const isDialled = () => lines.some(({ ended }) => ended === undefined);
    if (!(await world.runUntilSo(world.nowMs() + RETURNS_WITHIN_MS, isDialled))) {
      world.wrong("it does not come back");
      return undefined;
    }
    const line = lines[0] as Line;
    line.agent.run("an open socket", () => line.events.opened());
    const talk: Talk = { line, phase: "challenge", seq: 0, session: 0 };
    const challenge = {
      connectionId: someId(random),
      nonce: Buffer.from(Array.from({ length: 32 }, () => random.between(0, 255))).toString("base64url"),
      controlPlaneId: template.signer.controlPlaneId,
    };
    if (!sayInHandshake(talk, "challenge", challenge)) return undefined;
    talk.phase = "welcome";
    const hasAuth = () => line.sent.some(({ type }) => type === "auth") || line.ended !== undefined;
    await world.runUntilSo(world.nowMs() + 5_000, hasAuth);
    const auth = line.sent.find(({ type }) => type === "auth");
    if (auth === undefined) {
      world.wrong("it does not answer a challenge");
      return undefined;
    }
    const claims = JSON.parse(
      Buffer.from((auth.data as { jws: string }).jws.split(".")[1] ?? "", "base64url").toString(),
    ) as { agentNonce: string; epoch: number };
    sessions += 1;
    const welcome: WelcomePayload = welcomePayloadSchema.parse({
      ...{ connectionId: challenge.connectionId, agentNonce: claims.agentNonce, agentId: template.enrolment.agentId },
      ...{ session: sessions, epoch: claims.epoch + 1, heartbeatMs: 15_000, deadlineMs: 45_000 },
    });
    if (!sayInHandshake(talk, "welcome", { jws: await template.signer.sign(welcome) })) return undefined;
    // Right behind it, while its signature is being checked.
    const behind = random.next() < 0.3 ? random.between(1, 5) : 0;
    for (let nth = 1; nth <= behind; nth += 1) {
      const ahead = { type: "heartbeat_ack", seq: talk.seq + nth, session: sessions, data: {} };
      line.agent.run("a frame", () => line.events.text(JSON.stringify(ahead)));
    }
    const isReady = () => line.sent.some(({ type }) => type === "ready") || line.ended !== undefined;
    await world.runUntilSo(world.nowMs() + 5_000, isReady);
    if (line.ended !== undefined || !line.sent.some(({ type }) => type === "ready")) {
      world.wrong("it does not take a welcome");
      return undefined;
    }
    return { ...talk, seq: talk.seq + behind, phase: "online", session: sessions };
  };
  let sessions = 0;

  /** False when it was spoilt: then the socket is given up. */
  const sayInHandshake = (talk: Talk, type: string, data: object): boolean => {
    const frame = { type, seq: talk.seq + 1, session: 0, data };
    if (random.next() >= SPOILT_HANDSHAKE) {
      const text = JSON.stringify(frame);
      verdictOf("a whole frame", text, talk, judgeTextToAgent(text, { lastSeq: talk.seq, session: 0 }, talk.phase));
      return talk.line.ended === undefined;
    }
    const { how, text } = mutated(
      random.next() < 0.7 ? frame : { ...random.pick(pool.frames), seq: frame.seq },
      random,
    );
    const verdict = judgeTextToAgent(text, { lastSeq: talk.seq, session: 0 }, talk.phase);
    // What it proves is not for this oracle: only that it is not closed for its form.
    if (verdict.is === "taken" && verdict.type === talk.phase) hangUp(talk.line);
    else {
      verdictOf(how, text, talk, verdict);
      hangUp(talk.line);
    }
    return false;
  };

  const hangUp = (line: Line): void => {
    if (line.ended !== undefined) return;
    line.ended = 1006;
    line.agent.run("a closed socket", () => line.events.closed(1006, "the fuzz"));
  };

  const speak = async (talk: Talk): Promise<void> => {
    const { line } = talk;
    while (line.ended === undefined && delivered < frames && world.violations().length === 0) {
      if (delivered >= frames / 5) startHeap ??= heapBytes();
      if (random.next() < 0.01) {
        const bytes = mutatedBytes(
          random.pick(pool.bytes.length > 0 ? (pool.bytes as [Uint8Array]) : NO_BYTES),
          random,
        );
        line.agent.run("bytes", () => line.events.bytes());
        delivered += 1;
        if (line.ended !== 4400) world.wrong(`${bytes.length} bytes had to be closed with 4400, was ${line.ended}`);
        return;
      }
      const frame = { ...asked.live(random.pick(pool.frames), random), seq: talk.seq + 1, session: talk.session };
      const { how, text } = mutated(frame, random);
      const { seq: lastSeq, session } = talk;
      verdictOf(how, text, talk, judgeTextToAgent(text, { lastSeq, session }, "online"));
      if (random.next() < 0.3) await world.runUntil(world.nowMs() + random.between(0, 400));
      asked.watch();
    }
    if (random.next() < 0.5) await world.runUntil(world.nowMs() + random.between(0, 3_000));
  };

  const life = startAgent({ world, template, network: { dialFor }, engine }, newMachineTime(), folder.agentDir);
  try {
    engine.fake.addImage(IMAGE, { probesUntilReady: 1, says: ["ready for connections"] });
    asked.addForeign();
    while (delivered < frames && world.violations().length === 0) {
      const talk = await connect();
      if (talk !== undefined) await speak(talk);
      if (random.next() < 0.1 && lines[0] !== undefined) hangUp(lines[0]);
    }
    await world.runUntil(world.nowMs() + 30_000);
    const endHeap = heapBytes();
    if (startHeap !== undefined && endHeap !== undefined && endHeap - startHeap > HEAP_SLACK_BYTES) {
      world.wrong(`its heap grew by ${Math.round((endHeap - startHeap) / 1024)} KiB`);
    }
    if (world.pending() > TIMERS_MAX) world.wrong(`${world.pending()} timers wait`);
    asked.judge();
    return { seed, frames: delivered, violations: world.violations(), ends: ends.all() };
  } finally {
    life.kill("the end");
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

const NO_BYTES: [Uint8Array] = [new Uint8Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 50, 10])];

const answers = ({ type, data }: Frame, operationId: string | undefined): boolean => {
  if (operationId === undefined) return type === "error";
  const ack = data as { operationId?: string; outcome?: string };
  return type === "ack" && ack.operationId === operationId && ack.outcome === "rejected";
};
