/** The verbs of the agents' side that other rooms use. The implementation is createAgents in this room. */
import type { AppError, LinkState } from "@dflow/protocol";

/** What is known of an agent's link this moment. */
export interface LinkInfo {
  state: LinkState;
  /** Milliseconds UTC of the last frame, or of the row when it is away. */
  lastSeenAt: number | null;
  connectedAt: number | null;
  peerAddress: string | null;
  /** When the agent last looked at Docker and found every reported state still so; null while away. */
  confirmedAt: number | null;
  dockerOk: boolean | null;
  rssBytes: number | null;
}

/** What was refused since the start. */
export interface Refusals {
  /** Upgrades beyond the limit of their address (429). */
  tooMany: number;
  /** Upgrades beyond what all may take together (503). */
  busy: number;
  /** Sockets of agents that sent more than they may (4429). */
  overBudget: number;
}

export interface LogLineOut {
  /** Cursor to resume after this line: `<RFC 3339 ns>#<lines with this very timestamp so far>`. */
  cursor: string;
  at: string;
  stream: "stdout" | "stderr";
  text: string;
}

export interface LogListener {
  /** May return a promise: no further credit is given until it resolves. */
  onLine(line: LogLineOut): void | Promise<void>;
  onGap(): void;
  onEnd(reason: "ended" | "failed" | "agent_lost", error?: AppError): void;
}

export interface LogRequest {
  serviceId: string;
  follow: boolean;
  tail: number | null;
  /** A cursor from LogLineOut: lines up to and with it are left out. */
  after?: string;
  /** RFC 3339: only lines from this time on. */
  since?: string;
}

export interface Agents {
  /** Tells the outbox that rows were written for this server (call it after the transaction). */
  wake(serverId: string): void;
  link(serverId: string): LinkInfo;
  refusals(): Refusals;
  /** Throws AppError `server_unreachable` or `rate_limited` (too many streams). */
  openLog(serverId: string, request: LogRequest, listener: LogListener): { close(): void };
  /** Ends the socket of a removed server with close code 4403. */
  disconnect(serverId: string): void;
}
