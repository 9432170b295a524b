/** Invitations into a workspace, and their acceptance by whoever holds the token. */
import { idSchema } from "@dflow/protocol";
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import type { People } from "../auth/people.ts";
import { actorOf } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { limitedAddress } from "../http/client-address.ts";
import { AcceptInvitation, CreatedInvitation, CreateInvitation, Invitations } from "../http/components.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
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
import { acceptInvitation, createInvitation, listInvitations, revokeInvitation } from "./service.ts";

export function createInvitationRoutes(deps: RoomDeps, people: People): ApiRouter {
  const { access } = deps;
  const router = createRouter();
  const acceptances = createRateLimiter({ limit: 20, windowMs: 60_000 }, deps.clock);

  router.openapi(
    createRoute({
      method: "get",
      path: "/workspaces/{id}/invitations",
      operationId: "listInvitations",
      tags: ["Members"],
      middleware: [access.to("workspace", "members.write", "see invitations")] as const,
      request: { params: idParams },
      responses: { 200: json(Invitations, "The invitations, newest first"), ...guarded },
    }),
    async (c) => c.json({ items: await listInvitations(deps, c.var.workspaceId) }, 200),
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/workspaces/{id}/invitations",
      operationId: "createInvitation",
      tags: ["Members"],
      middleware: [access.to("workspace", "members.write", "invite people")] as const,
      request: { params: idParams, ...jsonBody(CreateInvitation) },
      responses: { 201: json(CreatedInvitation, "The invitation; its token is shown this once"), ...guarded },
    }),
    async (c) => {
      const { email, role } = c.req.valid("json");
      const { workspaceId, principal, clientAddress } = c.var;
      const created = await createInvitation(deps, {
        workspaceId,
        email,
        granted: role,
        granter: c.var.role,
        actor: actorOf(principal, clientAddress),
      });
      c.header("Cache-Control", "no-store");
      return c.json(created, 201);
    },
  );

  router.openapi(
    createRoute({
      method: "delete",
      path: "/invitations/{id}",
      operationId: "revokeInvitation",
      tags: ["Members"],
      middleware: [access.to("invitation", "members.write", "revoke invitations")] as const,
      request: { params: idParams },
      responses: { 204: noContent, ...guarded },
    }),
    async (c) => {
      const { workspaceId, principal, clientAddress } = c.var;
      await revokeInvitation(deps, workspaceId, c.req.valid("param").id, actorOf(principal, clientAddress));
      return c.body(null, 204);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/invitations/accept",
      operationId: "acceptInvitation",
      tags: ["Members"],
      summary: "Join a workspace; makes the account when there is none",
      security: [],
      request: jsonBody(AcceptInvitation),
      responses: {
        200: json(z.object({ workspaceId: idSchema, email: z.string() }), "Joined; sign in with this address"),
        ...problems(400, 401, 403, 413, 429),
      },
    }),
    async (c) => {
      acceptances.take(limitedAddress(c.var.clientAddress));
      return c.json(
        await acceptInvitation(deps, people, { ...c.req.valid("json"), address: c.var.clientAddress }),
        200,
      );
    },
  );
  return router;
}
