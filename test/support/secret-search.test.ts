/** The search for secrets finds what was planted, in each form, and nothing else. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createSearch, formsOf } from "./secret-search.ts";

const PASSWORD = 'Tr0ub4dor&3 with “quotes" and / + %';
const KEY = randomBytes(32).toString("base64url");
const search = createSearch([
  { kind: "password", text: PASSWORD },
  { kind: "key", text: KEY },
]);
const around = (text: string | Buffer) =>
  Buffer.concat([randomBytes(997), Buffer.from(text as string), randomBytes(1_003)]);
const kinds = (haystack: Buffer) => [...new Set(search(haystack).map(({ kind }) => kind))];

test.each([
  ["raw", (text: string) => text],
  ["percent-encoded", encodeURIComponent],
  ["in JSON", (text: string) => JSON.stringify({ a: [text] })],
  ["in hex", (text: string) => Buffer.from(text).toString("hex")],
  ["in upper-case hex", (text: string) => Buffer.from(text).toString("hex").toUpperCase()],
  ["in a URL", (text: string) => new URL(`postgres://u:${encodeURIComponent(text)}@h/d`).href],
  ["in a cookie", (text: string) => `a=b; session=${encodeURIComponent(text)}.sig`],
])("finds both secrets %s", (_form, write) => {
  expect(kinds(around(write(PASSWORD)))).toEqual(["password"]);
  expect(kinds(around(write(KEY)))).toEqual(["key"]);
});

test.each([0, 1, 2, 3, 4, 5])("finds them in base64 and base64url, %i bytes into a longer text", (offset) => {
  for (const [kind, text] of [
    ["password", PASSWORD],
    ["key", KEY],
  ] as const) {
    const longer = Buffer.concat([randomBytes(offset), Buffer.from(text), randomBytes(7)]);
    expect(kinds(around(longer.toString("base64")))).toEqual([kind]);
    expect(kinds(around(longer.toString("base64url")))).toEqual([kind]);
  }
});

test.each(["latin1", "hex", "base64", "base64url"] as const)(
  "finds a key by the bytes that it stands for, as %s",
  (form) => {
    const bytes = Buffer.concat([randomBytes(4), Buffer.from(KEY, "base64url"), randomBytes(4)]);
    expect(kinds(around(Buffer.from(bytes.toString(form), "latin1")))).toEqual(["key"]);
  },
);

test("finds a secret at the very beginning and at the very end, and names both", () => {
  const hits = search(Buffer.from(`${PASSWORD} ${KEY}`));
  expect(hits).toContainEqual({ kind: "password", form: "raw" });
  expect(hits).toContainEqual({ kind: "key", form: "raw" });
});

test("finds nothing in a part of a secret, in another of its kind, or in nothing", () => {
  const others = [KEY.slice(0, -2), KEY.toLowerCase(), randomBytes(32).toString("base64url"), "", "abc"];
  expect(others.flatMap((text) => search(around(text)))).toEqual([]);
  expect(search(Buffer.alloc(0))).toEqual([]);
  expect(search(Buffer.from(`cut off: ${KEY.slice(0, 20)}`))).toEqual([]);
});

test("refuses a secret so short that it would be found by chance", () => {
  expect(() => createSearch([{ kind: "pin", text: "1234" }])).toThrow("by chance");
});

test("knows each form once", () => {
  const texts = [...formsOf(KEY).values()].map((bytes) => bytes.toString("latin1"));
  expect(new Set(texts).size).toBe(texts.length);
});
