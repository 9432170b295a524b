/**
 * The link's state machine: the one owner of the socket.
 * INVARIANTS: at most one socket; in every phase but `stopped` a timer runs that ends it; events of an older socket are
 * ignored by its number; nothing but `auth` leaves before `ready`, and `ready` only when the epoch is on disk.
 */
import {
  CLOSE,
  judgeSequence,
  LINK_LIMITS,
  messageOf,
  type OutgoingToControlPlane,
  reconnectDelayMs,
  SUBPROTOCOL,
  type ToAgent,
  type WelcomePayload,
} from "@dflow/protocol";
import type { Cancel, Clock, Log, Random } from "../deps.ts";
import type { Asked, Handshake } from "./handshake.ts";
import { type Received, readFrame } from "./read-frame.ts";
import type { Dial, Socket } from "./socket.ts";

export type LinkPhase = "dialling" | "challenge" | "welcome" | "ready" | "waiting" | "stopped";

export interface ConnectionEvents {
  ready(welcome: WelcomePayload): void;
  frame(frame: ToAgent): void;
  /** A frame of a type, or a command of a kind, that this agent does not know. */
  unsupported(frame: Extract<Received, { verdict: "unsupported" }>): void;
  /** Only after `ready`. */
  lost(): void;
  heartbeat(): OutgoingToControlPlane;
}

export interface Connection {
  start(): void;
  stop(): void;
  phase(): LinkPhase;
  /** False when there is no session: what is durable is sent again by its owner after the next `ready`. */
  send(frame: OutgoingToControlPlane): boolean;
  /** Bulk bytes, held back while the socket is full. Rejects when the session ends or the signal is aborted. */
  sendBulk(bytes: Uint8Array, signal: AbortSignal): Promise<void>;
}

export interface ConnectionDeps {
  clock: Clock;
  random: Random;
  log: Log;
  dial: Dial;
  handshake: Handshake;
  /** A connection that lasted this long was a good one: the waits between attempts begin anew. */
  stableMs: number;
}

const DIAL_MS = 15_000;
/** A close that is not answered must not keep us from the next connection. */
const CLOSING_MS = 2_000;
/** Bulk waits above this, so that control frames are never far behind. */
const BULK_HIGH_WATER_BYTES = 256 * 1024;

/** Far more than a control plane has to say at once to one agent. */
const HELD_FRAMES_MAX = 1_000;

interface Session {
  number: number;
  deadlineMs: number;
}

interface Attempt {
  socket: Socket;
  lastSeqIn: number;
  lastSeqOut: number;
  asked?: Asked;
  /** Frames that came right behind the welcome, while its signature is being checked. */
  held?: string[];
  session?: Session;
  /** The control plane goes down and gave this agent its own moment to come back. */
  drainMs?: number;
}

export function createConnection(deps: ConnectionDeps, events: ConnectionEvents): Connection {
  const { clock, random, log, dial, handshake, stableMs } = deps;
  let phase: LinkPhase = "waiting";
  let current: Attempt | undefined;
  let failures = 0;
  /** When there was a session last. */
  let awaySinceMs = clock.monotonicMs();
  let cancelPhase: Cancel = () => undefined;
  let cancelHeartbeat: Cancel = () => undefined;
  let cancelStable: Cancel = () => undefined;
  const bulkWaiters = new Set<() => void>();

  const enter = (next: LinkPhase, limitMs: number, onLimit: () => void) => {
    phase = next;
    cancelPhase();
    cancelPhase = clock.after(limitMs, onLimit);
  };

  const connect = () => {
    // The handlers may be called before `dial` returns, so the attempt exists first.
    const attempt = { lastSeqIn: 0, lastSeqOut: 0 } as Attempt;
    const isCurrent = () => current === attempt;
    current = attempt;
    enter("dialling", DIAL_MS, () => drop(attempt, "no connection in time"));
    try {
      attempt.socket = dial(handshake.url, SUBPROTOCOL, {
        opened() {
          if (!isCurrent()) return;
          enter("challenge", LINK_LIMITS.preAuthMs, () => drop(attempt, "no challenge in time"));
        },
        alive() {
          if (isCurrent() && attempt.session !== undefined) armDeadline(attempt, attempt.session);
        },
        text(text) {
          if (isCurrent()) receive(attempt, text);
        },
        bytes() {
          if (isCurrent()) refuse(attempt, CLOSE.badFrame, "unexpected binary frame");
        },
        closed(code, reason, retryAfterMs) {
          if (isCurrent()) onClosed(attempt, code, reason, retryAfterMs);
        },
      });
    } catch (error) {
      onClosed(attempt, 1006, messageOf(error));
    }
  };

  const armDeadline = (attempt: Attempt, { deadlineMs }: Session) =>
    enter("ready", deadlineMs, () => drop(attempt, `nothing was heard for ${deadlineMs} ms`));

  const receive = (attempt: Attempt, text: string) => {
    if (attempt.held !== undefined) {
      attempt.held.push(text);
      if (attempt.held.length > HELD_FRAMES_MAX) refuse(attempt, CLOSE.badFrame, "too much before the session");
      return;
    }
    const received = readFrame(text);
    if (received.verdict === "too_big") return refuse(attempt, CLOSE.tooBig, "a frame over the limit");
    if (received.verdict === "malformed") return refuse(attempt, CLOSE.badFrame, received.reason);
    const { seq, session } = received;
    const verdict = judgeSequence(attempt.lastSeqIn, seq);
    if (verdict === "drop") return;
    if (verdict === "gap") return refuse(attempt, CLOSE.badFrame, `frame ${seq} came after ${attempt.lastSeqIn}`);
    attempt.lastSeqIn = seq;
    const number = attempt.session?.number ?? 0;
    if (session !== number) {
      return refuse(attempt, CLOSE.badFrame, `frame of session ${session} in session ${number}`);
    }
    if (attempt.session === undefined) {
      if (received.verdict === "frame") return receiveHandshake(attempt, received.frame);
      return refuse(attempt, CLOSE.badFrame, "unknown frame before the session");
    }
    if (received.verdict === "unsupported") return events.unsupported(received);
    const { frame } = received;
    if (frame.type === "challenge" || frame.type === "welcome") {
      return refuse(attempt, CLOSE.badFrame, "a second handshake");
    }
    if (frame.type === "drain") {
      attempt.drainMs = frame.data.reconnectInMs;
      return refuse(attempt, CLOSE.goingAway, "drained");
    }
    events.frame(frame);
  };

  const receiveHandshake = (attempt: Attempt, frame: ToAgent) => {
    if (phase === "challenge" && frame.type === "challenge") {
      enter("welcome", LINK_LIMITS.preAuthMs, () => drop(attempt, "no welcome in time"));
      handshake.answer(frame.data).then(
        ({ jws, asked }) => {
          if (current !== attempt) return;
          attempt.asked = asked;
          write(attempt, { type: "auth", data: { jws } });
        },
        (error) => refuseIfCurrent(attempt, error),
      );
      return;
    }
    if (phase === "welcome" && frame.type === "welcome" && attempt.asked !== undefined) {
      attempt.held = [];
      handshake.accept(frame.data.jws, attempt.asked).then(
        (welcome) => {
          if (current === attempt) becomeReady(attempt, welcome);
        },
        (error) => refuseIfCurrent(attempt, error),
      );
      return;
    }
    if (frame.type === "error") {
      log.warn({ code: frame.data.code }, `the control plane says: ${frame.data.message}`);
      return;
    }
    refuse(attempt, CLOSE.badFrame, `unexpected ${frame.type} in phase ${phase}`);
  };

  const becomeReady = (attempt: Attempt, welcome: WelcomePayload) => {
    try {
      handshake.keep(welcome.epoch);
    } catch (error) {
      // A session that the disk knows nothing of would make this server look like a copy of itself.
      return refuse(attempt, CLOSE.goingAway, `the epoch cannot be kept: ${messageOf(error)}`);
    }
    attempt.session = { number: welcome.session, deadlineMs: welcome.deadlineMs };
    armDeadline(attempt, attempt.session);
    cancelStable = clock.after(stableMs, () => {
      failures = 0;
    });
    const beat = () => {
      cancelHeartbeat = clock.after(welcome.heartbeatMs, () => {
        write(attempt, events.heartbeat());
        beat();
      });
    };
    beat();
    write(attempt, { type: "ready", data: { epoch: welcome.epoch } });
    log.info({ session: welcome.session }, "connected");
    events.ready(welcome);
    const held = attempt.held ?? [];
    attempt.held = undefined;
    for (const text of held) if (current === attempt) receive(attempt, text);
  };

  const write = (attempt: Attempt, frame: OutgoingToControlPlane) => {
    attempt.lastSeqOut += 1;
    attempt.socket.sendText(
      JSON.stringify({ ...frame, seq: attempt.lastSeqOut, session: attempt.session?.number ?? 0 }),
      wakeBulk,
    );
  };

  /** Whatever left, there is room again. */
  const wakeBulk = () => {
    for (const wake of [...bulkWaiters]) wake();
  };

  /** The other side is told why; what it does about it does not matter to us. */
  const refuse = (attempt: Attempt, code: number, reason: string) => {
    attempt.socket.close(code, reason);
    const { socket } = attempt;
    clock.after(CLOSING_MS, () => socket.terminate());
    onClosed(attempt, code, reason);
  };

  const refuseIfCurrent = (attempt: Attempt, error: unknown) => {
    if (current === attempt) refuse(attempt, CLOSE.unauthenticated, messageOf(error));
  };

  const drop = (attempt: Attempt, reason: string) => {
    attempt.socket.terminate();
    if (current === attempt) onClosed(attempt, CLOSE.deadline, reason);
  };

  const onClosed = (attempt: Attempt, code: number, reason: string, retryAfterMs?: number) => {
    if (current !== attempt) return;
    current = undefined;
    cancelHeartbeat();
    cancelStable();
    if (attempt.session !== undefined) awaySinceMs = clock.monotonicMs();
    const awayMs = clock.monotonicMs() - awaySinceMs;
    const delayMs = reconnectDelayMs(
      { code, failures, awayMs, drainMs: attempt.drainMs, retryAfterMs },
      random.fraction,
    );
    failures += 1;
    log.warn(
      { code, reason, retryInMs: delayMs },
      attempt.session === undefined ? "connection failed" : "connection lost",
    );
    enter("waiting", delayMs, connect);
    wakeBulk();
    if (attempt.session !== undefined) events.lost();
  };

  return {
    start() {
      if (phase === "waiting" && current === undefined) connect();
    },
    stop() {
      const attempt = current;
      current = undefined;
      cancelPhase();
      cancelHeartbeat();
      cancelStable();
      phase = "stopped";
      if (attempt === undefined) return;
      attempt.socket.close(CLOSE.goingAway, "the agent stops");
      const { socket } = attempt;
      clock.after(CLOSING_MS, () => socket.terminate());
      wakeBulk();
      if (attempt.session !== undefined) events.lost();
    },
    phase: () => phase,
    send(frame) {
      if (current?.session === undefined) return false;
      write(current, frame);
      return true;
    },
    async sendBulk(bytes, signal) {
      const attempt = current;
      if (attempt?.session === undefined) throw new Error("there is no session");
      for (;;) {
        signal.throwIfAborted();
        if (current !== attempt) throw new Error("the session ended");
        if (attempt.socket.bufferedBytes() <= BULK_HIGH_WATER_BYTES) break;
        await nextSent(bulkWaiters, signal);
      }
      attempt.socket.sendBytes(bytes, wakeBulk);
    },
  };
}

function nextSent(waiters: Set<() => void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      waiters.delete(wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    waiters.add(wake);
    signal.addEventListener("abort", wake, { once: true });
  });
}
