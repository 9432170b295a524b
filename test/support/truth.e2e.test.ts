/** The witnesses are really asked: what is falsified behind the product's back is found, each in its own sentence. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Service } from "@dflow/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { clientImage, docker, type Product, startProduct } from "./product.ts";
import { agreeWithin, disagreements } from "./truth.ts";

let product: Product;
let service: Service;
beforeAll(async () => {
  product = await startProduct();
  service = await product.createService(await product.environment(), "witnessed");
  expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
});
afterAll(() => product?.stop());

/** What is said while the file is falsified; it is put right again. */
async function saidWith(path: string, falsify: string, restore: string): Promise<string[]> {
  const file = new DatabaseSync(join(product.home, path));
  try {
    file.exec("PRAGMA busy_timeout = 5000");
    file.exec(falsify);
    return await disagreements(product, [service.id]);
  } finally {
    file.exec(restore);
    file.close();
  }
}

it("finds nothing while all is well, running or stopped", async () => {
  expect(await agreeWithin(product, [service.id], 10_000)).toBeLessThan(10_000);
  expect((await product.run(service.id, "stop")).state).toBe("succeeded");
  await agreeWithin(product, [service.id], 10_000);
  expect((await product.run(service.id, "restart")).state).toBe("succeeded");
  await agreeWithin(product, [service.id], 10_000);
});

it("asks the control plane's file and the API: a log line that is gone, an outcome that changed", async () => {
  const line = "operation_log WHERE n = 1";
  const gap = await saidWith(
    "control-plane/control-plane.sqlite",
    `CREATE TABLE kept AS SELECT * FROM ${line}; DELETE FROM ${line}`,
    "INSERT INTO operation_log SELECT * FROM kept; DROP TABLE kept",
  );
  expect(gap.join("\n")).toMatch(/numbers the log's lines 0, 2-\d+, not from 0 without gap or repeat/);
  const changed = await saidWith(
    "control-plane/control-plane.sqlite",
    "UPDATE operation SET state = 'failed' WHERE kind = 'stop'",
    "UPDATE operation SET state = 'succeeded' WHERE kind = 'stop'",
  );
  expect(changed.join("\n")).toMatch(/stop .*: the control plane says failed, the journal says succeeded/);
});

it("asks the journal, and checks its rows", async () => {
  const damaged = await saidWith(
    "agent/journal.db",
    "UPDATE volumes SET sha256 = 'x' || sha256",
    "UPDATE volumes SET sha256 = substr(sha256, 2)",
  );
  expect(damaged.join("\n")).toMatch(/row dflow-vol-.* of volumes does not match its checksum/);
});

it("asks Docker: a container, a policy and a network that nobody ordered", async () => {
  const label = (name: string, value: string) => ["--label", `sh.dflow.${name}=${value}`];
  const stray = [...label("agent", product.serverId), ...label("service", product.serverId)];
  docker("create", "--name", `dflow-stray-${service.id}`, ...stray, clientImage());
  docker(
    "network",
    "create",
    ...label("agent", product.serverId),
    ...label("environment", "none"),
    `dflow-${service.id}`,
  );
  const containerId = (await product.service(service.id)).observed.containerId ?? "";
  docker("update", "--restart", "no", containerId);
  const said = (await disagreements(product, [service.id])).join("\n");
  expect(said).toMatch(/Docker has dflow-stray-.*, and the control plane has no such service/);
  expect(said).toMatch(/Docker has network dflow-.*, and no service is left in it/);
  expect(said).toMatch(/Docker would not bring it back \(restart policy no\)/);
});

it("finds a badge that Docker contradicts", async () => {
  await product.agent.kill();
  const [container] = docker("ps", "-q", "--filter", `label=sh.dflow.service=${service.id}`).split("\n");
  docker("rm", "-f", container ?? "");
  const said = (await disagreements(product, [service.id])).join("\n");
  expect(said).toMatch(/the API says (running|unreachable), Docker has no container/);
  expect(said).toMatch(/the API saw container [0-9a-f]+, Docker has none/);
});
