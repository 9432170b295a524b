/** A disk that is full under the agent, and under the control plane: refused in words, nothing lost, and it goes on by itself. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Operation, Problem, Service } from "@dflow/protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Product, startProduct } from "../support/product.ts";
import { mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { agreeWithin } from "../support/truth.ts";
import { until } from "../support/until.ts";

const obstacle = process.getuid?.() === 0 ? undefined : "mounting a small disk needs root";
const SIZE_MIB = 16;

describe("a full disk", () => {
  let product: Product;
  let agentDisk: SmallDisk;
  let planeDisk: SmallDisk;
  let service: Service;

  beforeAll(async () => {
    if (obstacle !== undefined) return;
    product = await startProduct({
      home: {
        prepare(home) {
          agentDisk = mountSmallDisk(join(home, "agent"), SIZE_MIB);
          planeDisk = mountSmallDisk(join(home, "control-plane"), SIZE_MIB);
        },
        release() {
          agentDisk.unmount();
          planeDisk.unmount();
        },
      },
    });
    service = await product.createService(await product.environment(), "orders");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
  });
  afterAll(() => product?.stop());
  beforeEach(({ skip }) => skip(obstacle !== undefined, obstacle));

  const isOnline = async () => (await product.service(service.id)).server.link === "online";
  const pids = () => [product.agent.pid, product.controlPlane.pid];

  it("of the agent: an action is refused with that reason, the database runs on, and later all works again", async () => {
    const before = pids();
    agentDisk.fill("journal.db");
    const refused = await product.run(service.id, "restart");
    expect(refused).toMatchObject({ state: "failed", error: { code: "disk_full" } });
    expect(refused.error?.hint).toMatch(/Free space/);
    expect((await product.service(service.id)).state).toBe("running");
    agentDisk.free();
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    await agreeWithin(product, [service.id], 10_000);
    expect(pids()).toEqual(before);
    expect([product.agent.endedByItself(), product.controlPlane.endedByItself()]).toEqual([undefined, undefined]);
  });

  it("of the agent in the middle of a restart: the outcome waits for room, and is then told", async () => {
    const operation = await product.call<Operation>("POST", `/services/${service.id}/restart`);
    await until(
      "it to run",
      async () => (await product.call<Operation>("GET", `/operations/${operation.id}`)).startedAt,
    );
    agentDisk.fill("journal.db");
    await new Promise((done) => setTimeout(done, 5_000));
    agentDisk.free();
    const ended = await product.ended(operation.id);
    expect(["succeeded", "failed"]).toContain(ended.state);
    await agreeWithin(product, [service.id], 10_000);
  });

  it("of the agent when it starts: it waits for room, says so, and is back by itself", async () => {
    await product.agent.kill();
    // The index of the write-ahead log, which SQLite makes anew, for which there is now no block left.
    rmSync(join(product.home, "agent", "journal.db-shm"));
    agentDisk.fill();
    product.agent.start();
    await until("its word", () => product.agent.log().includes("waits for room on its disk"));
    agentDisk.free();
    await until("the agent to be back", isOnline, 30_000);
    expect(product.agent.endedByItself()).toBeUndefined();
    await agreeWithin(product, [service.id], 10_000);
  });

  it("of the control plane: the API refuses with that reason, still shows what it knows, and recovers by itself", async () => {
    const before = pids();
    planeDisk.fill("control-plane.sqlite");
    const refused = await product.ask<Problem>("POST", `/services/${service.id}/restart`);
    expect([refused.status, refused.body.code]).toEqual([507, "disk_full"]);
    expect(refused.body.hint).toMatch(/Free space/);
    const shown = await product.ask<Service>("GET", `/services/${service.id}`);
    expect(shown.status).toBe(200);
    expect(["running", "unreachable"]).toContain(shown.body.state);
    planeDisk.free();
    await until("the agent to be back", isOnline);
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    await agreeWithin(product, [service.id], 10_000);
    expect(pids()).toEqual(before);
  });

  it("of the control plane while an operation runs: its result comes when there is room", async () => {
    const operation = await product.call<Operation>("POST", `/services/${service.id}/restart`);
    planeDisk.fill("control-plane.sqlite");
    await new Promise((done) => setTimeout(done, 5_000));
    planeDisk.free();
    expect((await product.ended(operation.id)).state).toBe("succeeded");
    await agreeWithin(product, [service.id], 10_000);
    expect([product.agent.endedByItself(), product.controlPlane.endedByItself()]).toEqual([undefined, undefined]);
  });

  it("of the control plane when it starts: it waits for room, says so, and is back by itself", async () => {
    await product.controlPlane.kill();
    rmSync(join(product.home, "control-plane", "control-plane.sqlite-shm"));
    planeDisk.fill();
    product.controlPlane.start();
    await until("its word", () => product.controlPlane.log().includes("waits for room on its disk"));
    planeDisk.free();
    await until("the agent to be back", () => isOnline().catch(() => false), 60_000);
    expect(product.controlPlane.endedByItself()).toBeUndefined();
    await agreeWithin(product, [service.id], 10_000);
  });
});
