/** Applications of a workspace. */
import { createRoute } from "@hono/zod-openapi";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { Application, Applications, CreateApplication } from "../http/components.ts";
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
import {
  createApplication,
  deleteApplication,
  getApplication,
  listApplications,
  renameApplication,
} from "./service.ts";

export function createApplicationRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}/applications",
      operationId: "listApplications",
      tags: ["Applications"],
      middleware: [access.to("workspace", "read", "see applications")] as const,
      request: { params: idParams },
      responses: { 200: json(Applications, "The applications with their environments, by name"), ...guarded },
    }),
    async (c) => c.json({ items: await listApplications(deps, c.var.workspaceId) }, 200),
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/workspaces/{id}/applications",
      operationId: "createApplication",
      tags: ["Applications"],
      middleware: [access.to("workspace", "applications.write", "create applications")] as const,
      request: { params: idParams, ...jsonBody(CreateApplication) },
      responses: { 201: json(Application, "The new application"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { workspaceId, principal, clientAddress } = c.var;
      const { name } = c.req.valid("json");
      return c.json(await createApplication(deps, workspaceId, name, actorOf(principal, clientAddress)), 201);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/applications/{id}",
      operationId: "getApplication",
      tags: ["Applications"],
      middleware: [access.to("application", "read", "see applications")] as const,
      request: { params: idParams },
      responses: { 200: json(Application, "The application"), ...guarded },
    }),
    async (c) => c.json(await getApplication(deps, c.req.valid("param").id), 200),
  );

  router.openapi(
    createRoute({
      method: "patch",
      path: "/applications/{id}",
      operationId: "renameApplication",
      tags: ["Applications"],
      middleware: [access.to("application", "applications.write", "rename applications")] as const,
      request: { params: idParams, ...jsonBody(CreateApplication) },
      responses: { 200: json(Application, "The application with its new name"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const actor = actorOf(c.var.principal, c.var.clientAddress);
      const { name } = c.req.valid("json");
      return c.json(await renameApplication(deps, c.req.valid("param").id, name, actor), 200);
    },
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/applications/{id}",
      operationId: "deleteApplication",
      tags: ["Applications"],
      summary: "Delete an application; refused while environments live in it",
      middleware: [access.to("application", "applications.write", "delete applications")] as const,
      request: { params: idParams },
      responses: { 204: noContent, ...guarded, ...problems(409) },
    }),
    async (c) => {
      await deleteApplication(deps, c.req.valid("param").id, actorOf(c.var.principal, c.var.clientAddress));
      return c.body(null, 204);
    },
  );
  return router;
}
