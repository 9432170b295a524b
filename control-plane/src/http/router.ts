/** A router whose routes are also the API's document, and the pieces that route definitions share. */
import { AppError, problemSchema } from "@dflow/protocol";
import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { ApiEnv } from "./context.ts";

export type ApiRouter = OpenAPIHono<ApiEnv>;

export function createRouter(): ApiRouter {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const errors = result.error.issues.map((issue) => ({
        field: issue.path.join(".") || result.target,
        message: issue.message,
      }));
      const [first] = errors;
      throw new AppError(
        "invalid_input",
        first === undefined ? "The request is not valid." : `${first.field}: ${first.message}`,
        {
          details: { errors },
        },
      );
    },
  });
}

/** Ids are checked by looking them up: a text that is no id is a thing that does not exist. */
export const idParams = z.object({ id: z.string().max(100) });

const problem = problemSchema.meta({ id: "Problem" });

const PROBLEM_WORDS = {
  400: "The request is not valid",
  401: "No session and no API key",
  403: "The caller's role does not reach, or the request came from another site",
  404: "There is no such thing, or it is in a workspace of others",
  409: "Not possible in the present state",
  413: "The body is too large",
  429: "Too many requests; see Retry-After",
} as const;
type ProblemStatus = keyof typeof PROBLEM_WORDS;

/** The error answers of a route. */
export function problems<const S extends ProblemStatus>(...statuses: S[]) {
  const entries = statuses.map((status) => [
    status,
    { description: PROBLEM_WORDS[status], content: { "application/problem+json": { schema: problem } } },
  ]);
  return Object.fromEntries(entries) as Record<
    S,
    { description: string; content: { "application/problem+json": { schema: typeof problem } } }
  >;
}

/** What every route behind the sign-in can answer. */
export const guarded = problems(400, 401, 403, 404, 413, 429);

export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { "application/json": { schema } } };
}

export function jsonBody<S extends z.ZodType>(schema: S) {
  return { body: { content: { "application/json": { schema } }, required: true } };
}

export function optionalJsonBody<S extends z.ZodType>(schema: S) {
  return { body: { content: { "application/json": { schema } }, required: false } };
}

export const noContent = { description: "Done" };

/** "true" or "false" in a query. */
export const flag = z
  .enum(["true", "false"])
  .transform((text) => text === "true")
  .openapi({ type: "boolean" });
