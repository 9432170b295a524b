import { expect, test } from "vitest";
import { createLog } from "./log.ts";

test("secrets are not written, at any usual depth", () => {
  const lines: string[] = [];
  const log = createLog("info", { write: (line) => lines.push(line) });
  log.info(
    { password: "geheim", spec: { secrets: { password: "geheim" } }, headers: { authorization: "geheim" } },
    "x",
  );
  log.error({ err: Object.assign(new Error("failed"), { token: "geheim" }), requestId: "r-1" }, "y");
  expect(lines.join("")).not.toContain("geheim");
  expect(lines.join("")).toContain("[redacted]");
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({ requestId: "r-1", err: { message: "failed" } });
});
