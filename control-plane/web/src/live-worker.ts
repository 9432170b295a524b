/** The shared worker: one event stream a workspace for all tabs of a browser, which has only six connections to give. */
import { type LinkStatus, type LiveMessage, startLiveLink } from "./live-link.ts";
import { streams } from "./paths.ts";

export type ToWorker = { type: "subscribe"; workspaceId: string } | { type: "leave" };

interface Room {
  ports: Set<MessagePort>;
  status: LinkStatus;
  stop: () => void;
}

const rooms = new Map<string, Room>();
const roomOf = new Map<MessagePort, string>();

function open(workspaceId: string): Room {
  const room: Room = { ports: new Set(), status: { state: "connecting" }, stop: () => undefined };
  rooms.set(workspaceId, room);
  room.stop = startLiveLink({
    url: streams.events(workspaceId),
    onMessage: (message) => {
      if (message.type === "status") room.status = message.status;
      for (const port of room.ports) port.postMessage(message);
    },
  });
  return room;
}

function leave(port: MessagePort): void {
  const workspaceId = roomOf.get(port);
  roomOf.delete(port);
  const room = workspaceId === undefined ? undefined : rooms.get(workspaceId);
  if (room === undefined || workspaceId === undefined) return;
  room.ports.delete(port);
  if (room.ports.size > 0) return;
  room.stop();
  rooms.delete(workspaceId);
}

function subscribe(port: MessagePort, workspaceId: string): void {
  leave(port);
  const known = rooms.get(workspaceId);
  // Another tab's session ended and this one has just signed in: start anew for both.
  if (known?.status.state === "signed_out") rooms.delete(workspaceId);
  const room = rooms.get(workspaceId) ?? open(workspaceId);
  if (known !== undefined && known !== room) for (const other of known.ports) room.ports.add(other);
  room.ports.add(port);
  roomOf.set(port, workspaceId);
  port.postMessage({ type: "status", status: room.status } satisfies LiveMessage);
}

addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0];
  if (port === undefined) return;
  port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    if (data.type === "subscribe") subscribe(port, data.workspaceId);
    else leave(port);
  };
});
