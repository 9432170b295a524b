/** Enrolment tokens of a workspace, and those that give one of its servers a new key. */
import { createRoute } from "@hono/zod-openapi";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { CreatedEnrolmentToken, CreateEnrolmentToken, EnrolmentToken } from "../http/components.ts";
import { type ApiRouter, createRouter, guarded, idParams, json, jsonBody, problems } from "../http/router.ts";
import { createEnrolmentToken, createRekeyToken, getEnrolmentToken } from "./service.ts";

export function createEnrolmentTokenRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "post",
      path: "/workspaces/{id}/enrolment-tokens",
      operationId: "createEnrolmentToken",
      tags: ["Servers"],
      summary: "A token with which one agent can join this workspace",
      middleware: [access.to("workspace", "servers.write", "add servers")] as const,
      request: { params: idParams, ...jsonBody(CreateEnrolmentToken) },
      responses: {
        201: json(CreatedEnrolmentToken, "The token; its text is shown this once"),
        ...guarded,
        ...problems(409),
      },
    }),
    async (c) => {
      const { workspaceId, principal, clientAddress } = c.var;
      const { serverName } = c.req.valid("json");
      const created = await createEnrolmentToken(deps, workspaceId, serverName, actorOf(principal, clientAddress));
      c.header("Cache-Control", "no-store");
      return c.json(created, 201);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/servers/{id}/rekey-token",
      operationId: "createRekeyToken",
      tags: ["Servers"],
      summary:
        "A token with which the machine to keep gets a new key; the old key, and every copy of it, is then refused",
      middleware: [access.to("server", "servers.write", "re-key servers")] as const,
      request: { params: idParams },
      responses: { 201: json(CreatedEnrolmentToken, "The token; its text is shown this once"), ...guarded },
    }),
    async (c) => {
      const { principal, clientAddress } = c.var;
      const created = await createRekeyToken(deps, c.req.valid("param").id, actorOf(principal, clientAddress));
      c.header("Cache-Control", "no-store");
      return c.json(created, 201);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/enrolment-tokens/{id}",
      operationId: "getEnrolmentToken",
      tags: ["Servers"],
      summary: "Whether the token was used, and by which server",
      middleware: [access.to("enrolment_token", "servers.write", "add servers")] as const,
      request: { params: idParams },
      responses: { 200: json(EnrolmentToken, "The token's state"), ...guarded },
    }),
    async (c) => c.json(await getEnrolmentToken(deps, c.req.valid("param").id), 200),
  );
  return router;
}
