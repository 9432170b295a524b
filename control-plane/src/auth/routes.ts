/** Sign-in, sign-out and "who am I": the only three doors to sessions. */
import { PASSWORD_LENGTH } from "@dflow/protocol";
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { type AuditEntry, writeAudit } from "../audit/write-audit.ts";
import type { Deps } from "../deps.ts";
import { limitedAddress } from "../http/client-address.ts";
import type { ApiEnv } from "../http/context.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
import { type ApiRouter, createRouter, json, jsonBody, noContent, problems } from "../http/router.ts";
import { isoTime } from "../http/times.ts";
import type { Access } from "./access.ts";
import type { People } from "./people.ts";
import { actorOf } from "./principal.ts";

const signIn = z
  .object({ email: z.email().max(254), password: z.string().min(1).max(PASSWORD_LENGTH.max) })
  .meta({ id: "SignIn" });
const user = z.object({ id: z.string(), email: z.string(), name: z.string() });
const signedIn = z.object({ user }).meta({ id: "SignedIn" });
const session = z.object({ user, expiresAt: z.string() }).nullable();

export type AuthDeps = Pick<Deps, "config" | "db" | "clock" | "random"> & { access: Access };

export function createAuthRoutes(deps: AuthDeps, people: People): ApiRouter {
  const router = createRouter();
  // Attempts of one address, whatever the account. How often one account's password is guessed is people.ts's to count.
  const perAddress = createRateLimiter({ limit: deps.config.limits.signInsPerMinute, windowMs: 60_000 }, deps.clock);

  const audit = (entry: AuditEntry) => deps.db.transaction().execute((trx) => writeAudit(trx, deps, entry));

  router.openapi(
    createRoute({
      method: "post",
      path: "/sign-in/email",
      operationId: "signIn",
      tags: ["Session"],
      security: [],
      request: jsonBody(signIn),
      responses: { 200: json(signedIn, "Signed in; the session is a cookie"), ...problems(400, 401, 403, 413, 429) },
    }),
    async (c) => {
      const { email, password } = c.req.valid("json");
      const address = c.var.clientAddress;
      perAddress.take(limitedAddress(address));
      const result = await people.signIn(email, password, { headers: c.req.raw.headers, address });
      const { id, name } = result.user;
      const actor = { kind: "user" as const, id, name, address };
      await audit({ workspaceId: null, actor, action: "session.sign_in", target: { kind: "user", id } });
      setCookies(c, result.cookies);
      c.header("Cache-Control", "no-store");
      return c.json({ user: result.user }, 200);
    },
  );

  router.openapi(
    createRoute({
      method: "post",
      path: "/sign-out",
      operationId: "signOut",
      tags: ["Session"],
      security: [],
      responses: { 204: noContent, ...problems(403, 429) },
    }),
    async (c) => {
      const ended = await people.session(c.req.raw.headers);
      // Only a session that was there can have been somebody's right to a stream: anyone may call this.
      if (ended !== undefined) {
        const { id, sessionId } = ended.principal;
        const actor = actorOf(ended.principal, c.var.clientAddress);
        // Here already: better-auth says nothing of a session that it could not remove.
        await deps.db.transaction().execute(async (trx) => {
          await trx.deleteFrom("session").where("id", "=", sessionId).execute();
          const target = { kind: "user" as const, id };
          await writeAudit(trx, deps, { workspaceId: null, actor, action: "session.sign_out", target });
        });
        deps.access.changed();
      }
      setCookies(c, await people.signOut(c.req.raw.headers));
      return c.body(null, 204);
    },
  );

  router.openapi(
    createRoute({
      method: "get",
      path: "/get-session",
      operationId: "getSession",
      tags: ["Session"],
      security: [],
      responses: { 200: json(session, "The session, or null"), ...problems(429) },
    }),
    async (c) => {
      c.header("Cache-Control", "no-store");
      const found = await people.session(c.req.raw.headers);
      if (found === undefined) return c.json(null, 200);
      setCookies(c, found.cookies);
      const { id, email, name, sessionEndsAt } = found.principal;
      return c.json({ user: { id, email, name }, expiresAt: isoTime(sessionEndsAt) }, 200);
    },
  );
  return router;
}

function setCookies(c: Context<ApiEnv>, cookies: string[]): void {
  for (const cookie of cookies) c.header("Set-Cookie", cookie, { append: true });
}
