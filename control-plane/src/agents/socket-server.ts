/** The one importer of the websocket library: upgrades requests on the agents' path and hands their sockets on. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { AGENT_SOCKET_PATH, CLOSE, LINK_LIMITS, SUBPROTOCOL } from "@dflow/protocol";
import { type WebSocket, WebSocketServer } from "ws";
import type { Deps } from "../deps.ts";
import { limitedAddress } from "../http/client-address.ts";
import { createConnectionRoom } from "../http/connection-room.ts";
import type { Timers } from "../platform.ts";
import type { Wire } from "./connection.ts";
import type { UpgradeDoor } from "./upgrade-door.ts";

/** Sockets that have not proved anything yet; each may hold a few KiB for ten seconds. */
const UNAUTHENTICATED_MAX = 256;
/** How long a peer may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;
const REASONS = { 429: "429 Too Many Requests", 503: "503 Service Unavailable" };

/** What a socket's owner does with what comes in. */
export interface WireReader {
  readonly authenticated: boolean;
  readonly isOver: boolean;
  arrived(bytes: number): void;
  receiveControl(): void;
  receiveText(text: string): void;
  receiveBinary(bytes: Uint8Array): void;
  wireClosed(): void;
  close(code: number, reason: string): void;
}

export interface SocketServer {
  attach(server: Server): void;
  /** Takes no more sockets and lets go of the servers. Open sockets are their owners' to close. */
  stop(): Promise<void>;
}

export type SocketServerDeps = Pick<Deps, "timers"> & {
  door: UpgradeDoor;
  /** The client's, behind whatever proxies are trusted. */
  addressOf(request: IncomingMessage): string;
};

export function createSocketServer(
  { timers, door, addressOf }: SocketServerDeps,
  onSocket: (wire: Wire, request: IncomingMessage, address: string) => WireReader,
): SocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LINK_LIMITS.frameBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  /** Those that have not proved anything yet. Over the bound the oldest of whoever holds most goes. */
  const silent = createConnectionRoom<WireReader>({ perAddress: UNAUTHENTICATED_MAX, inAll: UNAUTHENTICATED_MAX });
  const attached: Server[] = [];
  let stopped = false;

  const accept = (socket: WebSocket, request: IncomingMessage): void => {
    const address = addressOf(request);
    const reader = onSocket(wireOf(socket, timers), request, address);
    const evicted = silent.enter(reader, limitedAddress(address), false);
    // One that has proved itself a moment ago only makes room by leaving the list.
    if (evicted?.authenticated === false) evicted.close(CLOSE.goingAway, "too many handshakes at once");
    // Before the library reads them: it hands frames on when they are whole, up to 1 MiB, and some never.
    request.socket.prependListener("data", (chunk: Buffer) => reader.arrived(chunk.length));
    socket.on("ping", () => reader.receiveControl());
    socket.on("pong", () => reader.receiveControl());
    socket.on("message", (data, isBinary) => {
      if (reader.isOver) return;
      if (reader.authenticated) silent.leave(reader);
      const bytes = asBuffer(data);
      if (isBinary) reader.receiveBinary(bytes);
      else reader.receiveText(bytes.toString("utf8"));
    });
    // Frames over the limit, invalid UTF-8 and the like: the library closes with the right code, `close` follows.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      silent.leave(reader);
      reader.wireClosed();
    });
  };

  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const refusal = refusalOf(request);
    if (refusal !== undefined) {
      socket.on("error", () => socket.destroy());
      // The HTTP server has let go of it with its deadlines: a peer that never closes would keep it for ever.
      socket.once("finish", () => socket.destroy());
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, accept);
  };

  const refusalOf = (request: IncomingMessage): string | undefined => {
    if (request.url?.split("?")[0] !== AGENT_SOCKET_PATH) return "404 Not Found";
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (!offered.includes(SUBPROTOCOL)) return "400 Bad Request";
    if (stopped) return "503 Service Unavailable\r\nRetry-After: 5";
    const refusal = door.refusal(limitedAddress(addressOf(request)));
    return refusal && `${REASONS[refusal.status]}\r\nRetry-After: ${refusal.retryAfterS}`;
  };

  return {
    attach(server) {
      server.on("upgrade", onUpgrade);
      attached.push(server);
    },
    async stop() {
      stopped = true;
      for (const server of attached) server.off("upgrade", onUpgrade);
      await new Promise<void>((resolve) => {
        sockets.close(() => resolve());
      });
    },
  };
}

function wireOf(socket: WebSocket, timers: Timers): Wire {
  let cancelTimeout: (() => void) | undefined;
  socket.once("close", () => cancelTimeout?.());
  const isOpen = (): boolean => socket.readyState === socket.OPEN;
  let isUnread = false;
  const close = (code: number, reason: string): void => {
    socket.close(code, reason);
    cancelTimeout ??= timers.after(CLOSE_TIMEOUT_MS, () => socket.terminate());
  };
  return {
    send(text) {
      if (isOpen()) socket.send(text);
    },
    close,
    closeUnread(code, reason) {
      close(code, reason);
      isUnread = true;
      socket.pause();
    },
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume() {
      if (!isUnread) socket.resume();
    },
    bufferedBytes: () => socket.bufferedAmount,
  };
}

function asBuffer(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
