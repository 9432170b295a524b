/** One way to start an agent: what is measured and tested is what a server runs. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { AGENT_NODE_FLAGS } from "../../scripts/agent-flags.ts";

const ROOT = resolve(import.meta.dirname, "../..");

it.each([
  ["scripts/agent", /exec "\$NODE" (.*) "\$ROOT\/dist\/agent\.mjs"/],
  ["agent/dflow-agent.service", /^ExecStart=@RELEASE@\/node (.*) @RELEASE@\/agent\.mjs run /m],
])("%s starts Node with the flags that the benchmark measured", (path, line) => {
  const flags = line.exec(readFileSync(join(ROOT, path), "utf8"))?.[1];
  expect(flags?.split(" ")).toEqual(AGENT_NODE_FLAGS);
});
