/** Who am I, and who is in a workspace. */
import { roleSchema } from "@dflow/protocol";
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { Me, Member, Members, Workspace } from "../http/components.ts";
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
import { changeRole, describeCaller, getWorkspace, listMembers, removeMember } from "./service.ts";

const memberParams = idParams.extend({ userId: z.string().max(100) });

export function createWorkspaceRoutes(deps: RoomDeps): ApiRouter {
  const { access } = deps;
  const router = createRouter();

  router.openapi(
    createRoute({
      method: "get",
      path: "/me",
      operationId: "getMe",
      tags: ["Workspaces"],
      summary: "The caller and the workspaces they can use",
      responses: { 200: json(Me, "The caller"), ...problems(401, 429) },
    }),
    async (c) => c.json(await describeCaller(deps, c.var.principal), 200),
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}",
      operationId: "getWorkspace",
      tags: ["Workspaces"],
      middleware: [access.to("workspace", "read", "see this workspace")] as const,
      request: { params: idParams },
      responses: { 200: json(Workspace, "The workspace"), ...guarded },
    }),
    async (c) => c.json(await getWorkspace(deps, c.var.workspaceId, c.var.role), 200),
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}/members",
      operationId: "listMembers",
      tags: ["Members"],
      middleware: [access.to("workspace", "read", "see members")] as const,
      request: { params: idParams },
      responses: { 200: json(Members, "The members"), ...guarded },
    }),
    async (c) => c.json({ items: await listMembers(deps, c.var.workspaceId) }, 200),
  );

  router.openapi(
    createRoute({
      method: "patch",
      path: "/workspaces/{id}/members/{userId}",
      operationId: "changeMemberRole",
      tags: ["Members"],
      middleware: [access.to("workspace", "members.write", "change members")] as const,
      request: { params: memberParams, ...jsonBody(z.object({ role: roleSchema })) },
      responses: { 200: json(Member, "The member with the new role"), ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { workspaceId, role, principal, clientAddress } = c.var;
      const member = await changeRole(deps, {
        workspaceId,
        userId: c.req.valid("param").userId,
        granted: c.req.valid("json").role,
        granter: role,
        actor: actorOf(principal, clientAddress),
      });
      return c.json(member, 200);
    },
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/workspaces/{id}/members/{userId}",
      operationId: "removeMember",
      tags: ["Members"],
      middleware: [access.to("workspace", "members.write", "remove members")] as const,
      request: { params: memberParams },
      responses: { 204: noContent, ...guarded, ...problems(409) },
    }),
    async (c) => {
      const { workspaceId, role, principal, clientAddress } = c.var;
      await removeMember(deps, {
        workspaceId,
        userId: c.req.valid("param").userId,
        granter: role,
        actor: actorOf(principal, clientAddress),
      });
      return c.body(null, 204);
    },
  );
  return router;
}
