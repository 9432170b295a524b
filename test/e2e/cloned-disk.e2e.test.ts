/** A disk that was cloned: two agents with one identity are both quarantined, and one is made the server again by hand. */
import { execFile } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Credentials, Operation, Problem, Server, Service } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createProcess, docker, type Process, type Product, psql, startProduct } from "../support/product.ts";
import { readSqlite } from "../support/read-sqlite.ts";
import { until } from "../support/until.ts";

const AGENT = resolve(import.meta.dirname, "../../dist/agent.mjs");

describe("a cloned disk", () => {
  let product: Product;
  let copy: Process;
  let copyDir: string;
  let service: Service;
  let credentials: Credentials;
  let environmentId: string;
  /** Operations that both have in their journal, since they were one. */
  let shared: string[];

  const server = () => product.call<Server>("GET", `/servers/${product.serverId}`);
  const row = async () => (await psql(environmentId, credentials.uri, "select id from kept")).output.trim();
  const journalOf = (folder: string) =>
    readSqlite(join(folder, "journal.db"), (all) => all("select id from operations").map(({ id }) => String(id)));
  /** How its connections ended and began, as its own log tells. */
  const connects = (log: string) =>
    log
      .split("\n")
      .filter((line) => line.includes('"connected"') || line.includes('"connection failed"'))
      .map((line) => (line.includes('"connected"') ? "connected" : String(JSON.parse(line).code)));

  beforeAll(async () => {
    product = await startProduct();
    environmentId = await product.environment();
    service = await product.createService(environmentId, "orders");
    expect((await product.run(service.id, "deploy")).state).toBe("succeeded");
    credentials = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);
    await psql(environmentId, credentials.uri, "create table kept (id int); insert into kept values (42)");
    const folder = join(product.home, "agent");
    copyDir = join(product.home, "agent-copy");
    await product.agent.stop();
    cpSync(folder, copyDir, { recursive: true });
    shared = journalOf(folder);
    copy = createProcess("agent", ["run", "--data-dir", copyDir], product.home, "agent-copy");
  });
  afterAll(async () => {
    await copy?.stop();
    await product?.stop();
  });

  it("is found out within two connects of each, and no command is run twice", async () => {
    const before = connects(product.agent.log()).length;
    product.agent.start();
    await until("the server to be online", async () => (await server()).link === "online");
    const operation = await product.call<Operation>("POST", `/services/${service.id}/restart`);
    copy.start();
    await until("the quarantine", async () => (await server()).quarantinedAt);
    const ended = await product.ended(operation.id);
    expect(["succeeded", "unknown"]).toContain(ended.state);
    await until("both to be sent away", () => product.agent.log().includes("4411") && copy.log().includes("4411"));
    expect(connects(product.agent.log()).slice(before).length).toBeLessThanOrEqual(2);
    expect(connects(copy.log()).length).toBeLessThanOrEqual(2);
    // The copy was sent nothing; the other one has it once.
    expect(journalOf(copyDir).sort()).toEqual([...shared].sort());
    const received = journalOf(join(product.home, "agent")).filter((id) => !shared.includes(id));
    expect([[], [operation.id]]).toContainEqual(received);
  });

  it("is shown and refuses new actions in words, while databases keep running", async () => {
    expect(await server()).toMatchObject({ link: "quarantined", quarantinedAt: expect.any(String) });
    for (const action of ["restart", "stop"]) {
      const refused = await product.ask<Problem>("POST", `/services/${service.id}/${action}`);
      expect(refused).toMatchObject({ status: 409, body: { code: "server_quarantined" } });
      expect(refused.body.detail).toMatch(/Re-key/);
    }
    expect([product.agent.isAlive(), copy.isAlive()]).toEqual([true, true]);
    // The restart that was under way when it was found out goes on to its end on the server.
    await until("the database to answer", async () => (await row()) === "42", 60_000);
    const running = docker("ps", "-q", "--filter", `label=sh.dflow.service=${service.id}`).split("\n").filter(Boolean);
    expect(running).toHaveLength(1);
  });

  it("is over when one is re-keyed by the real command; the other stays refused", async () => {
    const made = await product.call<{ token: string; id: string }>("POST", `/servers/${product.serverId}/rekey-token`);
    const tokenFile = join(product.home, "rekey-token");
    writeFileSync(tokenFile, made.token, { mode: 0o600 });
    const folder = join(product.home, "agent");
    const enrol = () => run(["enrol", "--url", product.url, "--data-dir", folder, "--token-file", tokenFile]);
    expect(await enrol()).toContain("Re-keyed");
    expect(await enrol()).toContain("enrolled already");
    expect(await server()).toMatchObject({ id: product.serverId, link: "unreachable", quarantinedAt: null });
    await product.agent.stop();
    product.agent.start();
    await until("the server to be online", async () => (await server()).link === "online");
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    await until("the database to answer", async () => (await row()) === "42");

    const before = copy.log().length;
    await copy.stop();
    copy.start();
    await until("the copy to be refused", () => copy.log().slice(before).includes('"code":4401'));
    expect(await server()).toMatchObject({ link: "online", quarantinedAt: null });
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    expect(await row()).toBe("42");
    expect(copy.isAlive()).toBe(true);
  });

  it("leaves the token in no log", () => {
    const token = readFileSync(join(product.home, "rekey-token"), "utf8");
    const secret = token.split(".")[2] ?? token;
    expect(product.agent.log() + copy.log() + product.controlPlane.log()).not.toContain(secret);
  });
});

function run(args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    execFile(process.execPath, [AGENT, ...args], { timeout: 60_000 }, (error, out, err) => {
      if (error === null) done(out);
      else failed(new Error(`agent ${args[0]}: exit ${error.code}: ${out}${err}`));
    });
  });
}
