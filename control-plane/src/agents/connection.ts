/**
 * One socket from its challenge to its end: counts frames, watches deadlines, answers at the border. What frames mean is
 * the session's; how they travel is the wire's.
 */
import {
  CLOSE,
  decodeLogData,
  LINK_LIMITS,
  type OutgoingToAgent,
  type Pace,
  type ToControlPlane,
  type WelcomePayload,
} from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import { type Beginning, begin } from "./admission.ts";
import { type Amount, askedFor, type Budget, type Budgets } from "./budget.ts";
import { readFrame } from "./frames.ts";
import {
  type AuthenticateDeps,
  type Authenticated,
  authenticate,
  type Challenge,
  HandshakeRefused,
  notAdmitted,
  type Peer,
} from "./handshake.ts";
import type { Session, SessionFrame, SessionSocket } from "./session.ts";

/** A websocket, in the verbs that a connection needs. Calls on one that is closed do nothing. */
export interface Wire {
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Closes it, and reads nothing more: not what is under way either, nor the peer's own close. */
  closeUnread(code: number, reason: string): void;
  /** Ends it without a word: for a peer that is believed to be gone. */
  terminate(): void;
  pause(): void;
  resume(): void;
  /** Bytes that the peer has not taken yet. */
  bufferedBytes(): number;
}

export type ConnectionDeps = Pick<Deps, "timers" | "signer"> &
  AuthenticateDeps & {
    /** Asked for each connection: what holds until its end. */
    pace(): Pace;
    budgets: Budgets;
  };

export type Begun = Extract<Beginning, { verdict: "begun" }>;

export interface ConnectionHooks {
  /** An agent has proved who it is and is ready: its session begins, and ends an older one. */
  ready(connection: Connection, who: Authenticated & Begun, socket: SessionSocket): Session;
  /** A frame of this server arrived. */
  seen(serverId: string): void;
  /** An agent has sent more than it may, and is being closed for it. */
  overBudget(): void;
  /** The socket is gone; called once. */
  ended(connection: Connection): void;
}

export interface Connection {
  /** It has proved who it is; its session may not have begun yet. */
  readonly authenticated: boolean;
  /** Nothing that comes is of interest any more. */
  readonly isOver: boolean;
  /** Raw bytes have come, whatever they are: called before anything is read of them. */
  arrived(bytes: number): void;
  /** A frame of the websocket itself: a ping, a pong. */
  receiveControl(): void;
  receiveText(text: string): void;
  receiveBinary(bytes: Uint8Array): void;
  /** The wire has closed. */
  wireClosed(): void;
  close(code: number, reason: string): void;
  /** Ends it before a planned restart: an agent is told in how many milliseconds to come back. */
  drain(reconnectInMs: number): void;
}

/** Raw bytes before authentication: one frame of the allowed size with room for framing. */
const PRE_AUTH_BYTES = 2 * LINK_LIMITS.preAuthFrameBytes;
/** A peer that takes nothing off its socket is as good as gone; its commands are still in the outbox. */
const BUFFERED_MAX_BYTES = 8 * 1024 * 1024;
/** A close frame holds 123 bytes, and a reason may quote what came in: so it is cut, and plain ASCII. */
const CLOSE_REASON_MAX = 120;

/** What a frame about nothing of this server costs on top: each is a look into the database for an answer that is no. */
const FRAMES_FOR_NOTHING = 10;
/** What an agent says while its `ready` is being stored; reading stops meanwhile, so there are few. */
const HELD_FRAMES_MAX = 1_000;

type State = "challenged" | "authenticating" | "welcomed" | "beginning" | "online" | "ended";

export function createConnection(deps: ConnectionDeps, wire: Wire, peer: Peer, hooks: ConnectionHooks): Connection {
  const { clock, timers, random, log } = deps;
  const place = deps.order.challenged();
  const pace = deps.pace();
  const challenge: Challenge = {
    connectionId: random.id(),
    nonce: random.bytes(32).toString("base64url"),
    controlPlaneId: deps.signer.controlPlaneId,
  };
  let state: State = "challenged";
  let who: Authenticated | undefined;
  let session: Session | undefined;
  /** From the moment on that it has proved who it is. */
  let budget: Budget | undefined;
  let unprovenBytes = 0;
  const held: { frame: SessionFrame; sizeBytes: number }[] = [];
  let sentSeq = 0;
  let receivedSeq = 0;
  let lastFrameAt = clock.monotonicMs();
  let paused = false;

  const send = (frame: OutgoingToAgent): void => {
    if (state === "ended") return;
    // Everything up to the welcome is of session 0: only the welcome tells the agent its number.
    const number = frame.type === "welcome" ? 0 : (who?.session ?? 0);
    wire.send(JSON.stringify({ type: frame.type, seq: ++sentSeq, session: number, data: frame.data }));
    const asked = askedFor(frame);
    if (asked !== undefined) budget?.giveBack(asked);
    if (wire.bufferedBytes() > BUFFERED_MAX_BYTES) terminate("it takes nothing off its socket");
  };

  const finish = (): void => {
    if (state === "ended") return;
    state = "ended";
    cancelHandshake();
    cancelDeadline();
    hooks.ended(connection);
  };
  const close = (code: number, reason: string): void => {
    if (state === "ended") return;
    wire.close(code, reason.replaceAll(/[^ -~]/g, "?").slice(0, CLOSE_REASON_MAX));
    finish();
  };
  const closeUnread = (code: number, reason: string): void => {
    wire.closeUnread(code, reason);
    finish();
  };
  /** False when that was too much, and the socket is closed. */
  const spend = (kind: keyof Amount, amount: number): boolean => {
    if (state === "ended") return false;
    if (budget === undefined || budget.spend(kind, amount)) return true;
    log.warn({ serverId: who?.serverId, address: peer.address, kind }, "an agent sends more than it may");
    closeUnread(CLOSE.overBudget, `more ${kind} than an agent may send`);
    hooks.overBudget();
    return false;
  };
  const terminate = (reason: string): void => {
    if (state === "ended") return;
    log.info({ serverId: who?.serverId, address: peer.address, reason }, "end an agent's socket");
    wire.terminate();
    finish();
  };

  const cancelHandshake = timers.after(LINK_LIMITS.preAuthMs, () => {
    if (state !== "online") close(CLOSE.unauthenticated, "the handshake took too long");
  });
  let cancelDeadline = (): void => undefined;
  const watchDeadline = () =>
    timers.every(Math.max(10, Math.floor(pace.deadlineMs / 4)), () => {
      const silentMs = clock.monotonicMs() - lastFrameAt;
      if (!paused && silentMs > pace.deadlineMs) terminate(`silent for ${silentMs} ms`);
    });

  const welcome = async (jws: string): Promise<void> => {
    state = "authenticating";
    const proved = await authenticate(deps, jws, { ...challenge, place }, peer);
    const payload: WelcomePayload = {
      connectionId: challenge.connectionId,
      agentNonce: proved.agentNonce,
      agentId: proved.serverId,
      session: proved.session,
      epoch: proved.epoch,
      ...pace,
    };
    const signed = await deps.signer.sign(payload);
    if (state !== "authenticating") return;
    state = "welcomed";
    who = proved;
    budget = deps.budgets.of(proved.serverId);
    send({ type: "welcome", data: { jws: signed } });
  };

  const beginSession = async (proved: Authenticated, epoch: number): Promise<void> => {
    if (epoch !== proved.epoch) {
      close(CLOSE.badFrame, `ready for epoch ${epoch} after a welcome to ${proved.epoch}`);
      return;
    }
    const { serverId, session: number } = proved;
    state = "beginning";
    wire.pause();
    const at = clock.now();
    const beginning = await deps.db
      .transaction()
      .execute((trx) => begin(trx, { serverId, session: number, epoch, at }))
      // In any case: a socket that is not read does not hear that the peer has taken its close either.
      .finally(() => wire.resume());
    if (state !== "beginning") return;
    if (beginning.verdict !== "begun") throw notAdmitted(beginning.verdict);
    state = "online";
    cancelHandshake();
    lastFrameAt = clock.monotonicMs();
    cancelDeadline = watchDeadline();
    const begun = hooks.ready(connection, { ...proved, ...beginning }, socketOf(proved));
    session = begun;
    for (const { frame, sizeBytes } of held.splice(0)) if (isOpen()) begun.receive(frame, sizeBytes);
  };

  const isOpen = (): boolean => state === "online";
  const socketOf = ({ serverId, session: number }: Authenticated): SessionSocket => {
    return {
      serverId,
      session: number,
      send,
      isOpen,
      pause() {
        paused = true;
        wire.pause();
      },
      resume() {
        if (!paused) return;
        paused = false;
        lastFrameAt = clock.monotonicMs();
        wire.resume();
      },
      broughtNew: (sizeBytes) => budget?.giveBack({ frames: 1, bytes: sizeBytes }),
      broughtNothing: () => void spend("frames", FRAMES_FOR_NOTHING),
      fail: () => close(INTERNAL_ERROR, "the control plane failed to handle a frame"),
    };
  };

  const refuse = (error: unknown): void => {
    if (error instanceof HandshakeRefused) {
      log.warn({ address: peer.address, reason: error.message }, "refuse an agent");
      close(error.closeCode, error.message);
      return;
    }
    log.error({ err: error, address: peer.address }, "authenticate an agent");
    close(INTERNAL_ERROR, "the control plane failed");
  };

  const dispatch = (frame: ToControlPlane, sizeBytes: number): void => {
    if (state === "challenged" && frame.type === "auth") {
      welcome(frame.data.jws).catch(refuse);
    } else if (state === "welcomed" && frame.type === "ready" && who !== undefined) {
      beginSession(who, frame.data.epoch).catch(refuse);
    } else if (state !== "beginning" && (state !== "online" || session === undefined)) {
      close(CLOSE.unauthenticated, `${frame.type} before the handshake was over`);
    } else if (frame.type === "auth" || frame.type === "ready") {
      close(CLOSE.badFrame, "a second handshake");
    } else if (session !== undefined) {
      session.receive(frame, sizeBytes);
    } else {
      held.push({ frame, sizeBytes });
      if (held.length > HELD_FRAMES_MAX) close(CLOSE.badFrame, "too much before the session");
    }
  };

  const connection: Connection = {
    get authenticated() {
      return who !== undefined && state !== "ended";
    },
    get isOver() {
      return state === "ended";
    },
    arrived(bytes) {
      if (state === "ended") return;
      if (who !== undefined) return void spend("bytes", bytes);
      unprovenBytes += bytes;
      if (unprovenBytes > PRE_AUTH_BYTES) closeUnread(CLOSE.tooBig, "too much before the handshake was over");
    },
    receiveControl: () => void spend("frames", 1),
    receiveText(text) {
      if (!spend("frames", 1)) return;
      if (who === undefined && Buffer.byteLength(text) > LINK_LIMITS.preAuthFrameBytes) {
        close(CLOSE.tooBig, "a large frame before the handshake was over");
        return;
      }
      lastFrameAt = clock.monotonicMs();
      if (who !== undefined && isOpen()) hooks.seen(who.serverId);
      const read = readFrame(text, receivedSeq, who?.session ?? 0);
      if (read.verdict === "repeated") return;
      if (read.verdict === "too_big") close(CLOSE.tooBig, "a frame over the limit");
      else if (read.verdict === "bad") close(CLOSE.badFrame, read.reason);
      else {
        receivedSeq += 1;
        if (read.verdict === "frame") dispatch(read.frame, text.length);
        else send({ type: "error", data: { code: "unsupported", message: `unknown frame type “${read.type}”` } });
      }
    },
    receiveBinary(bytes) {
      if (!spend("frames", 1)) return;
      lastFrameAt = clock.monotonicMs();
      const data = state === "online" ? decodeLogData(bytes) : undefined;
      if (data === undefined || data.payload.length > LINK_LIMITS.logPayloadBytes) {
        close(CLOSE.badFrame, "a binary frame that is no log data");
        return;
      }
      if (who !== undefined) hooks.seen(who.serverId);
      session?.receiveLog(data);
    },
    wireClosed: finish,
    close,
    drain(reconnectInMs) {
      if (isOpen()) send({ type: "drain", data: { reconnectInMs } });
      close(CLOSE.goingAway, "the control plane is going down");
    },
  };
  send({ type: "challenge", data: challenge });
  return connection;
}

/** RFC 6455: the endpoint met a condition that it did not expect. */
const INTERNAL_ERROR = 1011;
