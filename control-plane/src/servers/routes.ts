/** Servers. They are added by enrolment (enrolment-tokens/), never by a POST here. */
import { createRoute } from "@hono/zod-openapi";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { Server, Servers, UpdateServer } from "../http/components.ts";
import {
  type ApiRouter,
  createRouter,
  guarded,
  idParams,
  json,
  jsonBody,
  noContent,
  problems,
} from "../http/router.ts";
import { deleteServer, getServer, listServers, updateServer } from "./service.ts";

export function createServerRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}/servers",
      operationId: "listServers",
      tags: ["Servers"],
      middleware: [access.to("workspace", "read", "see servers")] as const,
      request: { params: idParams },
      responses: { 200: json(Servers, "The servers, by name"), ...guarded },
    }),
    async (c) => c.json({ items: await listServers(deps, c.var.workspaceId) }, 200),
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/servers/{id}",
      operationId: "getServer",
      tags: ["Servers"],
      middleware: [access.to("server", "read", "see servers")] as const,
      request: { params: idParams },
      responses: { 200: json(Server, "The server"), ...guarded },
    }),
    async (c) => c.json(await getServer(deps, c.req.valid("param").id), 200),
  );

  router.openapi(
    createRoute({
      method: "patch",
      path: "/servers/{id}",
      operationId: "updateServer",
      tags: ["Servers"],
      middleware: [access.to("server", "servers.write", "change servers")] as const,
      request: { params: idParams, ...jsonBody(UpdateServer) },
      responses: { 200: json(Server, "The server as it is now"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      return c.json(await updateServer(deps, { id: c.req.valid("param").id, ...c.req.valid("json"), actor }), 200);
    },
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/servers/{id}",
      operationId: "deleteServer",
      tags: ["Servers"],
      summary: "Remove a server; refused while environments live on it",
      middleware: [access.to("server", "servers.write", "remove servers")] as const,
      request: { params: idParams },
      responses: { 204: noContent, ...guarded, ...problems(409) },
    }),
    async (c) => {
      await deleteServer(deps, c.req.valid("param").id, actorOf(c.var.principal, c.var.clientAddress));
      return c.body(null, 204);
    },
  );
  return router;
}
