import { expect, test } from "vitest";
import { deviceCookie, deviceMark, deviceOf } from "./known-device.ts";

const ID = "AAAAAAAAAAAAAAAAAAAAAA";
const mark = deviceMark("secret", "a@example.test", ID);

test("a mark is known again, among other cookies and however the address is written", () => {
  expect(deviceOf("secret", "A@Example.test", `x=1; dflow.device=${mark}; y=2`)).toBe(ID);
});

test.each([
  ["of another account", "secret", "b@example.test", mark],
  ["of another control plane", "other", "a@example.test", mark],
  ["with another id", "secret", "a@example.test", mark.replace("A", "B")],
  ["cut short", "secret", "a@example.test", mark.slice(0, -1)],
  ["without a signature", "secret", "a@example.test", ID],
  ["that is empty", "secret", "a@example.test", ""],
])("a mark %s is none", (_what, secret, email, value) => {
  expect(deviceOf(secret, email, `dflow.device=${value}`)).toBe(undefined);
});

test("without cookies there is none", () => {
  expect(deviceOf("secret", "a@example.test", null)).toBe(undefined);
});

test("the cookie goes to the sign-in only, is out of scripts' reach, and says nothing of the account", () => {
  const line = deviceCookie(mark, true);
  expect(line).toContain("Path=/api/auth/sign-in; HttpOnly; SameSite=Strict; Secure");
  expect(deviceCookie(mark, false)).not.toContain("Secure");
  expect(line).not.toContain("example");
});
