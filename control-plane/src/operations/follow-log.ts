/** Follows an operation's log as server-sent events: what is there, then what comes, then the end. */
import type { RoomDeps } from "../deps.ts";
import { createBell, type EventStream } from "../http/event-stream.ts";
import { readLog } from "./service.ts";

/**
 * Events `line` (id = index of the next line, so that Last-Event-ID says where to go on) and, when the operation has ended
 * and every line was sent, `end`. Rows are read when a hint says that they have changed.
 */
export async function followLog(
  deps: Pick<RoomDeps, "db" | "hub">,
  operation: { id: string; workspaceId: string },
  after: number,
  stream: EventStream,
): Promise<void> {
  const bell = createBell(stream.ended);
  // Before the first read, so that no line falls between reading and listening.
  const { unsubscribe } = deps.hub.subscribe(operation.workspaceId, undefined, (_id, event) => {
    if (event.id === operation.id) bell.ring();
  });
  try {
    let next = after;
    while (!stream.ended.aborted) {
      const page = await readLog(deps, operation.id, next);
      if (page.lines.length > 0) {
        const messages = page.lines.map((line) => ({
          event: "line",
          id: String(line.n + 1),
          data: JSON.stringify(line),
        }));
        await stream.send(...messages);
      }
      const advanced = page.next > next;
      next = page.next;
      if (page.complete) {
        await stream.send({ event: "end", id: String(next), data: JSON.stringify({ state: page.operation.state }) });
        return;
      }
      if (!advanced) await bell.wait();
    }
  } finally {
    unsubscribe();
  }
}
