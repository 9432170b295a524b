/** Deploys that fail: said so, with the cause and the container's last lines, Deploy stays, and nothing is left in Docker. */
import type { Operation, Problem } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { objectsOf, type Product, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

describe("a deploy that fails", () => {
  let product: Product;
  let environmentId: string;

  beforeAll(async () => {
    product = await startProduct({ agentConfig: { readyTimeoutMs: 4_000 } });
    environmentId = await product.environment();
  });
  afterAll(() => product?.stop());

  async function deployFails(
    name: string,
    extra: Record<string, unknown>,
  ): Promise<{ operation: Operation; log: string }> {
    const service = await product.createService(environmentId, name, extra);
    const operation = await product.run(service.id, "deploy");
    expect(operation.state).toBe("failed");
    expect(operation.label).toBe("Failed");
    const after = await until("settled", async () => {
      const now = await product.service(service.id);
      return now.openOperation === null ? now : undefined;
    });
    expect(after.state).toBe("not_deployed");
    expect(after.actions.deploy.verdict).toBe("allowed");
    expect(after.deployedAt).toBeNull();
    expect(objectsOf(product.serverId)).toEqual({ containers: [], volumes: [], networks: [] });
    const asked = await product.ask<Problem>("GET", `/services/${service.id}/credentials`);
    expect(asked.status).toBe(409);
    return { operation, log: (await product.log(operation.id)).join("\n") };
  }

  it("says that the image cannot be pulled", async () => {
    const { operation, log } = await deployFails("no-image", { version: "18-absent" });
    expect(operation.error?.code).toBe("image_pull_failed");
    expect(operation.error?.message).toContain("127.0.0.1:9/nobody/postgres:18");
    expect(log).toContain("127.0.0.1:9/nobody/postgres:18");
  });

  it("says that the port never became ready", async () => {
    const { operation, log } = await deployFails("never", { version: "18-never-ready" });
    expect(operation.error?.code).toBe("not_ready");
    expect(log.length).toBeGreaterThan(0);
  });

  it("says that the container exited, with its code and its last lines", async () => {
    const { operation, log } = await deployFails("exits", { version: "18-exits" });
    expect(operation.error?.code).toBe("container_exited");
    expect(operation.error?.message).toContain("3");
    expect(log).toMatch(/exit/i);
  });

  it("says that the memory limit killed it", async () => {
    const { operation } = await deployFails("tiny", { memoryBytes: 16 * 1024 * 1024 });
    expect(operation.error?.code).toBe("out_of_memory");
  });

  it("can be tried again under the same service", async () => {
    const service = await product.createService(environmentId, "retry", { version: "18-exits" });
    expect((await product.run(service.id, "deploy")).state).toBe("failed");
    expect((await product.run(service.id, "deploy")).state).toBe("failed");
    const { items } = await product.call<{ items: Operation[] }>("GET", `/services/${service.id}/operations`);
    expect(items.map((operation) => operation.state)).toEqual(["failed", "failed"]);
  });
});
