/** Environments of an application. */
import { createRoute } from "@hono/zod-openapi";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { CreateEnvironment, Environment } from "../http/components.ts";
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
import { createEnvironment, deleteEnvironment, getEnvironment } from "./service.ts";

export function createEnvironmentRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "post",
      path: "/applications/{id}/environments",
      operationId: "createEnvironment",
      tags: ["Environments"],
      middleware: [access.to("application", "applications.write", "create environments")] as const,
      request: { params: idParams, ...jsonBody(CreateEnvironment) },
      responses: { 201: json(Environment, "The new environment"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      const applicationId = c.req.valid("param").id;
      return c.json(await createEnvironment(deps, { applicationId, ...c.req.valid("json"), actor }), 201);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/environments/{id}",
      operationId: "getEnvironment",
      tags: ["Environments"],
      middleware: [access.to("environment", "read", "see environments")] as const,
      request: { params: idParams },
      responses: { 200: json(Environment, "The environment"), ...guarded },
    }),
    async (c) => c.json(await getEnvironment(deps, c.req.valid("param").id), 200),
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/environments/{id}",
      operationId: "deleteEnvironment",
      tags: ["Environments"],
      summary: "Delete an environment; refused while services live in it",
      middleware: [access.to("environment", "applications.write", "delete environments")] as const,
      request: { params: idParams },
      responses: { 204: noContent, ...guarded, ...problems(409) },
    }),
    async (c) => {
      await deleteEnvironment(deps, c.req.valid("param").id, actorOf(c.var.principal, c.var.clientAddress));
      return c.body(null, 204);
    },
  );
  return router;
}
