/** The one importer of the websocket library: upgrades requests on the agents' path and hands their sockets on. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { AGENT_SOCKET_PATH, CLOSE, LINK_LIMITS, SUBPROTOCOL } from "@dflow/protocol";
import { type WebSocket, WebSocketServer } from "ws";
import { limitedAddress } from "../http/client-address.ts";
import type { Timers } from "../platform.ts";
import type { Wire } from "./connection.ts";

/** Sockets that have not proved anything yet; each may hold a few KiB for ten seconds. */
const UNAUTHENTICATED_MAX = 256;
/** Raw bytes before authentication: one frame of the allowed size with room for framing. */
const PRE_AUTH_BYTES = 2 * LINK_LIMITS.preAuthFrameBytes;
/** How long a peer may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;

/** What a socket's owner does with what comes in. */
export interface WireReader {
  readonly authenticated: boolean;
  /** Where it comes from. */
  readonly address: string;
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

export function createSocketServer(
  timers: Timers,
  onSocket: (wire: Wire, request: IncomingMessage) => WireReader,
): SocketServer {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LINK_LIMITS.frameBytes,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  const readers = new Set<WireReader>();
  const attached: Server[] = [];
  let stopped = false;

  /** Over the bound the oldest socket of whoever holds most goes. Refusing instead would let one address keep all agents out. */
  const makeRoom = (): void => {
    const silent = [...readers].filter((reader) => !reader.authenticated);
    if (silent.length < UNAUTHENTICATED_MAX) return;
    const holders = [...Map.groupBy(silent, (reader) => limitedAddress(reader.address)).values()];
    const [oldest] = holders.sort((a, b) => b.length - a.length)[0] ?? [];
    if (oldest === undefined) return;
    readers.delete(oldest);
    oldest.close(CLOSE.goingAway, "too many handshakes at once");
  };

  const accept = (socket: WebSocket, request: IncomingMessage): void => {
    makeRoom();
    const reader = onSocket(wireOf(socket, timers), request);
    readers.add(reader);
    boundBeforeAuth(request, reader);
    socket.on("message", (data, isBinary) => {
      const bytes = asBuffer(data);
      if (isBinary) reader.receiveBinary(bytes);
      else reader.receiveText(bytes.toString("utf8"));
    });
    // Frames over the limit, invalid UTF-8 and the like: the library closes with the right code, `close` follows.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      readers.delete(reader);
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
    return undefined;
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
  return {
    send(text) {
      if (isOpen()) socket.send(text);
    },
    close(code, reason) {
      socket.close(code, reason);
      cancelTimeout ??= timers.after(CLOSE_TIMEOUT_MS, () => socket.terminate());
    },
    terminate: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    bufferedBytes: () => socket.bufferedAmount,
  };
}

/** The library hands a frame on when it is whole, up to 1 MiB; who has proved nothing is cut off long before. */
function boundBeforeAuth(request: IncomingMessage, reader: WireReader): void {
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (reader.authenticated) request.socket.off("data", count);
    else if (bytes > PRE_AUTH_BYTES) {
      request.socket.off("data", count);
      reader.close(CLOSE.tooBig, "too much before the handshake was over");
    }
  };
  request.socket.on("data", count);
}

function asBuffer(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
