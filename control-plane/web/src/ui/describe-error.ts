/** An error as a person reads it: what happened, what to do, and the details a report needs. */
import { isApiError } from "../api.ts";

export interface ErrorText {
  detail: string;
  hint: string | undefined;
  /** For the clipboard: code, request id, status. */
  details: string;
}

export function describeError(error: unknown): ErrorText {
  if (!isApiError(error)) {
    const detail = error instanceof Error ? error.message : String(error);
    return { detail, hint: undefined, details: detail };
  }
  const lines = [
    error.message,
    error.hint,
    `code: ${error.code}`,
    error.status > 0 ? `status: ${error.status}` : undefined,
    error.requestId === undefined ? undefined : `request: ${error.requestId}`,
    ...error.fields.map(({ field, message }) => `${field}: ${message}`),
  ];
  return { detail: error.message, hint: error.hint, details: lines.filter((line) => line !== undefined).join("\n") };
}

/** The message for one field of a form, when the server found fault with it. */
export function fieldError(error: unknown, field: string): string | undefined {
  if (!isApiError(error)) return undefined;
  const named = error.fields.find((entry) => entry.field === field);
  if (named !== undefined) return named.message;
  const aboutName = error.code === "name_taken" || error.code === "name_reserved";
  return aboutName && (field === "name" || field === "serverName") ? error.message : undefined;
}
