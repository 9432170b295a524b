/** What every request passes first: its id, its log line, its address, headers, limits of size and rate. */
import { AppError } from "@dflow/protocol";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import type { Deps } from "../deps.ts";
import { clientAddress, limitedAddress } from "./client-address.ts";
import type { ApiEnv } from "./context.ts";
import { createRateLimiter } from "./rate-limit.ts";

const BODY_LIMIT_BYTES = 256 * 1024;
const PER_ADDRESS = { limit: 3_000, windowMs: 60_000 };
const PER_PRINCIPAL = { limit: 1_200, windowMs: 60_000 };

/** A request id from outside is kept when it is one that we could have given. */
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;

const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

export function identifyRequest({ config, random, clock, log }: Pick<Deps, "config" | "random" | "clock" | "log">) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const given = c.req.header("X-Request-Id");
    const requestId = given !== undefined && REQUEST_ID.test(given) ? given : random.id();
    const remote = c.env?.incoming?.socket.remoteAddress;
    c.set("requestId", requestId);
    c.set("clientAddress", clientAddress(remote, c.req.header("X-Forwarded-For"), config.trustedProxies));
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

export const securityHeaders = createMiddleware<ApiEnv>(async (c, next) => {
  await next();
  const { headers } = c.res;
  headers.set("Content-Security-Policy", CONTENT_SECURITY_POLICY);
  headers.set("X-Content-Type-Options", "nosniff");
  headers.set("X-Frame-Options", "DENY");
  headers.set("Referrer-Policy", "same-origin");
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
});

/** Over https browsers are told to stay there. */
export function strictTransport({ config }: Pick<Deps, "config">) {
  const secure = config.publicUrl.startsWith("https://");
  return createMiddleware<ApiEnv>(async (c, next) => {
    await next();
    if (secure) c.res.headers.set("Strict-Transport-Security", "max-age=31536000");
  });
}

/** Refuses by the declared length at once, and a stream as soon as it is too long. The connection ends with the answer. */
export const limitBody = bodyLimit({
  maxSize: BODY_LIMIT_BYTES,
  onError: (c) => {
    c.header("Connection", "close");
    throw new AppError("body_too_large", `The request's body is larger than ${BODY_LIMIT_BYTES / 1024} KiB.`);
  },
});

export function limitRatePerAddress({ clock }: Pick<Deps, "clock">) {
  const limiter = createRateLimiter(PER_ADDRESS, clock);
  return createMiddleware<ApiEnv>(async (c, next) => {
    limiter.take(limitedAddress(c.var.clientAddress));
    await next();
  });
}

export function limitRatePerPrincipal({ clock }: Pick<Deps, "clock">) {
  const limiter = createRateLimiter(PER_PRINCIPAL, clock);
  return createMiddleware<ApiEnv>(async (c, next) => {
    const principal = c.var.principal as ApiEnv["Variables"]["principal"] | undefined;
    if (principal !== undefined) limiter.take(principal.id);
    await next();
  });
}
