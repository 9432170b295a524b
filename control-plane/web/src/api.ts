/** The one typed client of the API, and the one door through which every error of it comes. */
import type { ErrorCode, Problem } from "@dflow/protocol";
import createClient, { type Middleware } from "openapi-fetch";
import type { paths } from "./api-types.ts";
import { serverClock } from "./clock.ts";

/** `no_answer`: the control plane could not be reached. `bad_answer`: something that is not ours answered. */
export type ApiErrorCode = ErrorCode | "no_answer" | "bad_answer";

export interface FieldError {
  field: string;
  message: string;
}

/** Anything that went wrong with a call, in the words a person can use. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: ApiErrorCode;
  readonly hint: string | undefined;
  readonly fields: readonly FieldError[];
  readonly operationId: string | undefined;
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(problem: Partial<Omit<Problem, "code">> & { code: ApiErrorCode }, retryAfterSeconds?: number) {
    super(problem.detail ?? problem.title ?? "Something went wrong.");
    this.name = "ApiError";
    this.status = problem.status ?? 0;
    this.code = problem.code;
    this.hint = problem.hint;
    this.fields = problem.errors ?? [];
    this.operationId = problem.operationId;
    this.requestId = problem.requestId;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The error of an answer's body: a problem document, or the plain `{message, code}` of the sign-in routes. */
export function errorOf(status: number, body: unknown, headers?: Headers): ApiError {
  const said = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const retryAfter = Number(headers?.get("retry-after") ?? headers?.get("x-retry-after") ?? Number.NaN);
  const retryAfterSeconds = Number.isFinite(retryAfter) ? retryAfter : undefined;
  if (typeof said.detail === "string" && typeof said.code === "string") {
    return new ApiError({ ...(said as unknown as Problem), status }, retryAfterSeconds);
  }
  if (status === 429) {
    return new ApiError({ code: "rate_limited", status, detail: "Too many attempts." }, retryAfterSeconds);
  }
  if (status === 401) {
    const detail = typeof said.message === "string" ? said.message : "You are not signed in.";
    return new ApiError({ code: "unauthenticated", status, detail });
  }
  const detail = typeof said.message === "string" ? said.message : `The control plane answered with status ${status}.`;
  return new ApiError({ code: "bad_answer", status, detail, hint: "Try again; if it stays, look at its log." });
}

export function noAnswer(): ApiError {
  return new ApiError({
    code: "no_answer",
    detail: "The control plane does not answer.",
    hint: "Databases keep running meanwhile. This page catches up by itself when it is back.",
  });
}

export function isApiError(error: unknown): error is ApiError {
  return error instanceof ApiError;
}

const learnTheTime: Middleware = {
  onResponse({ response }) {
    serverClock.learn(response.headers.get("date"));
  },
};

export const client = createClient<paths>({ baseUrl: "", credentials: "same-origin" });
client.use(learnTheTime);

interface Answer<T> {
  data?: T | undefined;
  error?: unknown;
  response: Response;
}

/** The body of an answer, or an `ApiError`: `await call(client.GET(…))`. */
export async function call<T>(answering: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await answering;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw noAnswer();
  }
  if (!answer.response.ok) throw errorOf(answer.response.status, answer.error, answer.response.headers);
  return answer.data as T;
}

/** Sign-in and sign-out belong to the sign-in library, which the API's document does not describe. */
async function auth(path: string, body: unknown): Promise<void> {
  let response: Response;
  try {
    response = await fetch(`/api/auth/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw noAnswer();
  }
  if (response.ok) return;
  const said: unknown = await response.json().catch(() => undefined);
  throw errorOf(response.status, said, response.headers);
}

export const signIn = (email: string, password: string) => auth("sign-in/email", { email, password });
export const signOut = () => auth("sign-out", {});
