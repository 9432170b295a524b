/** GET /events: hints of what changed in a workspace, one stream a browser. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import type { RoomDeps } from "../deps.ts";
import { createBell, type EventStream, eventStream } from "../http/event-stream.ts";
import { type ApiRouter, createRouter, guarded } from "../http/router.ts";
import type { EventHub } from "./hub.ts";

/** A reader that is this far behind gets `reset` instead: it fetches everything once. */
const QUEUE_MAX = 1_000;

export function createEventRoutes(deps: RoomDeps): ApiRouter {
  const { access, hub } = deps;
  const router = createRouter();
  router.openapi(
    createRoute({
      method: "get",
      path: "/events",
      operationId: "followEvents",
      tags: ["Events"],
      summary: "Server-sent events: `reset` when everything has to be fetched again, `hint` (Event) for each change",
      middleware: [access.to("workspace", "read", "follow events", (c) => c.req.query("workspaceId"))] as const,
      request: { query: z.object({ workspaceId: z.string().max(100) }) },
      responses: {
        200: {
          description: "The stream; resumed by Last-Event-ID",
          content: { "text/event-stream": { schema: z.string().describe("Events `reset` and `hint` (Event)") } },
        },
        ...guarded,
      },
    }),
    (c) => {
      const { workspaceId } = c.var;
      const after = c.req.header("Last-Event-ID");
      return eventStream(c, deps, () => (stream) => followHints(hub, workspaceId, after, stream)) as never;
    },
  );
  return router;
}

export async function followHints(
  hub: EventHub,
  workspaceId: string,
  after: string | undefined,
  stream: EventStream,
): Promise<void> {
  const bell = createBell(stream.ended);
  const queue: { id: string; data: string }[] = [];
  let reset = false;
  const subscription = hub.subscribe(workspaceId, after, (id, event) => {
    if (queue.length >= QUEUE_MAX) {
      queue.length = 0;
      reset = true;
    }
    queue.push({ id, data: JSON.stringify(event) });
    bell.ring();
  });
  reset ||= subscription.reset;
  try {
    while (!stream.ended.aborted) {
      if (reset) {
        reset = false;
        await stream.send({ event: "reset", data: "{}" });
      }
      const next = queue.shift();
      if (next !== undefined) await stream.send({ event: "hint", ...next });
      else await bell.wait();
    }
  } finally {
    subscription.unsubscribe();
  }
}
