/** The two requests of an enrolment. Everything else between agent and control plane goes over the socket. */
import { AppError, ENROL_PATH, enrolRequestSchema, NONCE_PATH, nonceRequestSchema } from "@dflow/protocol";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { z } from "zod";
import type { Deps } from "../deps.ts";
import { limitedAddress } from "../http/client-address.ts";
import type { ApiEnv } from "../http/context.ts";
import { problemResponse } from "../http/problem.ts";
import { createRateLimiter } from "../http/rate-limit.ts";
import { type EnrolDeps, enrol } from "./enrol.ts";
import { createNonces } from "./nonces.ts";

const BODY_MAX_BYTES = 32 * 1024;

export function enrolmentRoutes(deps: EnrolDeps & Pick<Deps, "config" | "log">): Hono<ApiEnv> {
  const nonces = createNonces({
    nowMs: () => deps.clock.monotonicMs(),
    newNonce: () => deps.random.bytes(32).toString("base64url"),
  });
  // Two requests an enrolment. A person enrols a handful of servers; a script a few hundred, from one address.
  const perAddress = createRateLimiter({ limit: deps.config.limits.enrolmentsPerMinute, windowMs: 60_000 }, deps.clock);
  const routes = new Hono<ApiEnv>();
  routes.onError((error, c) => problemResponse(c, deps.log, error));

  const limited = bodyLimit({
    maxSize: BODY_MAX_BYTES,
    onError: () => {
      throw new AppError("body_too_large", `The body has more than ${BODY_MAX_BYTES} bytes.`);
    },
  });
  routes.post(NONCE_PATH, limited, async (c) => {
    perAddress.take(limitedAddress(c.var.clientAddress));
    const { tokenId } = await readBody(c, nonceRequestSchema);
    return answer(c, { nonce: nonces.issue(tokenId) });
  });
  routes.post(ENROL_PATH, limited, async (c) => {
    perAddress.take(limitedAddress(c.var.clientAddress));
    const { jws } = await readBody(c, enrolRequestSchema);
    return answer(c, { jws: await enrol(deps, nonces, jws, c.var.clientAddress) });
  });
  return routes;
}

async function readBody<S extends z.ZodType>(c: Context<ApiEnv>, schema: S): Promise<z.infer<S>> {
  const text = await c.req.text();
  const parsed = schema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({ field: issue.path.join("."), message: issue.message }));
  throw new AppError("invalid_input", `${errors[0]?.field || "body"}: ${errors[0]?.message}`, { details: { errors } });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("malformed_json", "The request's body is not valid JSON.", { cause });
  }
}

function answer(c: Context<ApiEnv>, body: object): Response {
  c.header("Cache-Control", "no-store");
  return c.json(body);
}
