import { expect, test } from "vitest";
import { createLog } from "./log.ts";

test("an error that carries a token, a password, a header and a cookie is written without them", () => {
  const lines: string[] = [];
  const log = createLog("debug", { write: (line) => lines.push(line) });
  const error = Object.assign(
    new Error("jt1.0199.geheim.x is not valid at postgres://postgres:geheim@orders:5432/orders"),
    {
      token: "geheim",
      request: { options: { headers: { Authorization: "Bearer geheim", Cookie: "a=geheim" }, password: "geheim" } },
      cause: new Error("Bearer geheim"),
    },
  );
  log.error({ err: error, secrets: { password: "geheim" }, operationId: "o-1" }, "Bearer geheim");
  log.debug({ frame: { data: { spec: { name: "orders" }, secrets: { password: "geheim" } } } }, "sent");
  expect(lines.join("")).not.toContain("geheim");
  const [first, second] = lines.map((line) => JSON.parse(line));
  expect(first).toMatchObject({ operationId: "o-1", err: { message: expect.stringContaining("@orders:5432/orders") } });
  expect(first.err.stack).toContain("log.test.ts");
  expect(second.frame.data.spec).toEqual({ name: "orders" });
});

test("lines below the level are not written, and a line names no process", () => {
  const lines: string[] = [];
  const log = createLog("info", { write: (line) => lines.push(line) });
  log.debug({}, "unseen");
  log.info({ generation: 1 }, "seen");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { level: 30, time: expect.any(Number), generation: 1, msg: "seen" },
  ]);
});
