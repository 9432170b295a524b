/** The closed list of error codes, the error both sides throw, and its RFC 9457 form on HTTP. */
import { z } from "zod";

/** Every code with its HTTP status. A new failure that a user can act on gets a code of its own here. */
export const ERROR_STATUS = {
  // What came in.
  invalid_input: 400,
  malformed_json: 400,
  body_too_large: 413,
  unauthenticated: 401,
  forbidden: 403,
  bad_origin: 403,
  not_found: 404,
  rate_limited: 429,
  // Names and things that live in each other.
  name_taken: 409,
  name_reserved: 400,
  not_empty: 409,
  confirmation_mismatch: 400,
  // The guard table.
  operation_open: 409,
  already_deployed: 409,
  not_deployed: 409,
  data_missing: 409,
  server_unreachable: 409,
  server_quarantined: 409,
  already_stopped: 409,
  not_running: 409,
  not_cancellable: 409,
  not_settleable: 409,
  not_open: 409,
  // Engines.
  unknown_engine: 400,
  unknown_version: 400,
  // Enrolment and sign-in.
  token_invalid: 401,
  token_expired: 401,
  token_used: 409,
  invitation_invalid: 400,
  // What a command can end with (never an HTTP answer by themselves).
  policy_refused: 422,
  stale_generation: 409,
  image_not_found: 502,
  image_unauthorized: 502,
  image_pull_failed: 502,
  docker_unavailable: 503,
  docker_failed: 502,
  container_exited: 502,
  out_of_memory: 502,
  not_ready: 504,
  identity_mismatch: 409,
  volume_missing: 409,
  check_failed: 502,
  network_exhausted: 503,
  disk_full: 507,
  cancelled: 409,
  expired: 409,
  timed_out: 504,
  outcome_unknown: 500,
  service_busy: 409,
  unsupported: 501,
  log_unavailable: 409,
  // A bug of ours, shown with the request id.
  internal: 500,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;
export const errorCodeSchema = z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]);

/** An expected failure: `message` names the thing, `hint` says what to do next. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Record<string, unknown> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }
}

export function isAppError(error: unknown): error is AppError {
  return error instanceof AppError;
}

/** The text of anything thrown, for a log line or a wrapped message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An error as it is stored with an operation and travels in a `result`. */
export const failureSchema = z.object({
  code: errorCodeSchema,
  message: z.string().max(4000),
  hint: z.string().max(2000).optional(),
});
export type Failure = z.infer<typeof failureSchema>;

/** RFC 9457 problem document: the body of every HTTP error. */
export const problemSchema = z.object({
  type: z.string().describe("`about:blank`; the meaning is in `code`"),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().describe("What happened, to what"),
  code: errorCodeSchema,
  hint: z.string().optional().describe("What the reader can do next"),
  requestId: z.string().optional(),
  errors: z
    .array(z.object({ field: z.string(), message: z.string() }))
    .optional()
    .describe("One entry a wrong field of the request"),
  operationId: z.string().optional().describe("With `operation_open`: the operation that is open"),
});
export type Problem = z.infer<typeof problemSchema>;
