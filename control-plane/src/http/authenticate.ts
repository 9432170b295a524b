/** Middleware: who is asking. Every /api route that is not on the public list needs a session or an API key. */
import { AppError } from "@dflow/protocol";
import { createMiddleware } from "hono/factory";
import { principalOfApiKey } from "../auth/api-key.ts";
import type { People } from "../auth/people.ts";
import type { Principal } from "../auth/principal.ts";
import type { Deps } from "../deps.ts";
import type { ApiEnv } from "./context.ts";
import { credentialOf, type KnownCallers } from "./known-callers.ts";
import { isForeignFetch, isOwnOrigin, isSafeMethod } from "./origin.ts";
import { isPublicRoute } from "./public-routes.ts";

type AuthenticateDeps = Pick<Deps, "config" | "db" | "clock">;

export function authenticate(deps: AuthenticateDeps, people: People, known: KnownCallers) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const { method, path, raw } = c.req;
    const isPublic = isPublicRoute(method, path);
    const authorization = isPublic ? undefined : c.req.header("Authorization");
    // A key is sent by a program on purpose, never by a browser on a foreign page's behalf.
    if (authorization === undefined) checkOrigin(deps, method, raw.headers, { needed: !isPublic });
    if (!isPublic) {
      const found = await principalOf(deps, people, raw.headers, authorization);
      c.set("principal", found.principal);
      const credential = credentialOf(authorization, raw.headers.get("cookie"));
      if (credential !== undefined) known.vouch(credential);
      for (const cookie of found.cookies) c.header("Set-Cookie", cookie, { append: true });
    }
    await next();
  });
}

async function principalOf(
  deps: AuthenticateDeps,
  people: People,
  headers: Headers,
  authorization: string | undefined,
): Promise<{ principal: Principal; cookies: string[] }> {
  if (authorization !== undefined) {
    const principal = await principalOfApiKey(deps.db, deps.clock, authorization);
    if (principal !== undefined) return { principal, cookies: [] };
    throw new AppError("unauthenticated", "The API key is unknown or expired.");
  }
  const session = await people.session(headers);
  if (session !== undefined) return session;
  throw new AppError("unauthenticated", "There is no session.", { hint: "Sign in, or send an API key." });
}

/** A browser names the origin of every change. On public routes a program without that header is fine. */
function checkOrigin(deps: AuthenticateDeps, method: string, headers: Headers, { needed }: { needed: boolean }): void {
  if (isSafeMethod(method)) return;
  const origin = headers.get("origin");
  if (origin === null && isForeignFetch(headers.get("sec-fetch-site"))) throw badOrigin(deps, "no origin named");
  // Without a cookie there is nothing to misuse: the request fails as unauthenticated, which says more.
  if (origin === null && (!needed || !headers.has("cookie"))) return;
  if (origin !== null && isOwnOrigin(deps.config, origin, headers.get("host") ?? undefined)) return;
  throw badOrigin(deps, origin ?? "no origin named");
}

function badOrigin({ config }: AuthenticateDeps, origin: string): AppError {
  return new AppError("bad_origin", `This change was asked for by another site (${origin}).`, {
    hint: `Use ${config.publicUrl}, or send an API key.`,
  });
}
