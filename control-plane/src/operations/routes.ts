/** Operations: one accepted action each, with its log. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { Operation, OperationLog, Operations, SettleOperation } from "../http/components.ts";
import { eventStream } from "../http/event-stream.ts";
import { type ApiRouter, createRouter, flag, guarded, idParams, json, jsonBody, problems } from "../http/router.ts";
import { followLog } from "./follow-log.ts";
import { cancelOperation, getOperation, listOperations, lookAgain, readLog, settleOperation } from "./service.ts";

const lineIndex = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export function createOperationRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/services/{id}/operations",
      operationId: "listOperations",
      tags: ["Operations"],
      middleware: [access.to("service", "read", "see operations")] as const,
      request: {
        params: idParams,
        query: z.object({
          limit: z.coerce.number().int().min(1).max(200).default(50),
          before: z.string().max(100).optional().describe("Id of the last operation of the page before"),
        }),
      },
      responses: { 200: json(Operations, "The operations of the service, newest first"), ...guarded },
    }),
    async (c) => {
      const items = await listOperations(deps, c.req.valid("param").id, c.req.valid("query"));
      return c.json({ items }, 200);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/operations/{id}",
      operationId: "getOperation",
      tags: ["Operations"],
      middleware: [access.to("operation", "read", "see operations")] as const,
      request: { params: idParams },
      responses: { 200: json(Operation, "The operation"), ...guarded },
    }),
    async (c) => c.json(await getOperation(deps, c.req.valid("param").id), 200),
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/operations/{id}/log",
      operationId: "getOperationLog",
      tags: ["Operations"],
      summary: "The log, as JSON or followed as events `line` and `end`",
      middleware: [access.to("operation", "logs.read", "read logs")] as const,
      request: {
        params: idParams,
        query: z.object({
          after: lineIndex.default(0).describe("Index of the first line wanted: `next` of the answer before"),
          follow: flag.optional().describe("Server-sent events; resumed by Last-Event-ID"),
        }),
      },
      responses: {
        200: {
          description: "The log from `after` on",
          content: {
            "application/json": { schema: OperationLog },
            "text/event-stream": {
              schema: z.string().describe("Events `line` (OperationLogLine) and `end` ({state})"),
            },
          },
        },
        ...guarded,
      },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { after, follow } = c.req.valid("query");
      if (follow !== true) {
        const { lines, next, complete, removed } = await readLog(deps, id, after);
        return c.json({ lines, next, complete, removed }, 200);
      }
      const resumed = lineIndex.safeParse(c.req.header("Last-Event-ID"));
      const from = c.req.header("Last-Event-ID") !== undefined && resumed.success ? resumed.data : after;
      const { workspaceId } = c.var;
      return eventStream(c, deps, () => (stream) => followLog(deps, { id, workspaceId }, from, stream)) as never;
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/operations/{id}/cancel",
      operationId: "cancelOperation",
      tags: ["Operations"],
      summary: "Cancel; at once while it was not sent, else by the agent",
      middleware: [access.to("operation", "services.operate", "cancel operations")] as const,
      request: { params: idParams },
      responses: { 202: json(Operation, "The operation"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      return c.json(await cancelOperation(deps, c.req.valid("param").id, actor), 202);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/operations/{id}/look-again",
      operationId: "lookAgainAtOperation",
      tags: ["Operations"],
      summary: "Ask the server once more how an open operation is; nothing is done twice",
      middleware: [access.to("operation", "services.operate", "ask about operations")] as const,
      request: { params: idParams },
      responses: { 202: json(Operation, "The operation"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      return c.json(await lookAgain(deps, c.req.valid("param").id, actor), 202);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/operations/{id}/settle",
      operationId: "settleOperation",
      tags: ["Operations"],
      summary: "Say, once, what became of an operation that ended as unknown; its state stays unknown",
      middleware: [access.to("operation", "services.operate", "settle operations")] as const,
      request: { params: idParams, ...jsonBody(SettleOperation) },
      responses: { 200: json(Operation, "The operation"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      return c.json(await settleOperation(deps, c.req.valid("param").id, c.req.valid("json"), actor), 200);
    },
  );
  return router;
}
