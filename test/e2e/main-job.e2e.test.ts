/** The main job against real Docker and real Postgres: create, deploy, use, restart, stop, delete. */
import type { Credentials, Operation, Problem, Service } from "@dflow/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientImage, docker, objectsOf, type Product, psql, startProduct } from "../support/product.ts";
import { until } from "../support/until.ts";

describe("the life of a Postgres", () => {
  let product: Product;
  let environmentId: string;
  let service: Service;
  let credentials: Credentials;

  beforeAll(async () => {
    product = await startProduct();
    environmentId = await product.environment();
  });
  afterAll(() => product?.stop());

  it("creates without touching Docker", async () => {
    service = await product.createService(environmentId, "orders-db");
    expect(service.state).toBe("not_deployed");
    expect(service.actions.deploy.verdict).toBe("allowed");
    expect(service.actions.credentials).toMatchObject({ verdict: "hidden", code: "not_deployed" });
    // Long enough for an agent to act, had anything been sent.
    await new Promise((done) => setTimeout(done, 1_500));
    const everything = docker("ps", "-a", "--format", "{{.Names}}") + docker("network", "ls", "--format", "{{.Name}}");
    expect(everything).not.toContain(service.id);
    expect(everything).not.toContain(environmentId);
    expect(objectsOf(product.serverId)).toEqual({ containers: [], volumes: [], networks: [] });
  });

  it("refuses credentials and Restart before the first deployment, with the sentence", async () => {
    const asked = await product.ask<Problem>("GET", `/services/${service.id}/credentials`);
    expect(asked).toMatchObject({ status: 409, body: { code: "not_deployed" } });
    const restarted = await product.ask<Problem>("POST", `/services/${service.id}/restart`);
    expect(restarted).toMatchObject({ status: 409, body: { code: "not_deployed" } });
    expect(restarted.body.detail).toContain("Please deploy the service before restarting");
  });

  it("deploys, says so only after the database answers, and shows it running", async () => {
    const operation = await product.run(service.id, "deploy");
    expect(operation).toMatchObject({ state: "succeeded", label: "Success", error: null });
    const log = await product.log(operation.id);
    expect(log.join("\n")).toContain("PostgreSQL init process complete; ready for start up.");
    const seen = await until("running", async () => {
      const now = await product.service(service.id);
      return now.state === "running" ? now : undefined;
    });
    expect(seen.observedAt).not.toBeNull();
    expect(Math.abs(Date.now() - Date.parse(String(seen.observedAt)))).toBeLessThan(10_000);
    expect(seen.deployedAt).not.toBeNull();
  });

  it("hides Deploy after the first success, and the API answers 409 with code and sentence", async () => {
    expect((await product.service(service.id)).actions.deploy.verdict).toBe("hidden");
    const again = await product.ask<Problem>("POST", `/services/${service.id}/deploy`);
    expect(again).toMatchObject({ status: 409, body: { code: "already_deployed" } });
    expect(again.body.detail).toMatch(/deployed already/);
  });

  it("lets a client in the environment reach it by the URL that the API gave", async () => {
    credentials = await product.call<Credentials>("GET", `/services/${service.id}/credentials`);
    expect(credentials).toMatchObject({ username: "postgres", host: "orders-db", port: 5432, database: "orders_db" });
    expect(credentials.password).toMatch(/^[A-Za-z0-9]{32}$/);
    const asked = await psql(environmentId, credentials.uri, "select version()");
    expect(asked.output).toMatch(/^PostgreSQL \d+/);
    expect(asked.code).toBe(0);
    const wrote = await psql(
      environmentId,
      credentials.uri,
      "create table kept (id int); insert into kept values (42)",
    );
    expect(wrote.code).toBe(0);
  });

  it("refuses a wrong password over the network", async () => {
    const wrong = await psql(environmentId, credentials.uri.replace(credentials.password, "x".repeat(32)), "select 1");
    expect(wrong.code).not.toBe(0);
    expect(wrong.output).toContain("password authentication failed");
  });

  it("cannot be resolved or reached from another environment", async () => {
    const otherId = await product.environment("staging");
    const other = await product.createService(otherId, "other-db");
    expect((await product.run(other.id, "deploy")).state).toBe("succeeded");
    const byName = await psql(otherId, credentials.uri, "select 1");
    expect(byName.code).not.toBe(0);
    expect(byName.output).toMatch(/could not translate host name|Name or service not known/);
    const container = container0(service.id);
    const address = docker(
      "inspect",
      "-f",
      "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
      container,
    ).trim();
    const byAddress = await psql(otherId, credentials.uri.replace("@orders-db:", `@${address}:`), "select 1");
    expect(byAddress.code).not.toBe(0);
    expect(byAddress.output).toMatch(/timeout expired|unreachable|timed out|No route to host/i);
  });

  it("publishes no port and shows no password in docker inspect", () => {
    const inspected = docker("inspect", container0(service.id));
    const [{ HostConfig, NetworkSettings }] = JSON.parse(inspected);
    expect(HostConfig.PortBindings ?? {}).toEqual({});
    expect(Object.values(NetworkSettings.Ports ?? {}).filter(Boolean)).toEqual([]);
    expect(inspected).not.toContain(credentials.password);
    expect(inspected).not.toContain(Buffer.from(credentials.password).toString("base64"));
  });

  it("streams the container's log, live", async () => {
    const abort = new AbortController();
    const response = await fetch(`${product.url}/api/v1/services/${service.id}/logs?follow=true&tail=50`, {
      headers: { authorization: `Bearer ${product.login.apiKey}` },
      signal: abort.signal,
    });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    let text = "";
    const reading = (async () => {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
    })().catch((error: Error) => {
      if (error.name !== "AbortError") throw error;
    });
    await until("history", () => text.includes("database system is ready to accept connections"));
    await psql(environmentId, credentials.uri.replace(credentials.password, "wrong"), "select 1");
    await until("a new line", () => /password authentication failed/.test(text), 10_000);
    abort.abort();
    await reading;
  });

  it("restarts, and keeps the data", async () => {
    const started = docker("inspect", "-f", "{{.State.StartedAt}}", container0(service.id));
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    expect(docker("inspect", "-f", "{{.State.StartedAt}}", container0(service.id))).not.toBe(started);
    expect((await psql(environmentId, credentials.uri, "select id from kept")).output.trim()).toBe("42");
  });

  it("stops, is seen stopped, and Restart starts it again", async () => {
    expect((await product.run(service.id, "stop")).state).toBe("succeeded");
    await until("stopped", async () => (await product.service(service.id)).state === "stopped");
    const again = await product.ask<Problem>("POST", `/services/${service.id}/stop`);
    expect(again).toMatchObject({ status: 409, body: { code: "already_stopped" } });
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    expect((await psql(environmentId, credentials.uri, "select id from kept")).output.trim()).toBe("42");
  });

  it("sees a container that was removed behind its back, and Restart makes it anew over its data", async () => {
    docker("rm", "-f", container0(service.id));
    await until("missing", async () => (await product.service(service.id)).state === "missing");
    expect((await product.run(service.id, "restart")).state).toBe("succeeded");
    expect((await psql(environmentId, credentials.uri, "select id from kept")).output.trim()).toBe("42");
  });

  it("refuses a second operation while one is open, with its id", async () => {
    const first = await product.call<Operation>("POST", `/services/${service.id}/restart`);
    const second = await product.ask<Problem>("POST", `/services/${service.id}/stop`);
    expect(second).toMatchObject({ status: 409, body: { code: "operation_open", operationId: first.id } });
    await product.ended(first.id);
  });

  it("deletes and keeps the data unless told otherwise", async () => {
    const wrongName = await product.ask<Problem>("DELETE", `/services/${service.id}?name=orders`);
    expect(wrongName).toMatchObject({ status: 400, body: { code: "confirmation_mismatch" } });
    const { id } = await product.call<Operation>("DELETE", `/services/${service.id}?name=orders-db`);
    expect((await product.ended(id)).state).toBe("succeeded");
    expect((await product.ask("GET", `/services/${service.id}`)).status).toBe(404);
    const left = objectsOf(product.serverId);
    expect(left.containers.filter((name) => name.includes(service.id))).toEqual([]);
    // orders-db's volume stays; other-db still has its own.
    expect(left.volumes).toHaveLength(2);
    expect((await product.log(id)).join("\n")).toMatch(/kept|stays/);
  });

  it("deletes with its data when told so, and a new one of the same name is empty", async () => {
    const second = await product.createService(environmentId, "orders-db");
    expect((await product.run(second.id, "deploy")).state).toBe("succeeded");
    const fresh = await product.call<Credentials>("GET", `/services/${second.id}/credentials`);
    expect(fresh.password).not.toBe(credentials.password);
    expect((await psql(environmentId, fresh.uri, "select id from kept")).output).toContain(
      'relation "kept" does not exist',
    );
    const { id } = await product.call<Operation>("DELETE", `/services/${second.id}?data=true&name=orders-db`);
    expect((await product.ended(id)).state).toBe("succeeded");
    const left = objectsOf(product.serverId);
    expect(left.volumes).toHaveLength(2);
    expect(left.networks).toHaveLength(1);
  });

  it("lives beside a container of somebody else's in its network", async () => {
    const elsewhere = await product.environment("with-a-guest");
    const [first, second] = [
      await product.createService(elsewhere, "first"),
      await product.createService(elsewhere, "second"),
    ];
    expect((await product.run(first.id, "deploy")).state).toBe("succeeded");
    const run = ["run", "-d", "--network", `dflow-env-${elsewhere}`, "--entrypoint", "sleep", clientImage(), "600"];
    const guest = docker(...run).trim();
    try {
      expect((await product.run(second.id, "deploy")).state).toBe("succeeded");
      for (const { id, name } of [first, second]) {
        const deleted = await product.call<Operation>("DELETE", `/services/${id}?data=true&name=${name}`);
        expect((await product.ended(deleted.id)).state).toBe("succeeded");
      }
    } finally {
      docker("rm", "-f", guest);
    }
  });
});

function container0(serviceId: string): string {
  return docker("ps", "-a", "--filter", `label=sh.dflow.service=${serviceId}`, "--format", "{{.Names}}").trim();
}
