import { expect, test } from "vitest";
import { createLog } from "./log.ts";

function written(): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog("debug", { write: (line) => lines.push(line) }) };
}

test("secrets are not written, at any depth", () => {
  const { lines, log } = written();
  log.info(
    { password: "geheim", spec: { secrets: { password: "geheim" } }, headers: { authorization: "geheim" } },
    "x",
  );
  log.error({ err: Object.assign(new Error("failed"), { token: "geheim" }), requestId: "r-1" }, "y");
  log.debug({ a: { b: { c: { d: { Cookie: "geheim", "set-cookie": ["geheim"] } } } } }, "z");
  expect(lines.join("")).not.toContain("geheim");
  expect(lines.join("")).toContain("[redacted]");
  expect(JSON.parse(lines[1] ?? "")).toMatchObject({ requestId: "r-1", err: { message: "failed" } });
});

test("an error with a request, a cause and a message full of secrets keeps none of them", () => {
  const { lines, log } = written();
  const cause = Object.assign(new Error("Bearer geheim was refused by postgres://shop:geheim@orders/shop"), {
    response: { config: { headers: { Authorization: "Bearer geheim", cookie: "dflow.session_token=geheim" } } },
  });
  const error = Object.assign(new Error("dfk_geheim is not jt1.0199.geheim.x", { cause }), { password: "geheim" });
  log.error({ err: error }, "failed with dfi_geheim");
  log.fatal(error);
  log.child({ requestId: "r-2" }).warn("postgres://shop:geheim@orders/shop");
  expect(lines).toHaveLength(3);
  expect(lines.join("")).not.toContain("geheim");
  const [first] = lines.map((line) => JSON.parse(line));
  expect(first.err).toMatchObject({ type: "Error", message: "dfk_[redacted] is not jt1.[redacted]" });
  expect(first.err.stack).toContain("log.test.ts");
  expect(first.err.cause.message).toContain("was refused by postgres://shop:[redacted]@orders/shop");
});
