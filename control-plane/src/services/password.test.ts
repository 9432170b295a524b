import { expect, test } from "vitest";
import { createPlatform } from "../platform.ts";
import { newPassword } from "./password.ts";

test("a password has 32 characters of letters and digits, and no two are alike", () => {
  const { random } = createPlatform();
  const passwords = Array.from({ length: 200 }, () => newPassword(random));
  for (const password of passwords) expect(password).toMatch(/^[A-Za-z0-9]{32}$/);
  expect(new Set(passwords).size).toBe(200);
});

test("bytes that would favour some characters are thrown away", () => {
  // 248…255 are beyond 4 × 62; taken modulo they would be A…H again.
  const bytes = (count: number) => Buffer.from(Array.from({ length: count }, (_, n) => (n % 2 === 0 ? 250 : 61)));
  expect(newPassword({ bytes })).toBe("9".repeat(32));
});

test("every character is about as likely as any other", () => {
  const { random } = createPlatform();
  const counts = new Map<string, number>();
  for (let n = 0; n < 2_000; n += 1) {
    for (const character of newPassword(random)) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  expect(counts.size).toBe(62);
  const expected = (2_000 * 32) / 62;
  for (const count of counts.values()) {
    expect(count).toBeGreaterThan(expected * 0.8);
    expect(count).toBeLessThan(expected * 1.2);
  }
});
