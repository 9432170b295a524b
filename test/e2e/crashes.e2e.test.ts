/** kill -9 of either process in the middle of a deploy: it ends once and truthfully, and nothing is lost. */
import type { Credentials, Operation, Service } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { objectsOf, type Product, psql, startProduct } from "../support/product.ts";
import { agreeWithin } from "../support/truth.ts";
import { until } from "../support/until.ts";

describe("kill -9 in the middle of a deploy", () => {
  let product: Product;
  let environmentId: string;

  beforeAll(async () => {
    product = await startProduct();
    environmentId = await product.environment();
  });
  afterAll(() => product?.stop());

  /** Starts a deploy and waits for a moment in it, seen in its log. */
  async function deployUntil(name: string, line: RegExp): Promise<{ service: Service; operation: Operation }> {
    const service = await product.createService(environmentId, name);
    const operation = await product.call<Operation>("POST", `/services/${service.id}/deploy`);
    await until(`log line ${line}`, async () => line.test((await product.log(operation.id)).join("\n")));
    return { service, operation };
  }

  async function endsWell(service: Service, operation: Operation): Promise<void> {
    const ended = await product.ended(operation.id);
    expect(ended).toMatchObject({ state: "succeeded", error: null });
    const { items } = await product.call<{ items: Operation[] }>("GET", `/services/${service.id}/operations`);
    expect(items).toHaveLength(1);
    expect(objectsOf(product.serverId).containers.filter((container) => container.includes(service.id))).toHaveLength(
      1,
    );
    const { uri } = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);
    expect((await psql(environmentId, uri, "select 1")).output.trim()).toBe("1");
    await until("running", async () => (await product.service(service.id)).state === "running");
    await agreeWithin(product, [service.id], 10_000);
  }

  it("of the agent: the deploy goes on after its start and ends once", async () => {
    const { service, operation } = await deployUntil(
      "agent-dies",
      /initdb|database system|creating|Fixing|files belonging/i,
    );
    await product.agent.kill();
    await until(
      "unreachable",
      async () => (await product.call("GET", `/servers/${product.serverId}`)).link === "unreachable",
    );
    expect((await product.service(service.id)).openOperation?.id).toBe(operation.id);
    product.agent.start();
    await endsWell(service, operation);
  });

  it("of the control plane: nothing is lost, the log is whole", async () => {
    const { service, operation } = await deployUntil("plane-dies", /image/i);
    await product.controlPlane.kill();
    product.controlPlane.start();
    await until("ready again", async () => (await fetch(`${product.url}/readyz`).catch(() => undefined))?.ok);
    await endsWell(service, operation);
    const { lines, complete } = await product.call<{ lines: { n: number }[]; complete: boolean }>(
      "GET",
      `/operations/${operation.id}/log`,
    );
    expect(complete).toBe(true);
    expect(lines.map(({ n }) => n)).toEqual(lines.map((_, index) => index));
  });

  it("of both: the deploy still ends once", async () => {
    const { service, operation } = await deployUntil("both-die", /image/i);
    await Promise.all([product.agent.kill(), product.controlPlane.kill()]);
    product.controlPlane.start();
    product.agent.start();
    await until("ready again", async () => (await fetch(`${product.url}/readyz`).catch(() => undefined))?.ok);
    await endsWell(service, operation);
  });

  it("of the agent while a database runs: its status is grey with its age, then true again", async () => {
    const service = await product.createService(environmentId, "steady");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
    await product.agent.kill();
    const away = await until("unreachable", async () => {
      const now = await product.service(service.id);
      return now.state === "unreachable" ? now : undefined;
    });
    expect(away.actions.restart).toMatchObject({ verdict: "refused", code: "server_unreachable" });
    const { uri } = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);
    expect((await psql(environmentId, uri, "select 1")).output.trim()).toBe("1");
    product.agent.start();
    await until("running", async () => (await product.service(service.id)).state === "running");
  });
});
