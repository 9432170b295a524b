/** What of a value may stand in a log: a copy in which fields named like secrets, and texts that are ones, are blotted out. */

const REDACTED = "[redacted]";

/** Compared without case, dashes and underscores: `Set-Cookie` and `setCookie` are one name. */
const SECRET_NAMES = new Set(
  [
    ["password", "pgpassword", "postgrespassword", "passwordhash", "secret", "secrets", "sealed", "uri"],
    ["token", "sessiontoken", "key", "apikey", "xapikey", "privatekey", "mackey", "jws", "mac", "nonce"],
    ["authorization", "proxyauthorization", "cookie", "setcookie"],
  ].flat(),
);

/** Secrets that are known by their look, wherever they stand. No class here matches a quote: a JSON line stays JSON. */
const SECRET_TEXTS: readonly [RegExp, string][] = [
  [/\b(dfk_|dfi_)[A-Za-z0-9_-]+/g, `$1${REDACTED}`],
  [/\b(jt1|rk1)\.[A-Za-z0-9._-]*[A-Za-z0-9_-]/g, `$1.${REDACTED}`],
  [/\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]+/gi, `$1 ${REDACTED}`],
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@"'\\,]*):[^\s/@"'\\,]+@/gi, `$1:${REDACTED}@`],
  [/(session_token=)[^;\s"'\\,]+/g, `$1${REDACTED}`],
];

/** Deeper than anything that we log on purpose. */
const DEEPEST = 12;

export function redactText(text: string): string {
  return SECRET_TEXTS.reduce((rest, [pattern, replacement]) => rest.replaceAll(pattern, replacement), text);
}

/** Texts inside are left to `redactText`, which sees the whole line. */
export function redact(value: unknown): unknown {
  return copy(value, []);
}

function copy(value: unknown, above: readonly object[]): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (above.includes(value)) return "[circular]";
  if (above.length >= DEEPEST) return "[too deep]";
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  const within = [...above, value];
  if (Array.isArray(value)) return value.map((entry) => copy(entry, within));
  const entries: [string, unknown][] = value instanceof Error ? partsOf(value) : Object.entries(value);
  return Object.fromEntries(
    entries.map(([name, entry]) => [name, isSecretName(name) ? REDACTED : copy(entry, within)]),
  );
}

function isSecretName(name: string): boolean {
  return SECRET_NAMES.has(name.toLowerCase().replaceAll(/[-_]/g, ""));
}

/** An error's own explanation lies in properties that are not enumerable. */
function partsOf(error: Error): [string, unknown][] {
  const { name, message, stack, cause } = error;
  const parts: [string, unknown][] = [["type", name], ["message", message], ["stack", stack], ...Object.entries(error)];
  if (error instanceof AggregateError) parts.push(["errors", error.errors]);
  if (cause !== undefined) parts.push(["cause", cause]);
  return parts;
}
