/**
 * Many agents in one process: the agent's own link (its state machine, handshake, back-off and websocket) with a key each,
 * before a stand-in for everything behind it, which takes each command as done and has logs to read without end.
 */
import {
  encodeLogData,
  type Heartbeat,
  LINK_LIMITS,
  type OutgoingToControlPlane,
  type StateReport,
  type ToAgent,
} from "@dflow/protocol";
import type { Log } from "../../agent/src/deps.ts";
import { type Connection, createConnection } from "../../agent/src/link/connection.ts";
import { createHandshake } from "../../agent/src/link/handshake.ts";
import { dialWebSocket } from "../../agent/src/link/web-socket.ts";
import { createClock, createRandom } from "../../agent/src/platform.ts";
import { FACTS } from "../../control-plane/src/agents/testing/fake-agent.ts";
import { LOG_PAYLOAD } from "./link-log.ts";
import type { EnrolledAgent, Template } from "./link-template.ts";

export interface Fleet {
  /** Every agent dials within this time, each at a moment of its own. */
  start(spreadMs: number): void;
  stop(): void;
  /** Agents whose first heartbeat in their present session was answered. */
  online(): number;
  /** From now on `times` collects when each agent's next session was answered, by performance.now(). */
  watchReturns(): { times: number[] };
  /** When the control plane's acknowledgement of this operation's result came, by performance.now(). */
  acknowledgedAt(operationId: string): number | undefined;
  /** The same, as soon as it has come. */
  acknowledged(operationId: string): Promise<number>;
  /** When the command of this operation came. */
  receivedAt(operationId: string): number | undefined;
  /** How connections ended or failed to begin, and how often. */
  ends(): Record<string, number>;
}

const BEAT: Heartbeat = { observedAgeMs: 1_000, dockerOk: true, running: [], streams: 0, rssBytes: 80_000_000 };
/** As agent/src/agent.ts has it. */
const STABLE_MS = 60_000;

export function createFleet(controlPlaneUrl: string, { controlPlaneId, agents }: Template): Fleet {
  const clock = createClock();
  const random = createRandom();
  const ends = new Map<string, number>();
  const answered = new Set<number>();
  const received = new Map<string, number>();
  const acknowledgedAt = new Map<string, number>();
  const waiting = new Map<string, (at: number) => void>();
  let returns: { times: number[] } | undefined;

  const log: Log = {
    debug: () => undefined,
    info: () => undefined,
    error: () => undefined,
    warn(fields, message) {
      const { code, reason } = fields as { code?: number; reason?: string };
      const end = `${message}: ${code ?? ""} ${(reason ?? "").replaceAll(/\d+ ms|127\.\S+/g, "…")}`;
      ends.set(end, (ends.get(end) ?? 0) + 1);
    },
  };

  const createAgent = ({ serverId, serviceId, key }: EnrolledAgent, index: number): Connection => {
    const streams = new Map<number, LogStream>();
    const heartbeat = (): OutgoingToControlPlane => ({ type: "heartbeat", data: { ...BEAT, streams: streams.size } });
    let epoch = 0;
    const enrolment = { controlPlaneUrl, controlPlaneId, agentId: serverId, serverName: `server-${index}` };
    const epochs = {
      last: () => epoch,
      keep(next: number) {
        epoch = next;
      },
    };
    const handshake = createHandshake({ key, random, enrolment, epochs, facts: async () => FACTS });

    const work = (operationId: string): void => {
      received.set(operationId, performance.now());
      connection.send({ type: "ack", data: { operationId, outcome: "accepted" } });
      const done = { state: "succeeded", lineCount: 0, startedAgeMs: 0, endedAgeMs: 0 } as const;
      connection.send({ type: "result", data: { operationId, ...done } });
    };
    const acknowledge = (operationId: string): void => {
      const at = performance.now();
      acknowledgedAt.set(operationId, at);
      waiting.get(operationId)?.(at);
    };
    const openLog = (streamId: number, creditBytes: number): void => {
      const stream = createLogStream(streamId, creditBytes, connection);
      streams.set(streamId, stream);
      stream.pump();
    };
    const onFrame = (frame: ToAgent): void => {
      switch (frame.type) {
        case "heartbeat_ack":
          if (answered.has(index)) return;
          answered.add(index);
          returns?.times.push(performance.now());
          return;
        case "command":
          work(frame.data.operationId);
          return;
        case "result_ack":
          acknowledge(frame.data.operationId);
          return;
        case "log_open":
          openLog(frame.data.streamId, frame.data.creditBytes);
          return;
        case "log_credit":
          streams.get(frame.data.streamId)?.give(frame.data.bytes);
          return;
        case "log_close":
          streams.get(frame.data.streamId)?.end();
          streams.delete(frame.data.streamId);
      }
    };
    const connection = createConnection(
      { clock, random, log, dial: dialWebSocket, handshake, stableMs: STABLE_MS },
      {
        ready() {
          connection.send({ type: "state", data: stateOf(serviceId) });
          // Answered at once: that the session has begun is known by nothing else.
          connection.send(heartbeat());
        },
        frame: onFrame,
        unsupported: () => undefined,
        lost() {
          answered.delete(index);
          for (const stream of streams.values()) stream.end();
          streams.clear();
        },
        heartbeat,
      },
    );
    return connection;
  };

  const fleet = agents.map(createAgent);
  const cancels: (() => void)[] = [];
  return {
    start(spreadMs) {
      for (const agent of fleet) cancels.push(clock.after(random.fraction() * spreadMs, agent.start));
    },
    stop() {
      for (const cancel of cancels) cancel();
      for (const agent of fleet) agent.stop();
    },
    online: () => answered.size,
    watchReturns() {
      returns = { times: [] };
      return returns;
    },
    acknowledged: (operationId) =>
      new Promise((resolve) => {
        waiting.set(operationId, (at) => {
          waiting.delete(operationId);
          resolve(at);
        });
      }),
    acknowledgedAt: (operationId) => acknowledgedAt.get(operationId),
    receivedAt: (operationId) => received.get(operationId),
    ends: () => Object.fromEntries(ends),
  };
}

function stateOf(serviceId: string): StateReport {
  const observation = { state: "running", evidence: "container healthy", volume: "present" } as const;
  return { full: true, services: [{ serviceId, generation: 0, observation, ageMs: 500 }] };
}

interface LogStream {
  pump(): void;
  give(bytes: number): void;
  end(): void;
}

/** Sends whole payloads while there is credit for them. */
function createLogStream(streamId: number, creditBytes: number, connection: Connection): LogStream {
  const ended = new AbortController();
  let credit = creditBytes;
  let offset = 0;
  let sending = false;
  const send = async (): Promise<void> => {
    while (credit >= LOG_PAYLOAD.length && !ended.signal.aborted) {
      credit -= LOG_PAYLOAD.length;
      const bytes = encodeLogData({ streamId, offset, stderr: false, gap: false, payload: LOG_PAYLOAD });
      offset += LOG_PAYLOAD.length;
      await connection.sendBulk(bytes, ended.signal);
    }
  };
  const pump = (): void => {
    if (sending) return;
    sending = true;
    send()
      // Its viewer left or its session ended in the middle of a frame.
      .catch(() => ended.abort())
      .finally(() => {
        sending = false;
      });
  };
  return {
    pump,
    give(bytes) {
      credit += bytes;
      pump();
    },
    end: () => ended.abort(),
  };
}

if (LOG_PAYLOAD.length > LINK_LIMITS.logPayloadBytes) throw new Error("a log payload is larger than a frame may be");
