/** The real websocket: the only importer of ws. */
import { LINK_LIMITS, parseRetryAfterMs } from "@dflow/protocol";
import { WebSocket } from "ws";
import type { Dial } from "./socket.ts";

export const dialWebSocket: Dial = (url, subprotocol, events) => {
  const socket = new WebSocket(url, subprotocol, {
    perMessageDeflate: false,
    maxPayload: LINK_LIMITS.frameBytes,
    followRedirects: false,
  });
  let problem = "";
  let retryAfterMs: number | undefined;
  socket.on("open", () => events.opened());
  socket.on("message", (data, isBinary) => {
    events.alive();
    if (isBinary) events.bytes();
    else events.text(data.toString());
  });
  socket.on("ping", () => events.alive());
  socket.on("pong", () => events.alive());
  // "close" always follows, so the reason is only remembered.
  socket.on("unexpected-response", (_request, response) => {
    problem = `the upgrade was answered with ${response.statusCode}`;
    retryAfterMs = parseRetryAfterMs(response.headers["retry-after"]);
    socket.terminate();
  });
  socket.on("error", (error) => {
    problem ||= error.message;
  });
  socket.on("close", (code, reason) => events.closed(code, reason.toString() || problem, retryAfterMs));
  return {
    sendText: (text, onSent) => socket.send(text, unlessFailed(onSent)),
    sendBytes: (bytes, onSent) => socket.send(bytes, { binary: true }, unlessFailed(onSent)),
    bufferedBytes: () => socket.bufferedAmount,
    close: (code, reason) => socket.close(code, reason.slice(0, 120)),
    terminate: () => socket.terminate(),
  };
};

const unlessFailed = (onSent: () => void) => (error?: Error | null) => {
  if (error === undefined || error === null) onSent();
};
