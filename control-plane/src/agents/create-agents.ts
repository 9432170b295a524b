/** Wires the agents' side: enrolment, sockets, sessions and what the other rooms may ask of them. */
import type { IncomingMessage, Server } from "node:http";
import { AppError, CLOSE, paceOf } from "@dflow/protocol";
import type { Hono } from "hono";
import type { Deps } from "../deps.ts";
import { createAddressReader, forwardedFor } from "../http/client-address.ts";
import type { ApiEnv } from "../http/context.ts";
import { publishOperationChange } from "../operations/results.ts";
import type { Quarantine } from "./admission.ts";
import type { Agents } from "./agents.ts";
import { createBudgets } from "./budget.ts";
import { type Begun, type Connection, createConnection, type Wire } from "./connection.ts";
import { createConnectionOrder } from "./connection-order.ts";
import { type Authenticated, IDENTITY_CONFLICT, KEY_REPLACED, ownHosts, type Peer } from "./handshake.ts";
import { createLogHints } from "./hints.ts";
import { createLinks } from "./links.ts";
import { endLost } from "./lost-operations.ts";
import { expireWaiting } from "./outbox.ts";
import { enrolmentRoutes } from "./routes.ts";
import { createSession, type Session, type SessionSocket } from "./session.ts";
import { createSocketServer } from "./socket-server.ts";
import { createUpgradeDoor, drainWindowMs } from "./upgrade-door.ts";

export interface AgentsSide extends Agents {
  /** POST /agent/v1/nonce and /agent/v1/enrol. */
  routes: Hono<ApiEnv>;
  /** Takes the server's upgrade requests. Call it after start(). */
  attach(server: Server): void;
  /** Takes a websocket that is open: of the listener, or of whatever else carries one. */
  accept(wire: Wire, peer: Peer): Connection;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** How often operations are looked for that have waited too long for a server that is away. */
const EXPIRY_INTERVAL_MS = 5_000;

const REMOVED = "this server was removed";

interface Live {
  connection: Connection;
  session: Session;
  number: number;
}

export function createAgents(deps: Deps): AgentsSide {
  const { config, log, timers } = deps;
  const links = createLinks(deps);
  const hints = createLogHints(deps);
  const order = createConnectionOrder();
  const budgets = createBudgets(deps.clock);
  const doorLimits = {
    perSecond: config.limits.upgradesPerSecond,
    perAddressAMinute: config.limits.handshakesPerMinute,
  };
  const door = createUpgradeDoor(doorLimits, deps);
  let overBudget = 0;
  const live = new Map<string, Live>();
  const serverOf = new Map<Connection, string>();
  const connections = new Set<Connection>();
  /** Servers that were removed in this life of the process: one may be in the middle of its handshake. */
  const removed = new Set<string>();
  /** Keys that were replaced in this life of the process, for the same reason. */
  const replacedKids = new Set<string>();
  /** Ends of sessions that still write; stop() waits for them. */
  const ending = new Set<Promise<void>>();
  let expiring: Promise<void> = Promise.resolve();
  let cancelExpiry: (() => void) | undefined;

  const background = (work: Promise<void>, what: string): void => {
    const guarded: Promise<void> = work
      .catch((err: unknown) => log.error({ err }, what))
      .finally(() => ending.delete(guarded));
    ending.add(guarded);
  };

  const begin = (
    connection: Connection,
    who: Authenticated & Begun,
    socket: SessionSocket,
    address: string,
  ): Session => {
    const session = createSession({ ...deps, hints, links }, socket);
    if (removed.has(who.serverId)) {
      connection.close(CLOSE.revoked, REMOVED);
      return session;
    }
    if (replacedKids.has(who.kid)) {
      connection.close(CLOSE.unauthenticated, KEY_REPLACED);
      return session;
    }
    if (links.info(who.serverId).state === "quarantined") {
      connection.close(CLOSE.identityConflict, IDENTITY_CONFLICT);
      return session;
    }
    const older = live.get(who.serverId);
    if (older !== undefined && older.number > who.session) {
      connection.close(CLOSE.superseded, "a newer session of this agent is open");
      return session;
    }
    live.set(who.serverId, { connection, session, number: who.session });
    serverOf.set(connection, who.serverId);
    if (older !== undefined) {
      older.connection.close(CLOSE.superseded, "a newer session of this agent took over");
      background(older.session.end(), "end a superseded session");
    }
    const { workspaceId, connectedAt, revision } = who;
    links.online(who.serverId, { workspaceId, connectedAt, peerAddress: address, revision });
    log.info({ serverId: who.serverId, session: who.session, address }, "an agent is connected");
    session.wake();
    return session;
  };

  const ended = (connection: Connection): void => {
    connections.delete(connection);
    const serverId = serverOf.get(connection);
    serverOf.delete(connection);
    const current = serverId === undefined ? undefined : live.get(serverId);
    // A superseded connection is not what holds the link: its successor is.
    if (serverId === undefined || current?.connection !== connection) return;
    live.delete(serverId);
    log.info({ serverId, session: current.number }, "an agent is gone");
    background(current.session.end(), "end a session");
    background(links.offline(serverId), "note that a server is away");
  };

  const quarantined = (serverId: string, { workspaceId, revision, changes }: Quarantine): void => {
    links.quarantine(serverId, { workspaceId, revision });
    live.get(serverId)?.connection.close(CLOSE.identityConflict, IDENTITY_CONFLICT);
    deps.hub.publish(workspaceId, { type: "server", id: serverId, revision });
    for (const change of changes) publishOperationChange(deps.hub, change);
  };

  const rekeyed = (serverId: string, replacedKid: string): void => {
    replacedKids.add(replacedKid);
    links.liftQuarantine(serverId);
    live.get(serverId)?.connection.close(CLOSE.unauthenticated, KEY_REPLACED);
  };

  const addresses = createAddressReader(config.trustedProxies);
  const addressOf = ({ socket, headers }: IncomingMessage): string =>
    addresses.read(socket.remoteAddress, forwardedFor(headers));
  const configured = { heartbeatMs: config.heartbeatMs, deadlineMs: config.linkDeadlineMs };
  // Of all that are enrolled: were it those that are connected, the first to return would be given too fast a pace.
  const pace = () => paceOf(links.size(), configured);
  const accept = (wire: Wire, peer: Peer): Connection => {
    const connection = createConnection({ ...deps, order, quarantined, pace, budgets }, wire, peer, {
      ready: (connection, who, socket) => begin(connection, who, socket, peer.address),
      seen: links.seen,
      overBudget: () => {
        overBudget += 1;
      },
      ended,
    });
    connections.add(connection);
    return connection;
  };
  const sockets = createSocketServer({ timers, door, addressOf }, (wire, request, address) =>
    accept(wire, {
      hosts: ownHosts(config.publicUrl, config.listen.host, request.socket.localPort ?? config.listen.port),
      address,
    }),
  );

  return {
    routes: enrolmentRoutes({ ...deps, rekeyed }),
    attach: sockets.attach,
    accept,
    async start() {
      await links.start();
      const upSinceMs = deps.clock.monotonicMs();
      const expire = async (): Promise<void> => {
        await expireWaiting(deps);
        await endLost(deps, links, upSinceMs);
      };
      cancelExpiry = timers.every(EXPIRY_INTERVAL_MS, () => {
        expiring = expire().catch((err: unknown) => log.error({ err }, "end what waited too long"));
      });
    },
    async stop() {
      cancelExpiry?.();
      links.goingDown();
      const windowMs = drainWindowMs(live.size, doorLimits);
      for (const connection of connections) connection.drain(Math.floor(deps.random.fraction() * windowMs));
      await sockets.stop();
      await expiring;
      while (ending.size > 0) await Promise.all(ending);
      hints.stop();
      await links.stop();
    },
    wake: (serverId) => live.get(serverId)?.session.wake(),
    link: links.info,
    refusals: () => ({ ...door.refused(), overBudget }),
    openLog(serverId, request, listener) {
      const session = live.get(serverId)?.session;
      if (session === undefined) {
        throw new AppError("server_unreachable", "The server cannot be reached at the moment.", {
          hint: "Logs are read from the server itself, as soon as it is online again.",
        });
      }
      return session.streams.open(request, listener);
    },
    disconnect(serverId) {
      removed.add(serverId);
      budgets.forget(serverId);
      live.get(serverId)?.connection.close(CLOSE.revoked, REMOVED);
    },
  };
}
