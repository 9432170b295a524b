import { describe, expect, test } from "vitest";
import { redact, redactText } from "./redact.ts";

const SECRET = "geheim-geheim-geheim";

/** As it would stand in a log. */
const written = (value: unknown) => redactText(JSON.stringify(redact(value)));

describe("a field whose name is a secret's", () => {
  test.each([
    ["password", "token", "secret", "secrets", "key", "apiKey", "uri", "jws", "sealed", "mac", "nonce"],
    ["Authorization", "Cookie", "Set-Cookie", "X-API-Key", "PGPASSWORD", "POSTGRES_PASSWORD", "private_key"],
  ])("never shows its value, however it is spelled and however deep it lies", (...names) => {
    for (const name of names) {
      const seen = written({ a: { b: [{ c: { d: { [name]: { deeper: SECRET } } } }] } });
      expect([name, seen.includes(SECRET), seen.includes("[redacted]")]).toEqual([name, false, true]);
    }
  });

  test("is told from one that only sounds like it", () => {
    const fields = { tokenId: "t-1", keyId: "k-1", passwordChanged: true, cookies: 2, path: "/a", startedAt: 3 };
    expect(redact(fields)).toEqual(fields);
  });
});

describe("an error", () => {
  test("keeps what explains it and loses what it carries", () => {
    const cause = Object.assign(new Error("below"), { response: { headers: { "set-cookie": [SECRET] } } });
    const error = Object.assign(new TypeError("above", { cause }), {
      code: "E_ABOVE",
      token: SECRET,
      config: { headers: { Authorization: `Bearer ${SECRET}`, cookie: SECRET }, auth: { password: SECRET } },
    });
    const seen = redact({ err: error }) as { err: Record<string, unknown> };
    expect(seen.err).toMatchObject({
      type: "TypeError",
      message: "above",
      code: "E_ABOVE",
      cause: { message: "below" },
    });
    expect(seen.err.stack).toContain("redact.test.ts");
    expect(written({ err: error })).not.toContain(SECRET);
    expect(written({ err: new AggregateError([error], "several") })).not.toContain(SECRET);
  });

  test("that names itself as its cause is written once", () => {
    const error: Error & { self?: unknown } = new Error("round");
    error.self = error;
    error.cause = error;
    expect(written({ err: error })).toContain("[circular]");
  });
});

describe("a text", () => {
  test.each([
    [`Authorization: Bearer ${SECRET}`, "Bearer [redacted]"],
    [`the key dfk_${SECRET} is unknown`, "dfk_[redacted] is unknown"],
    [`invite#dfi_${SECRET}`, "dfi_[redacted]"],
    [`token jt1.0199-aa.${SECRET}.thumb, twice`, "jt1.[redacted], twice"],
    [`token rk1.0199-aa.${SECRET}.thumb, twice`, "rk1.[redacted], twice"],
    [`connect to postgres://shop:${SECRET}@orders:5432/shop`, "postgres://shop:[redacted]@orders:5432/shop"],
    [`redis://:${SECRET}@cache:6379`, "redis://:[redacted]@cache:6379"],
    [`Cookie: dflow.session_token=${SECRET}.abc; theme=dark`, "dflow.session_token=[redacted]; theme=dark"],
  ])("loses the secret in it and nothing else: %s", (text, rest) => {
    expect(redactText(text)).toContain(rest);
    expect(redactText(text)).not.toContain(SECRET);
  });

  test("without a secret stays as it is, as a line of JSON too", () => {
    const line = JSON.stringify({ url: "http://127.0.0.1:3100", mail: "a@b.test", text: "Bearer of news\n", n: 1 });
    expect(JSON.parse(redactText(line))).toEqual({ ...JSON.parse(line), text: "Bearer [redacted] news\n" });
    expect(redactText("GET /api/v1/services at 10.0.0.1:22 by a@b.test")).toBe(
      "GET /api/v1/services at 10.0.0.1:22 by a@b.test",
    );
  });
});

test("bytes are counted and not shown; dates, numbers and nothing stay", () => {
  const at = new Date(0);
  expect(redact({ frame: new Uint8Array([1, 2, 3]), at, n: 1, none: null, gone: undefined })).toEqual({
    frame: "[3 bytes]",
    at,
    n: 1,
    none: null,
    gone: undefined,
  });
});
