/** The agents' side with a memory instead of sockets: links that a test sets, logs that a test writes. */
import type { AppError } from "@dflow/protocol";
import { Hono } from "hono";
import type { LinkInfo, LogListener, LogRequest } from "../agents/agents.ts";
import type { AgentsSide } from "../agents/create-agents.ts";

export interface OpenLog {
  serverId: string;
  request: LogRequest;
  listener: LogListener;
  closed: boolean;
}

export interface FakeAgents extends AgentsSide {
  /** Servers whose outbox was woken, in order. */
  woken: string[];
  disconnected: string[];
  logs: OpenLog[];
  setLink(serverId: string, change: Partial<LinkInfo>): void;
  /** Makes openLog throw. */
  refuseLogs(error: AppError | undefined): void;
}

const AWAY: LinkInfo = {
  state: "unreachable",
  lastSeenAt: null,
  connectedAt: null,
  peerAddress: null,
  confirmedAt: null,
  dockerOk: null,
  rssBytes: null,
};

export function createFakeAgents(): FakeAgents {
  const links = new Map<string, LinkInfo>();
  const woken: string[] = [];
  const disconnected: string[] = [];
  const logs: OpenLog[] = [];
  let refusal: AppError | undefined;
  return {
    woken,
    disconnected,
    logs,
    setLink: (serverId, change) => links.set(serverId, { ...AWAY, ...links.get(serverId), ...change }),
    refuseLogs: (error) => {
      refusal = error;
    },
    wake: (serverId) => woken.push(serverId),
    link: (serverId) => links.get(serverId) ?? AWAY,
    refusals: () => ({ tooMany: 1, busy: 2, overBudget: 3 }),
    openLog(serverId, request, listener) {
      if (refusal !== undefined) throw refusal;
      const log: OpenLog = { serverId, request, listener, closed: false };
      logs.push(log);
      return {
        close: () => {
          log.closed = true;
        },
      };
    },
    disconnect: (serverId) => disconnected.push(serverId),
    routes: new Hono(),
    attach: () => {},
    accept() {
      throw new Error("no agent connects here");
    },
    start: async () => {},
    stop: async () => {},
  };
}
