/** The check of a real database: a job of its own reads all of it, at most once, whatever happens to the agent. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Operation, Service } from "@dflow/protocol";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createHeldTable, type HeldTable } from "../support/held-table.ts";
import { docker, type Product, psql, startProduct, tryDocker } from "../support/product.ts";
import { agreeWithin } from "../support/truth.ts";
import { until } from "../support/until.ts";

describe("a check", () => {
  let product: Product;
  let environmentId: string;
  let service: Service;
  /** Names of all job containers of this product that Docker ever made, as its events tell them. */
  const made: string[] = [];
  let events: ChildProcess;
  let rows: HeldTable;

  beforeAll(async () => {
    product = await startProduct();
    events = spawn(
      "docker",
      [
        ...["events", "--filter", "type=container", "--filter", "event=create", "--filter", "label=sh.dflow.job"],
        ...["--filter", `label=sh.dflow.agent=${product.serverId}`, "--format", "{{.Actor.Attributes.name}}"],
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    events.stdout?.on("data", (chunk: Buffer) => made.push(...chunk.toString().trim().split("\n")));
    environmentId = await product.environment();
    service = await product.createService(environmentId, "orders");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
    await sql("create table rows as select n, repeat('x', 100) as text from generate_series(1, 10000) as n");
    rows = createHeldTable(environmentId, "rows", uri);
  });
  afterEach(() => rows.release());
  afterAll(async () => {
    events?.kill();
    await product?.stop();
  });

  const uri = async () => (await product.call<{ uri: string }>("GET", `/services/${service.id}/credentials`)).uri;
  const sql = async (text: string) => {
    const { code, output } = await psql(environmentId, await uri(), text);
    if (code !== 0) throw new Error(output);
    return output.trim();
  };
  const nameOf = ({ id }: Operation) => `dflow-job-${id}`;
  const stateOf = async (operation: Operation) =>
    (await tryDocker(["inspect", "-f", "{{.State.Status}}", nameOf(operation)])).output.trim();
  const timesMade = (operation: Operation) => made.filter((name) => name === nameOf(operation)).length;

  /** Its job runs and waits for the table. */
  async function waiting(): Promise<Operation> {
    await rows.hold();
    const operation = await product.call<Operation>("POST", `/services/${service.id}/check`);
    await until("the job runs", async () => (await stateOf(operation)) === "running");
    await rows.waitedFor();
    return operation;
  }

  it("reads the database, says how long it took, and leaves nothing behind", async () => {
    const operation = await product.run(service.id, "check");
    expect(operation).toMatchObject({ kind: "check", state: "succeeded", error: null });
    const lines = await product.log(operation.id);
    expect(lines.join("\n")).toMatch(/exited with code 0[\s\S]*Done in \d/);
    expect(timesMade(operation)).toBe(1);
    expect(await product.service(service.id)).toMatchObject({ state: "running", desired: "running" });
    await agreeWithin(product, [service.id], 10_000);
  });

  it("runs without rights: not as root, nothing but memory to write to, no way out, no secret to be seen", async () => {
    const operation = await waiting();
    const [job] = JSON.parse(docker("inspect", nameOf(operation)));
    expect(job.Config.User).not.toMatch(/^0|root|^$/);
    expect(job.HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ["ALL"], CapAdd: null, Privileged: false });
    expect(Object.keys(job.NetworkSettings.Networks)).toEqual([`dflow-env-${environmentId}`]);
    expect(job.NetworkSettings.Ports).toEqual({});
    expect(job.Mounts.map(({ Type, RW }: { Type: string; RW: boolean }) => [Type, RW])).toEqual([["bind", false]]);
    const password = decodeURIComponent(new URL(await uri()).password);
    expect(JSON.stringify(job)).not.toContain(password);
    const inside = docker("exec", nameOf(operation), "sh", "-c", "cat /proc/1/cmdline /proc/1/environ");
    expect(inside).not.toContain(password);
    // The observer does not take it for the database.
    expect((await product.service(service.id)).observed.containerId).toMatch(new RegExp(`^${containerIdOfService()}`));
    const cancelled = await product.call<Operation>("POST", `/operations/${operation.id}/cancel`);
    expect((await product.ended(cancelled.id)).state).toBe("cancelled");
    await until("the job is gone", async () => /No such/i.test(await stateOf(operation)));
    await agreeWithin(product, [service.id], 10_000);
  });
  const containerIdOfService = () =>
    docker("ps", "--format", "{{.ID}} {{.Names}}", "--filter", `label=sh.dflow.service=${service.id}`)
      .split("\n")
      .find((line) => !line.includes("dflow-job-"))
      ?.split(" ")[0];

  it("is taken up again by an agent that was killed meanwhile, and ends once", async () => {
    const operation = await waiting();
    await product.agent.kill();
    product.agent.start();
    await until("it is looked for", async () =>
      /Looking for its job container/.test((await product.log(operation.id)).join("\n")),
    );
    expect(await stateOf(operation)).toBe("running");
    await rows.release();
    expect((await product.ended(operation.id)).state).toBe("succeeded");
    expect(timesMade(operation)).toBe(1);
    await agreeWithin(product, [service.id], 10_000);
  });

  it("that ended while the agent was away is told as it ended", async () => {
    const operation = await waiting();
    await product.agent.kill();
    await rows.release();
    await until("the job ends", async () => (await stateOf(operation)) === "exited");
    product.agent.start();
    expect((await product.ended(operation.id)).state).toBe("succeeded");
    expect(timesMade(operation)).toBe(1);
    await agreeWithin(product, [service.id], 10_000);
  });

  it("whose job was removed by hand is unknown, and never run again", async () => {
    const operation = await waiting();
    await product.agent.kill();
    docker("rm", "-f", nameOf(operation));
    await rows.release();
    product.agent.start();
    expect(await product.ended(operation.id)).toMatchObject({
      state: "unknown",
      error: { code: "outcome_unknown", message: expect.stringContaining(nameOf(operation)) },
    });
    await product.agent.kill();
    product.agent.start();
    await until("online", async () => (await product.call("GET", `/servers/${product.serverId}`)).link === "online");
    await agreeWithin(product, [service.id], 10_000, { unknown: [operation.id] });
    expect(timesMade(operation)).toBe(1);
    const word = { outcome: "failed", note: "I removed its container." };
    const settled = await product.call<Operation>("POST", `/operations/${operation.id}/settle`, word);
    expect(settled).toMatchObject({ state: "unknown", settlement: word });
    expect((await product.run(service.id, "check")).state).toBe("succeeded");
  });

  it("of a database that somebody renamed fails with the engine's words, and the database runs on", async () => {
    const name = new URL(await uri()).pathname.slice(1);
    const { uri: usual } = await product.call<{ uri: string }>("GET", `/services/${service.id}/credentials`);
    const elsewhere = usual.replace(/\/[^/]*$/, "/postgres");
    expect((await psql(environmentId, elsewhere, `alter database ${name} rename to other`)).code).toBe(0);
    const operation = await product.run(service.id, "check");
    expect(operation).toMatchObject({ state: "failed", error: { code: "check_failed" } });
    expect(operation.error?.message).toContain(`database "${name}" does not exist`);
    expect((await psql(environmentId, elsewhere, `alter database other rename to ${name}`)).code).toBe(0);
    expect((await product.run(service.id, "check")).state).toBe("succeeded");
  });

  it("is refused while the database does not run", async () => {
    expect((await product.run(service.id, "stop")).state).toBe("succeeded");
    await until("stopped", async () => (await product.service(service.id)).state === "stopped");
    expect(await product.ask("POST", `/services/${service.id}/check`)).toMatchObject({
      status: 409,
      body: { code: "not_running", detail: "Only a database that runs can be checked. Restart starts it." },
    });
  });
});
