/** Addresses. */
import { expect, it } from "vitest";
import { safeNext } from "./paths.ts";

it.each(["https://evil.example", "//evil.example", "/\\evil.example", "evil", undefined, 7, "/sign-in?next=/x"])(
  "never leaves the dashboard after signing in: %s",
  (next) => {
    expect(safeNext(next)).toBe("/applications");
  },
);

it("goes back to where one was, with its tab", () => {
  expect(safeNext("/services/1?tab=logs")).toBe("/services/1?tab=logs");
});
