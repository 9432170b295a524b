/**
 * One authenticated agent: what its frames do. Durable ones are worked off in order, each committed before it is
 * acknowledged; heartbeats are answered and log data is handed on without waiting behind them.
 */
import type {
  Ack,
  Heartbeat,
  LogData,
  OutgoingToAgent,
  Progress,
  Result,
  StateReport,
  ToControlPlane,
} from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import { type OperationChange, publishOperationChange } from "../operations/results.ts";
import { acknowledgedOperations, closeLog, sendAgain, storeAck, storeResult } from "./commands.ts";
import type { LogHints } from "./hints.ts";
import type { Links } from "./links.ts";
import { createLogStreams, type LogStreams } from "./log-streams.ts";
import { storeReport } from "./observations.ts";
import { storeProgress } from "./operation-log.ts";
import { createOutbox } from "./outbox.ts";
import { createStaleOperations } from "./stale-operations.ts";

export type SessionDeps = Pick<Deps, "db" | "clock" | "hub" | "seals" | "log"> & { hints: LogHints; links: Links };

export interface SessionSocket {
  serverId: string;
  session: number;
  send(frame: OutgoingToAgent): void;
  isOpen(): boolean;
  /** Stop and resume reading, while more has come than was worked off. */
  pause(): void;
  resume(): void;
  /** A frame of this size brought something that was not here: it does not count against what the agent may send. */
  broughtNew(sizeBytes: number): void;
  /** A frame was about an operation that this server does not have. */
  broughtNothing(): void;
  /** Ends the socket after a failure of ours: the agent returns and sends again what was not acknowledged. */
  fail(): void;
}

export type SessionFrame = Exclude<ToControlPlane, { type: "auth" | "ready" }>;

export interface Session {
  readonly streams: LogStreams;
  receive(frame: SessionFrame, sizeBytes: number): void;
  receiveLog(data: LogData): void;
  /** Sends what waits in the outbox. */
  wake(): void;
  /** The socket is gone; resolves when what had arrived is worked off. */
  end(): Promise<void>;
}

interface Received {
  frame: SessionFrame;
  sizeBytes: number;
  receivedAt: number;
}

/** Frames that may wait to be worked off before reading stops, and how few there must be until it goes on. */
const QUEUE_HIGH = 200;
const QUEUE_LOW = 50;

/** Heartbeats within which an agent brings missing log lines, if it has them. */
const BEATS_FOR_LINES = 2;

export function createSession(deps: SessionDeps, socket: SessionSocket): Session {
  const { serverId } = socket;
  const { db, clock, hub, log } = deps;
  const outbox = createOutbox(deps, socket);
  const stale = createStaleOperations();
  const streams = createLogStreams(socket.send, (err) => log.error({ err, serverId }, "deliver a container's log"));
  const queue: Received[] = [];
  /** Operations whose result waits for log lines that were asked for, and the heartbeats since. */
  const linesAsked = new Map<string, number>();
  let working: Promise<void> | undefined;
  let pumping: Promise<void> = Promise.resolve();

  const failed = (err: unknown): void => {
    log.error({ err, serverId }, "handle an agent's frame");
    socket.fail();
  };
  const wake = (): void => {
    pumping = outbox.pump().catch(failed);
  };
  const publish = (change: OperationChange | undefined): void => {
    if (change !== undefined) publishOperationChange(hub, change);
  };

  const onAck = async (ack: Ack, { sizeBytes }: Received): Promise<void> => {
    const change = await db.transaction().execute((trx) => storeAck(trx, serverId, ack, clock.now()));
    if (change !== undefined) socket.broughtNew(sizeBytes);
    publish(change);
    wake();
  };

  const onProgress = async (progress: Progress, { receivedAt, sizeBytes }: Received): Promise<void> => {
    const { operationId } = progress;
    const stored = await db.transaction().execute((trx) => storeProgress(trx, serverId, progress, receivedAt));
    if (stored === undefined) {
      // An operation we do not have. Its lines are let go of, or their sender would offer them for ever.
      log.warn({ serverId, operationId }, "progress of an operation that is not this server's");
      socket.broughtNothing();
      socket.send({ type: "progress_ack", data: { operationId, next: progress.from + progress.lines.length } });
      return;
    }
    publish(stored.change);
    if (stored.grown) {
      socket.broughtNew(sizeBytes);
      deps.hints.grown(stored.workspaceId, operationId, stored.serviceId, stored.lineCount);
    }
    socket.send({ type: "progress_ack", data: { operationId, next: stored.next } });
    const hasNone = stored.gap || progress.lines.length === 0;
    if (linesAsked.has(operationId) && (hasNone || stored.complete)) {
      await acknowledgeResult(operationId);
    }
  };

  const onResult = async (result: Result, { receivedAt, sizeBytes }: Received): Promise<void> => {
    const { operationId } = result;
    const stored = await db.transaction().execute((trx) => storeResult(trx, serverId, result, receivedAt));
    publish(stored?.change);
    if (stored?.change !== undefined) socket.broughtNew(sizeBytes);
    if (stored === undefined) {
      log.warn({ serverId, operationId }, "result of an operation that is not this server's");
      socket.broughtNothing();
    }
    if (stored?.missingFrom === undefined) {
      socket.send({ type: "result_ack", data: { operationId } });
    } else if (linesAsked.has(operationId)) {
      // The result again instead of lines: there are none.
      await acknowledgeResult(operationId);
    } else {
      linesAsked.set(operationId, 0);
      socket.send({ type: "progress_ack", data: { operationId, next: stored.missingFrom } });
    }
    wake();
  };

  const acknowledgeResult = async (operationId: string): Promise<void> => {
    linesAsked.delete(operationId);
    publish(await db.transaction().execute((trx) => closeLog(trx, operationId)));
    socket.send({ type: "result_ack", data: { operationId } });
  };

  const onState = async (report: StateReport, receivedAt: number): Promise<void> => {
    const hints = await db.transaction().execute((trx) => storeReport(trx, serverId, report, receivedAt));
    for (const { workspaceId, event } of hints) hub.publish(workspaceId, event);
  };

  const onHeartbeat = async (heartbeat: Heartbeat, receivedAt: number): Promise<void> => {
    // In its turn behind the reports that came before it: a state that is not stored yet would be dated wrongly.
    if (heartbeat.observedAgeMs !== null) deps.links.confirmed(serverId, receivedAt - heartbeat.observedAgeMs);
    for (const [operationId, beats] of [...linesAsked]) {
      // No answer is an answer: a log with a hole is better than a result that comes again for ever.
      if (beats >= BEATS_FOR_LINES) await acknowledgeResult(operationId);
      else linesAsked.set(operationId, beats + 1);
    }
    const running = heartbeat.running.map((entry) => entry.operationId);
    const missed = stale.missed(await acknowledgedOperations(db, serverId), running);
    if (missed.length === 0) return;
    const at = clock.now();
    await db.transaction().execute(async (trx) => {
      for (const operationId of missed) await sendAgain(trx, operationId, at);
    });
    wake();
  };

  const handle = async (received: Received): Promise<void> => {
    const { frame, receivedAt } = received;
    switch (frame.type) {
      case "ack":
        return onAck(frame.data, received);
      case "progress":
        return onProgress(frame.data, received);
      case "result":
        return onResult(frame.data, received);
      case "state":
        return onState(frame.data, receivedAt);
      case "heartbeat":
        return onHeartbeat(frame.data, receivedAt);
      case "error":
        log.warn({ serverId, code: frame.data.code, reason: frame.data.message }, "an agent refused a frame");
        return;
      case "log_close":
        return;
    }
  };

  const work = async (): Promise<void> => {
    try {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await handle(next);
        if (queue.length === QUEUE_LOW) socket.resume();
      }
    } catch (error) {
      // What follows was sent in the belief that this was stored; it comes again with the next session.
      queue.length = 0;
      failed(error);
    } finally {
      working = undefined;
    }
  };

  return {
    streams,
    receive(frame, sizeBytes) {
      if (frame.type === "log_close") {
        streams.closed(frame.data);
        return;
      }
      if (frame.type === "heartbeat") {
        socket.send({ type: "heartbeat_ack", data: {} });
        deps.links.beat(serverId, frame.data);
      }
      queue.push({ frame, sizeBytes, receivedAt: clock.now() });
      if (queue.length === QUEUE_HIGH) socket.pause();
      working ??= work();
    },
    receiveLog: (data) => streams.data(data),
    wake,
    async end() {
      streams.lost();
      await working;
      await pumping;
    },
  };
}
