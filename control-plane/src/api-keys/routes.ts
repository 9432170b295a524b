/** API keys of a workspace. */
import { createRoute } from "@hono/zod-openapi";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { ApiKeys, CreateApiKey, CreatedApiKey } from "../http/components.ts";
import { type ApiRouter, createRouter, guarded, idParams, json, jsonBody, noContent } from "../http/router.ts";
import { createApiKey, deleteApiKey, listApiKeys } from "./service.ts";

export function createApiKeyRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}/api-keys",
      operationId: "listApiKeys",
      tags: ["API keys"],
      middleware: [access.to("workspace", "keys.write", "see API keys")] as const,
      request: { params: idParams },
      responses: { 200: json(ApiKeys, "The keys, newest first"), ...guarded },
    }),
    async (c) => c.json({ items: await listApiKeys(deps, c.var.workspaceId) }, 200),
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/workspaces/{id}/api-keys",
      operationId: "createApiKey",
      tags: ["API keys"],
      middleware: [access.to("workspace", "keys.write", "make API keys")] as const,
      request: { params: idParams, ...jsonBody(CreateApiKey) },
      responses: { 201: json(CreatedApiKey, "The key; its text is shown this once"), ...guarded },
    }),
    async (c) => {
      const { workspaceId, role, principal, clientAddress } = c.var;
      const actor = actorOf(principal, clientAddress);
      const created = await createApiKey(deps, role, { workspaceId, ...c.req.valid("json"), actor });
      c.header("Cache-Control", "no-store");
      return c.json(created, 201);
    },
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/api-keys/{id}",
      operationId: "deleteApiKey",
      tags: ["API keys"],
      middleware: [access.to("api_key", "keys.write", "delete API keys")] as const,
      request: { params: idParams },
      responses: { 204: noContent, ...guarded },
    }),
    async (c) => {
      const { workspaceId, principal, clientAddress } = c.var;
      await deleteApiKey(deps, workspaceId, c.req.valid("param").id, actorOf(principal, clientAddress));
      return c.body(null, 204);
    },
  );
  return router;
}
