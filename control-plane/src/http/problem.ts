/** Turns anything thrown into a problem document. The one place of the HTTP side that logs an error. */
import { AppError, ERROR_STATUS, type ErrorCode, isAppError, type Problem, problemSchema } from "@dflow/protocol";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Logger } from "pino";
import { z } from "zod";
import { diskFull } from "../db/disk-full.ts";
import type { ApiEnv } from "./context.ts";

/** `details` of an AppError that a problem document shows. */
const shownDetails = z.object({
  errors: problemSchema.shape.errors.catch(undefined),
  operationId: problemSchema.shape.operationId.catch(undefined),
  retryAfterSeconds: z.number().int().positive().optional().catch(undefined),
});

export function problemResponse(c: Context<ApiEnv>, log: Logger, thrown: unknown): Response {
  const requestId = c.var.requestId;
  const noRoom = diskFull(thrown);
  const error = noRoom ?? expected(thrown);
  // A full disk is no bug, and yet for the operator to know of.
  if (error === undefined || noRoom !== undefined)
    log.error({ err: thrown, requestId, method: c.req.method, path: c.req.path }, "request failed");
  const shown =
    error ?? new AppError("internal", "Something went wrong in dFlow itself.", { hint: `Quote request ${requestId}.` });
  const { retryAfterSeconds, ...details } = shownDetails.parse(shown.details ?? {});
  const status = ERROR_STATUS[shown.code];
  const problem: Problem = {
    type: "about:blank",
    title: titleOf(shown.code),
    status,
    detail: shown.message,
    code: shown.code,
    hint: shown.hint,
    requestId,
    ...details,
  };
  if (retryAfterSeconds !== undefined) c.header("Retry-After", String(retryAfterSeconds));
  c.header("Content-Type", "application/problem+json");
  c.header("Cache-Control", "no-store");
  return c.body(JSON.stringify(problem), status as ContentfulStatusCode);
}

/** What the framework throws by itself, in our words; undefined for a bug. */
function expected(thrown: unknown): AppError | undefined {
  if (isAppError(thrown)) return thrown;
  if (!(thrown instanceof HTTPException)) return undefined;
  if (thrown.status === 400) return new AppError("malformed_json", "The request's body is not valid JSON.");
  if (thrown.status === 413) return new AppError("body_too_large", "The request's body is too large.");
  if (thrown.status === 415) {
    return new AppError("invalid_input", "The request's body is not declared as JSON.", {
      hint: "Send Content-Type: application/json.",
    });
  }
  return undefined;
}

function titleOf(code: ErrorCode): string {
  const words = code.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** An `invalid_input` that names the field. */
export function fieldError(field: string, message: string, code: ErrorCode = "invalid_input"): AppError {
  return new AppError(code, message, { details: { errors: [{ field, message }] } });
}
