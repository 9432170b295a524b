/** The one door of errors. */
import { describe, expect, it } from "vitest";
import { call, errorOf } from "./api.ts";
import { describeError, fieldError } from "./ui/describe-error.ts";

const problem = {
  type: "about:blank",
  title: "Conflict",
  status: 409,
  detail: "There is a service named orders-db already.",
  code: "name_taken",
  hint: "Choose another name.",
  requestId: "r-1",
};

describe("an answer that is an error", () => {
  it("keeps the words of the problem document", () => {
    const error = errorOf(409, problem);
    expect(error).toMatchObject({ code: "name_taken", message: problem.detail, hint: problem.hint, requestId: "r-1" });
    expect(describeError(error).details).toContain("request: r-1");
  });

  it("says when to try again after too many attempts", () => {
    const error = errorOf(429, {}, new Headers({ "retry-after": "12" }));
    expect(error).toMatchObject({ code: "rate_limited", retryAfterSeconds: 12 });
  });

  it("does not take a proxy's page for ours", () => {
    expect(errorOf(502, "<html>")).toMatchObject({ code: "bad_answer", status: 502 });
  });

  it("says that nobody answers when nobody does", async () => {
    await expect(call(Promise.reject(new TypeError("fetch failed")))).rejects.toMatchObject({ code: "no_answer" });
  });
});

describe("a field's error", () => {
  it("is the one that names the field", () => {
    const error = errorOf(400, { ...problem, code: "invalid_input", errors: [{ field: "version", message: "No." }] });
    expect(fieldError(error, "version")).toBe("No.");
    expect(fieldError(error, "name")).toBeUndefined();
  });

  it("is the whole error when that is about the name", () => {
    expect(fieldError(errorOf(409, problem), "name")).toBe(problem.detail);
  });
});
