/** The HTTP server: what it waits for and how long, and who goes when too many connections are open. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import type { Limits } from "../config.ts";
import { type AddressReader, limitedAddress } from "./client-address.ts";
import { type ConnectionRoom, createConnectionRoom } from "./connection-room.ts";
import type { Fetch } from "./front-door.ts";

export interface HttpServerOptions {
  fetch: Fetch;
  addresses: AddressReader;
  limits: Pick<Limits, "connections" | "connectionsPerAddress">;
  timeouts?: Partial<Timeouts>;
}

export interface Timeouts {
  /** From the first byte, or the connection when none comes, to the end of the head. */
  headersMs: number;
  /** To the end of the body. Bodies are small: who needs longer is holding a connection. */
  requestMs: number;
  /** Between two requests. */
  keepAliveMs: number;
  /** In which nothing at all moves on a connection, an answer that nobody takes included. */
  silenceMs: number;
  /** How often the first two are looked at. */
  lookEveryMs: number;
}

export const TIMEOUTS: Timeouts = {
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 5_000,
  silenceMs: 120_000,
  lookEveryMs: 2_000,
};

export function createHttpServer({ fetch, addresses, limits, timeouts }: HttpServerOptions): Server {
  const { headersMs, requestMs, keepAliveMs, silenceMs, lookEveryMs } = { ...TIMEOUTS, ...timeouts };
  const server = createAdaptorServer({
    // This server speaks HTTP/1 only.
    fetch: (request, bindings) => fetch(request, bindings as HttpBindings),
    serverOptions: {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: lookEveryMs,
      // Other offers (HTTP/2 without TLS) are left unanswered, as they may be, and the request is an ordinary one.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    },
  }) as Server;
  server.timeout = silenceMs;
  const room = createConnectionRoom<Socket>({ perAddress: limits.connectionsPerAddress, inAll: limits.connections });
  keepRoom(server, room, addresses);
  return server;
}

/** Agents' sockets leave the room when they are upgraded: how many of those there may be is socket-server.ts's to say. */
function keepRoom(server: Server, room: ConnectionRoom<Socket>, addresses: AddressReader): void {
  server.prependListener("connection", (socket: Socket) => {
    const peer = addresses.read(socket.remoteAddress, undefined);
    const evicted = room.enter(socket, limitedAddress(peer), !addresses.isTrusted(peer));
    socket.once("close", () => room.leave(socket));
    // Without a word and without waiting for the peer's: it may never come.
    evicted?.destroy();
  });
  server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const whole = () => room.move(socket, "busy");
    if (hasBody(request)) {
      room.move(socket, "fresh");
      request.once("end", whole);
    } else {
      whole();
    }
    response.once("close", () => {
      // A body may end after its answer, of a request that was refused without it: nothing is being made then.
      request.off("end", whole);
      room.move(socket, "idle");
    });
  });
  server.prependListener("upgrade", (request: IncomingMessage) => room.leave(request.socket));
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}
