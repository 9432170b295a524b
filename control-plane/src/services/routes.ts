/** Services of an environment, what can be done to them, and their credentials. */
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { CreateService, Credentials, Operation, Service, Services, UpdateService } from "../http/components.ts";
import type { ApiEnv } from "../http/context.ts";
import {
  type ApiRouter,
  createRouter,
  flag,
  guarded,
  idParams,
  json,
  jsonBody,
  optionalJsonBody,
  problems,
} from "../http/router.ts";
import { startAction } from "./actions.ts";
import { createService, getService, listServices, readCredentials, updateService } from "./service.ts";

const typedName = z.string().max(200).optional().describe("The service's name, typed as a confirmation");
const deployBody = z.object({ name: typedName.describe("Needed when the data of an earlier deployment is gone") });
const deleteQuery = z.object({
  data: flag.optional().describe("Delete the data volume too"),
  backups: flag.optional().describe("Delete its backups too"),
  name: typedName,
});
const deleteBody = z.object({ data: z.boolean().optional(), backups: z.boolean().optional(), name: typedName });

export function createServiceRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();
  const caller = (c: Context<ApiEnv>) => ({
    role: c.var.role,
    actor: actorOf(c.var.principal, c.var.clientAddress),
  });

  const accepted = (c: Context<ApiEnv>, { id, kind, serviceId }: z.infer<typeof Operation>) =>
    deps.log.info({ requestId: c.var.requestId, operationId: id, serviceId, kind }, "operation accepted");

  router.openapi(
    createRoute({
      method: "get",
      path: "/environments/{id}/services",
      operationId: "listServices",
      tags: ["Services"],
      middleware: [access.to("environment", "read", "see services")] as const,
      request: { params: idParams },
      responses: { 200: json(Services, "The services, by name"), ...guarded },
    }),
    async (c) => c.json({ items: await listServices(deps, c.req.valid("param").id, c.var.role) }, 200),
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/environments/{id}/services",
      operationId: "createService",
      tags: ["Services"],
      summary: "Create a service; nothing runs before its first deploy",
      middleware: [access.to("environment", "services.write", "create services")] as const,
      request: { params: idParams, ...jsonBody(CreateService) },
      responses: { 201: json(Service, "The new service"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const environmentId = c.req.valid("param").id;
      return c.json(await createService(deps, { environmentId, ...c.req.valid("json"), ...caller(c) }), 201);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/services/{id}",
      operationId: "getService",
      tags: ["Services"],
      middleware: [access.to("service", "read", "see services")] as const,
      request: { params: idParams },
      responses: { 200: json(Service, "The service, its state and what the caller can do now"), ...guarded },
    }),
    async (c) => c.json(await getService(deps, c.req.valid("param").id, c.var.role), 200),
  );

  router.openapi(
    createRoute({
      method: "patch",
      path: "/services/{id}",
      operationId: "updateService",
      tags: ["Services"],
      summary: "Change a service's settings; they apply at the next Deploy or Restart",
      middleware: [access.to("service", "services.write", "change services")] as const,
      request: { params: idParams, ...jsonBody(UpdateService) },
      responses: { 200: json(Service, "The service as it is now"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      return c.json(await updateService(deps, { id, ...c.req.valid("json"), ...caller(c) }), 200);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/services/{id}/credentials",
      operationId: "getCredentials",
      tags: ["Services"],
      summary: "Address, user and password inside the environment; each look is audited",
      middleware: [access.to("service", "credentials.read", "see credentials")] as const,
      request: { params: idParams },
      responses: { 200: json(Credentials, "The credentials"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { role, actor } = caller(c);
      const credentials = await readCredentials(deps, c.req.valid("param").id, role, actor);
      c.header("Cache-Control", "no-store");
      return c.json(credentials, 200);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/services/{id}/deploy",
      operationId: "deployService",
      tags: ["Services"],
      middleware: [access.to("service", "services.operate", "deploy services")] as const,
      request: { params: idParams, ...optionalJsonBody(deployBody) },
      responses: { 202: json(Operation, "Accepted"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { id } = c.req.valid("param");
      const { name } = c.req.valid("json");
      const operation = await startAction(deps, { serviceId: id, kind: "deploy", name, ...caller(c) });
      accepted(c, operation);
      return c.json(operation, 202);
    },
  );

  for (const kind of ["restart", "stop", "check"] as const) {
    router.openapi(
      createRoute({
        method: "post",
        path: `/services/{id}/${kind}`,
        operationId: `${kind}Service`,
        tags: ["Services"],
        middleware: [access.to("service", "services.operate", `${kind} services`)] as const,
        request: { params: idParams },
        responses: { 202: json(Operation, "Accepted"), ...guarded, ...problems(409) },
      }),
      async (c) => {
        const operation = await startAction(deps, { serviceId: c.req.valid("param").id, kind, ...caller(c) });
        accepted(c, operation);
        return c.json(operation, 202);
      },
    );
  }

  router.openapi(
    createRoute({
      method: "delete",
      path: "/services/{id}",
      operationId: "deleteService",
      tags: ["Services"],
      summary: "Delete; options in the query or the body. The row goes when the server confirms",
      middleware: [access.to("service", "services.write", "delete services")] as const,
      request: { params: idParams, query: deleteQuery, ...optionalJsonBody(deleteBody) },
      responses: { 202: json(Operation, "Accepted"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const query = c.req.valid("query");
      const body = c.req.valid("json");
      const operation = await startAction(deps, {
        serviceId: c.req.valid("param").id,
        kind: "delete",
        name: body.name ?? query.name,
        deleteData: body.data ?? query.data ?? false,
        ...caller(c),
      });
      accepted(c, operation);
      return c.json(operation, 202);
    },
  );
  return router;
}
