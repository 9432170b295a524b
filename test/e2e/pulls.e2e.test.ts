/** Deploys whose image comes from a real registry: progress by layer, and each way to fail in its own words. */
import type { Operation } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker } from "../support/docker-engine.ts";
import { clientImage, objectsOf, type Product, startProduct, tryDocker } from "../support/product.ts";
import { type Registry, startRegistry } from "../support/registry.ts";

describe("a pull", () => {
  let registry: Registry;
  let product: Product;
  let environmentId: string;
  const pulled: string[] = [];

  beforeAll(async () => {
    registry = await startRegistry({ docker });
    const fresh = await registry.pushFresh("dflow/postgres:18", [6 << 20, 5 << 20], clientImage());
    const name = fresh.slice(fresh.indexOf("/"));
    const slow = await registry.front({ kind: "throttle", bytesPerSecond: 4 << 20 });
    const login = await registry.front({ kind: "unauthorized", challenge: "basic" });
    const absent = await registry.front({ kind: "no-manifest" });
    const cut = await registry.front({ kind: "cut", atByte: 100_000 });
    const images = Object.fromEntries(
      Object.entries({ slow, login, absent, cut }).map(([version, front]) => [
        `18-${version}`,
        { image: `${front.address}${name}` },
      ]),
    );
    pulled.push(...Object.values(images).map(({ image }) => image));
    product = await startProduct({ images });
    environmentId = await product.environment();
  });
  afterAll(async () => {
    await product?.stop();
    for (const image of pulled) await tryDocker(["rmi", "-f", image]);
    await registry?.stop();
  });

  async function deploy(version: string): Promise<{ operation: Operation; log: string[] }> {
    const service = await product.createService(environmentId, `from-${version}`, { version: `18-${version}` });
    const operation = await product.run(service.id, "deploy");
    return { operation, log: await product.log(operation.id) };
  }

  async function fails(version: string): Promise<{ operation: Operation; log: string }> {
    const { operation, log } = await deploy(version);
    expect(operation.state).toBe("failed");
    expect(objectsOf(product.serverId)).toEqual({ containers: [], volumes: [], networks: [] });
    return { operation, log: log.join("\n") };
  }

  it("that asks for a login says so", async () => {
    const { operation } = await fails("login");
    expect(operation.error?.code).toBe("image_unauthorized");
    expect(operation.error?.hint).toBeTruthy();
  });

  it("of an image that the registry does not have says so", async () => {
    const { operation } = await fails("absent");
    expect(operation.error?.code).toBe("image_not_found");
  });

  it("whose connection is cut says that, not that the image is missing", async () => {
    const { operation, log } = await fails("cut");
    expect(operation.error?.code).toBe("image_pull_failed");
    expect(`${operation.error?.message}\n${log}`).toMatch(/EOF|reset|unexpected|cut|broke/i);
  });

  it("shows its progress by layer in the deployment's log, and the deploy succeeds", async () => {
    const { operation, log } = await deploy("slow");
    expect(operation.error).toBeNull();
    expect(operation.state).toBe("succeeded");
    const progress = log.map((line) => /^([0-9a-f]{12}): Downloading [\d.]+ of [\d.]+ MiB$/.exec(line)?.[1]);
    const layers = new Set(progress.filter((layer) => layer !== undefined));
    expect(layers.size, log.join("\n")).toBeGreaterThanOrEqual(2);
    expect(operation.timings?.pullMs).toBeGreaterThan(500);
  });
});
