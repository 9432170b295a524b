/**
 * One run against the real control plane: an agent with the right key that speaks nonsense, while a person goes on to
 * press buttons. Judged: what becomes of each frame, that every answer is a frame itself, that nothing throws or grows,
 * and that no operation that has ended is changed.
 */
import { AppError, type AuthPayload } from "@dflow/protocol";
import { sql } from "kysely";
import type { Connection } from "../../control-plane/src/agents/connection.ts";
import { FACTS } from "../../control-plane/src/agents/testing/fake-agent.ts";
import { startAction } from "../../control-plane/src/services/actions.ts";
import type { Listener } from "../simulate/network.ts";
import { newMachineTime, startControlPlane } from "../simulate/processes.ts";
import type { Template } from "../simulate/template.ts";
import { createWorld, whileTimeGoesOn } from "../simulate/world.ts";
import { createRandom, type Random } from "../support/random.ts";
import type { Frame } from "../transcripts/lines.ts";
import { brief, createEnds, type FuzzRun, HEAP_SLACK_BYTES, heapBytes, RUN_FRAMES, someId } from "./fuzz-run.ts";
import { mutated, mutatedBytes } from "./mutate.ts";
import {
  type ControlPlanePhase,
  contradiction,
  judgeBytesToControlPlane,
  judgeTextToControlPlane,
  NOT_PROVED,
  type Verdict,
} from "./oracle.ts";
import { poolOf } from "./pool.ts";
import { envelopeOf, TO_AGENT } from "./shapes.ts";

const TIMERS_MAX = 200;
const SPOILT_HANDSHAKE = 0.15;
const ACTOR = { kind: "user", id: "fuzz", name: "Fuzz", address: "127.0.0.1" } as const;
const ACTIONS = ["deploy", "restart", "stop", "check"] as const;

interface Talk {
  connection: Connection;
  sent: Frame[];
  ended?: number;
  paused: boolean;
  phase: ControlPlanePhase;
  seq: number;
  session: number;
}

export async function fuzzControlPlane(template: Template, seed: number, frames = RUN_FRAMES): Promise<FuzzRun> {
  const world = createWorld(seed);
  const random = createRandom(seed ^ 0x5eed);
  const folder = template.copy();
  const ends = createEnds();
  const pool = poolOf("agent");
  const operations: string[] = [];
  let delivered = 0;
  let epoch = 0;
  let startHeap: number | undefined;
  const onRejection = (error: unknown) =>
    world.wrong(`nobody waited for: ${error instanceof Error ? error.stack : String(error)}`);
  process.on("unhandledRejection", onRejection);
  const network: { listener: Listener | undefined } = { listener: undefined };
  const { life, rooms, db } = await startControlPlane({ world, template, network }, newMachineTime(), folder.database);

  const open = (): Talk => {
    let seqOut = 0;
    const talk = { sent: [], paused: false, phase: "challenged", seq: 0, session: 0 } as unknown as Talk;
    const accepted = network.listener?.accept({
      send(text) {
        const frame = envelopeOf(JSON.parse(text));
        const shape = frame === undefined ? undefined : TO_AGENT[frame.type];
        if (frame === undefined || shape?.(frame.data) !== true)
          world.wrong(`it says what is no frame: ${brief(text)}`);
        else if (frame.seq !== ++seqOut) world.wrong(`its frame ${frame.seq} comes after ${seqOut - 1}`);
        else talk.sent.push(frame);
      },
      close(code, reason) {
        if (Buffer.byteLength(reason) > 123) world.wrong(`its close reason is too long: ${brief(reason)}`);
        talk.ended ??= code;
      },
      closeUnread(code) {
        talk.ended ??= code;
      },
      terminate() {
        talk.ended ??= 1006;
      },
      pause() {
        talk.paused = true;
      },
      resume() {
        talk.paused = false;
      },
      bufferedBytes: () => 0,
    });
    if (accepted === undefined) throw new Error("nobody listens");
    talk.connection = accepted;
    return talk;
  };
  const hangUp = (talk: Talk): void => {
    talk.ended ??= 1006;
    life.run("a closed socket", () => talk.connection.wireClosed());
  };

  const verdictOf = (what: string, said: string | Uint8Array, talk: Talk, verdict: Verdict): void => {
    const heardBefore = talk.sent.length;
    life.run("a frame", () => {
      if (typeof said === "string") talk.connection.receiveText(said);
      else talk.connection.receiveBinary(said);
    });
    delivered += 1;
    const { ended } = talk;
    const text = typeof said === "string" ? said : Buffer.from(said).toString("hex");
    const wrong = (how: string) => world.wrong(`${what} in phase ${talk.phase} ${how}: ${brief(text)}`);
    ends.count(ended === undefined ? verdict.is : `closed with ${ended}`);
    const contradicted = contradiction(verdict, ended);
    if (contradicted !== undefined) wrong(contradicted);
    if (ended !== undefined || !("seq" in verdict)) return;
    if (typeof said !== "string") return;
    talk.seq = verdict.seq;
    const isAnswered = () => talk.sent.slice(heardBefore).some(({ type }) => type === "error");
    if (verdict.is === "unknown" && !isAnswered()) wrong("was not answered");
  };

  const judged = (text: string, { seq: lastSeq, session, phase }: Talk): Verdict =>
    judgeTextToControlPlane(text, { lastSeq, session }, phase);

  /** What an honest agent would answer to the challenge. */
  const answerTo = async (talk: Talk): Promise<string> => {
    const challenge = talk.sent[0]?.data as { connectionId: string; nonce: string; controlPlaneId: string };
    const agentNonce = Buffer.from(Array.from({ length: 32 }, () => random.between(0, 255))).toString("base64url");
    const url = `${template.config.publicUrl.replace("http", "ws")}/agent/v1`;
    const { agentId } = template.enrolment;
    const payload: AuthPayload = { ...challenge, url, agentId, agentNonce, epoch, facts: FACTS };
    return template.key.sign(payload, "kid");
  };

  /** In its session, or `undefined` when the handshake was spoilt. */
  const connect = async (): Promise<Talk | undefined> => {
    const talk = open();
    const jws = await answerTo(talk);
    if (random.next() < SPOILT_HANDSHAKE) {
      await spoilAuth(talk, jws);
      return undefined;
    }
    const auth = JSON.stringify({ type: "auth", seq: 1, session: 0, data: { jws } });
    verdictOf("an honest auth", auth, talk, judged(auth, talk));
    talk.phase = "authenticating";
    if (random.next() < SPOILT_HANDSHAKE) spoil(talk);
    const isWelcome = () => talk.ended !== undefined || talk.sent.some(({ type }) => type === "welcome");
    await world.runUntilSo(world.nowMs() + 5_000, isWelcome);
    const welcome = talk.sent.find(({ type }) => type === "welcome");
    if (welcome === undefined) {
      if (talk.ended === undefined) world.wrong("it does not answer an honest auth");
      return undefined;
    }
    const claims = JSON.parse(
      Buffer.from((welcome.data as { jws: string }).jws.split(".")[1] ?? "", "base64url").toString(),
    ) as { session: number; epoch: number };
    talk.phase = "welcomed";
    talk.session = claims.session;
    if (random.next() < SPOILT_HANDSHAKE) {
      spoil(talk);
      hangUp(talk);
      return undefined;
    }
    epoch = claims.epoch;
    const ready = JSON.stringify({ type: "ready", seq: talk.seq + 1, session: talk.session, data: { epoch } });
    verdictOf("an honest ready", ready, talk, judged(ready, talk));
    const begun = world.nowMs() + 5_000;
    const isOnline = () => rooms.agents.link(template.enrolment.agentId).state === "online";
    await world.runUntilSo(begun, () => talk.ended !== undefined || (isOnline() && !talk.paused));
    if (talk.ended !== undefined) world.wrong(`an honest ready was closed with ${talk.ended}`);
    return Object.assign(talk, { phase: "online" as const });
  };

  /** Any frame of an agent, mutated, where it does not belong. */
  const spoil = (talk: Talk): void => {
    const frame = { ...random.pick(pool.frames), seq: talk.seq + 1, session: talk.session };
    const { how, text } = mutated(frame, random);
    const verdict = judged(text, talk);
    // Whose epoch it names is not for this oracle: it is spoilt, and given up.
    if (verdict.is === "taken" && verdict.type === "ready") hangUp(talk);
    else verdictOf(how, text, talk, verdict);
  };

  const spoilAuth = async (talk: Talk, jws: string): Promise<void> => {
    if (random.next() < 0.5) {
      const at = random.between(0, jws.length - 1);
      const other = `${jws.slice(0, at)}${jws[at] === "A" ? "B" : "A"}${jws.slice(at + 1)}`;
      const text = JSON.stringify({ type: "auth", seq: 1, session: 0, data: { jws: other } });
      verdictOf("an auth with another letter", text, talk, judged(text, talk));
      await world.runUntilSo(world.nowMs() + 5_000, () => talk.ended !== undefined);
      // The last letter of a signature holds bits that mean nothing.
      const isSame = Buffer.from(other.split(".")[2] ?? "", "base64url").equals(
        Buffer.from(jws.split(".")[2] ?? "", "base64url"),
      );
      const isProved = isSame && other.split(".").slice(0, 2).join() === jws.split(".").slice(0, 2).join();
      if (!isProved && talk.ended !== NOT_PROVED) world.wrong(`a spoilt signature was closed with ${talk.ended}`);
    } else {
      const { how, text } = mutated({ type: "auth", seq: 1, session: 0, data: { jws } }, random);
      const verdict = judged(text, talk);
      const isAuth = verdict.is === "taken" && verdict.type === "auth";
      if (!isAuth) verdictOf(how, text, talk, verdict);
    }
    if (talk.ended === undefined) hangUp(talk);
  };

  const live = (frame: Frame, random: Random): Frame => {
    const data = structuredClone(frame.data) as Record<string, unknown>;
    const id = operations.at(-random.between(1, 6));
    if ("operationId" in data && random.next() < 0.9) data.operationId = id ?? someId(random);
    if (Array.isArray(data.running) && id !== undefined) data.running = [{ operationId: id, step: "some step" }];
    return { ...frame, data };
  };

  const act = async (): Promise<void> => {
    const serviceId = random.pick(template.serviceIds as [string, ...string[]]);
    try {
      if (random.next() < 0.2) {
        const { agentId } = template.enrolment;
        const log = rooms.agents.openLog(agentId, { serviceId, follow: true, tail: null }, SILENT);
        if (random.next() < 0.7) log.close();
        return;
      }
      const { id } = await startAction(rooms, { serviceId, kind: random.pick(ACTIONS), role: "admin", actor: ACTOR });
      operations.push(id);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
    }
  };

  const speak = async (talk: Talk): Promise<void> => {
    while (talk.ended === undefined && delivered < frames && world.violations().length === 0) {
      if (delivered >= frames / 5) startHeap ??= heapBytes();
      if (random.next() < 0.05) await whileTimeGoesOn(world, act());
      if (random.next() < 0.1) {
        const bytes = mutatedBytes(random.pick(pool.bytes as [Uint8Array, ...Uint8Array[]]), random);
        verdictOf("bytes", bytes, talk, judgeBytesToControlPlane(bytes, "online"));
      } else {
        const frame = { ...live(random.pick(pool.frames), random), seq: talk.seq + 1, session: talk.session };
        const { how, text } = mutated(frame, random);
        verdictOf(how, text, talk, judged(text, talk));
      }
      if (talk.ended !== undefined) break;
      if (talk.paused || random.next() < 0.3) await world.runUntil(world.nowMs() + random.between(0, 400));
      // What it does later is judged too: nothing that was taken may end the socket.
      if (talk.ended !== undefined) world.wrong(`it ended a socket later, with ${talk.ended}`);
      if (talk.paused) world.wrong("it does not read on");
    }
  };

  try {
    while (delivered < frames && world.violations().length === 0) {
      const talk = await connect();
      if (talk === undefined) continue;
      await speak(talk);
      // Half of them vanish without a word, and are superseded by the next.
      if (random.next() < 0.5) hangUp(talk);
      await world.runUntil(world.nowMs() + random.between(0, 200));
    }
    await world.runUntil(world.nowMs() + 60_000);
    const endHeap = heapBytes();
    if (startHeap !== undefined && endHeap !== undefined && endHeap - startHeap > HEAP_SLACK_BYTES) {
      world.wrong(`its heap grew by ${Math.round((endHeap - startHeap) / 1024)} KiB`);
    }
    if (world.pending() > TIMERS_MAX) world.wrong(`${world.pending()} timers wait`);
    const { rows: told } = await sql<{ what: string }>`SELECT what FROM witness`.execute(db);
    for (const { what } of told) world.wrong(`an operation's end changed: ${what}`);
    return { seed, frames: delivered, violations: world.violations(), ends: ends.all() };
  } finally {
    life.kill("the end");
    await db.destroy();
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

const SILENT = { onLine: () => undefined, onGap: () => undefined, onEnd: () => undefined };
