/** What every request passes first: its id, its log line, its address, headers, limits of size and rate. */
import { AppError } from "@dflow/protocol";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import type { Deps } from "../deps.ts";
import type { AddressReader } from "./client-address.ts";
import type { ApiEnv } from "./context.ts";
import { credentialOf, type KnownCallers } from "./known-callers.ts";
import { createRateLimiter, tooMany } from "./rate-limit.ts";
import { securityHeadersOf } from "./security-headers.ts";

const BODY_LIMIT_BYTES = 256 * 1024;
const PER_PRINCIPAL = { limit: 1_200, windowMs: 60_000 };

/** A request id from outside is kept when it is one that we could have given. */
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;

export function identifyRequest({
  addresses,
  random,
  clock,
  log,
}: Pick<Deps, "random" | "clock" | "log"> & { addresses: AddressReader }) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const given = c.req.header("X-Request-Id");
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : random.id();
    const remote = c.env?.incoming?.socket.remoteAddress;
    c.set("requestId", requestId);
    c.set("clientAddress", addresses.read(remote, c.req.header("X-Forwarded-For")));
    c.header("X-Request-Id", requestId);
    const startedAt = clock.monotonicMs();
    await next();
    const { method, path } = c.req;
    const principal = c.var.principal as ApiEnv["Variables"]["principal"] | undefined;
    log.info(
      {
        requestId,
        method,
        path,
        status: c.res.status,
        ms: Math.round(clock.monotonicMs() - startedAt),
        address: c.var.clientAddress,
        principal: principal?.id,
      },
      "request",
    );
  });
}

export function securityHeaders({ config }: Pick<Deps, "config">) {
  const lines = Object.entries(securityHeadersOf(config));
  return createMiddleware<ApiEnv>(async (c, next) => {
    await next();
    for (const [name, value] of lines) c.res.headers.set(name, value);
  });
}

/**
 * Refuses by the declared length at once, and a stream as soon as it is too long. The connection stays for the moment in
 * which the server lets go of what is still coming: closed under a sender, it would take the answer along.
 */
export const limitBody = bodyLimit({
  maxSize: BODY_LIMIT_BYTES,
  onError: () => {
    throw new AppError("body_too_large", `The request's body is larger than ${BODY_LIMIT_BYTES / 1024} KiB.`);
  },
});

/** How much one address may ask for is front-door.ts's to say. Who asks for more than this waits with strangers. */
export function limitRatePerPrincipal({ clock, known }: Pick<Deps, "clock"> & { known: KnownCallers }) {
  const limiter = createRateLimiter(PER_PRINCIPAL, clock);
  return createMiddleware<ApiEnv>(async (c, next) => {
    const principal = c.var.principal as ApiEnv["Variables"]["principal"] | undefined;
    const retryAfterSeconds = principal === undefined ? undefined : limiter.refusal(principal.id);
    if (retryAfterSeconds !== undefined) {
      const credential = credentialOf(c.req.header("Authorization"), c.req.header("Cookie"));
      if (credential !== undefined) known.forget(credential);
      throw tooMany("Too many requests.", retryAfterSeconds);
    }
    await next();
  });
}
