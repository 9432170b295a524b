/** GET /services/{id}/logs: the container's own output, read live from its server. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import type { RoomDeps } from "../deps.ts";
import { ContainerLogLine } from "../http/components.ts";
import { eventStream } from "../http/event-stream.ts";
import { type ApiRouter, createRouter, flag, guarded, idParams, problems } from "../http/router.ts";
import { permittedService } from "../services/service.ts";
import { readLog } from "./read-log.ts";
import { openLogStream } from "./stream-log.ts";

const TAIL_DEFAULT = 500;
const TAIL_MAX = 10_000;

const cursor = z
  .string()
  .max(100)
  .regex(/^\d{4}-\d\d-\d\dT[0-9:.]+Z#\d+$/, "must be a cursor of this log");
/** What `log_open` may carry: an agent ends the link over a frame that breaks the protocol. */
const SINCE_MAX = 40;
const query = z.object({
  follow: flag.optional().describe("Server-sent events; resumed by Last-Event-ID"),
  tail: z.coerce.number().int().min(0).max(TAIL_MAX).default(TAIL_DEFAULT).describe("Lines of history"),
  since: z.iso.datetime().max(SINCE_MAX).optional().describe("Only lines from this time on"),
});
const logSchema = z.object({
  lines: ContainerLogLine.array(),
  cursor: z.string().nullable().describe("Pass as Last-Event-ID to follow from here"),
  gap: z.boolean().describe("Lines are missing"),
});

export function createContainerLogRoutes(deps: RoomDeps): ApiRouter {
  const { access, agents } = deps;
  const router = createRouter();
  router.openapi(
    createRoute({
      method: "get",
      path: "/services/{id}/logs",
      operationId: "getServiceLogs",
      tags: ["Services"],
      summary: "The container's output, as JSON or followed as events `line`, `gap`, `state` and `end`",
      middleware: [access.to("service", "logs.read", "read logs")] as const,
      request: { params: idParams, query },
      responses: {
        200: {
          description: "The last lines",
          content: {
            "application/json": { schema: logSchema },
            "text/event-stream": {
              schema: z.string().describe("Events `line` (ContainerLogLine), `gap`, `state`, `end`"),
            },
          },
        },
        ...guarded,
        ...problems(409),
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { follow, tail, since } = c.req.valid("query");
      const service = await permittedService(deps, id, "logs", c.var.role);
      const request = { serviceId: id, tail, since };
      if (follow !== true) {
        return c.json(await readLog(agents, deps.timers, service.server_id, request), 200);
      }
      const resumed = cursor.safeParse(c.req.header("Last-Event-ID"));
      const from = resumed.success ? { ...request, tail: null, after: resumed.data } : request;
      return eventStream(c, deps, () => openLogStream(agents, service.server_id, { ...from, follow: true })) as never;
    },
  );
  return router;
}
