/** Ids, names and times as they travel: one schema each. */
import { z } from "zod";

/** UUIDv7 in lower case, made by `crypto.randomUUIDv7`. */
export const idSchema = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, "must be an id (UUIDv7)");

/** ISO 8601 in UTC, with milliseconds. */
export const timeSchema = z.iso.datetime().describe("ISO 8601, UTC");

/** 31 characters at most: the name is a DNS label, a database name and part of a backup's file name. */
export const SERVICE_NAME_MAX = 31;
export const SERVICE_NAME_PATTERN = /^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$/;

/** Names that the network inside an environment gives a meaning of its own, whatever the engine. */
export const RESERVED_SERVICE_NAMES: readonly string[] = ["localhost", "host", "gateway", "dflow", "internal"];

/** Why a service name is refused, or `undefined` when it is fine. `engineReserved` comes from the engine's entry. */
export function serviceNameProblem(name: string, engineReserved: readonly string[] = []): string | undefined {
  if (name.length === 0) return "Give the service a name.";
  if (name.length > SERVICE_NAME_MAX) return `The name has ${name.length} characters; ${SERVICE_NAME_MAX} are allowed.`;
  if (!SERVICE_NAME_PATTERN.test(name)) {
    return "Use lowercase letters a–z, digits and hyphens; start with a letter and end with a letter or a digit.";
  }
  const database = name.replaceAll("-", "_");
  if (RESERVED_SERVICE_NAMES.includes(name) || engineReserved.includes(name) || engineReserved.includes(database)) {
    return `“${name}” is reserved. Choose another name.`;
  }
  return undefined;
}

/** Signs that turn the direction of writing are no better than control characters: they change how words beside them read. */
const ONE_LINE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]*$/u;

/** The names that people give workspaces, applications, environments and servers: free text, one line. */
export const displayNameSchema = z
  .string()
  .trim()
  .min(1, "Give it a name.")
  .max(60, "60 characters at most.")
  // Not `regex`: the API's document knows no flags, and would hold a pattern that no name fits.
  .refine((name) => ONE_LINE.test(name), "A name is one line without control characters.");
