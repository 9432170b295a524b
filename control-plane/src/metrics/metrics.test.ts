/** /metrics as Prometheus reads it: who may, in what form, and that the figures are those of the moment. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Ask, startApi, type TestApi, type World } from "../testing/api.ts";
import { readEvents } from "../testing/read-events.ts";
import { createEventLoopMeter } from "./event-loop.ts";
import { prometheusText } from "./prometheus.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const read = async (ask: Ask = {}) => {
  const answer = await api.send("GET", "/metrics", ask);
  return { status: answer.status, type: answer.headers.get("content-type"), text: await answer.text() };
};
const value = async (sample: string): Promise<number> => {
  const line = (await read()).text.split("\n").find((text) => text.startsWith(`${sample} `));
  if (line === undefined) throw new Error(`there is no sample ${sample}`);
  return Number(line.slice(sample.length + 1));
};

describe("the door", () => {
  test("is open to this machine, and to an admin's key from anywhere", async () => {
    expect(await read()).toMatchObject({ status: 200, type: "text/plain; version=0.0.4; charset=utf-8" });
    expect((await read({ address: "::1" })).status).toBe(200);
    expect((await read({ address: "203.0.113.9", as: world.keys.admin })).status).toBe(200);
  });

  test("is shut to everyone else, and to a proxy on this machine", async () => {
    expect((await read({ address: "203.0.113.9" })).status).toBe(401);
    for (const header of ["x-forwarded-for", "forwarded", "x-real-ip", "via"]) {
      expect((await read({ headers: { [header]: "203.0.113.9" } })).status).toBe(401);
    }
    expect((await read({ headers: { host: "rebound.example.test" } })).status).toBe(401);
    expect((await read({ as: world.keys.developer })).status).toBe(403);
    expect((await read({ as: world.keys.viewer })).status).toBe(403);
    expect((await read({ as: "dfk_unknown" })).status).toBe(401);
  });

  test("needs a key from this machine too once the control plane has a public address", async () => {
    const open = await startApi({ publicUrl: "https://dflow.example.test" });
    const { keys } = await open.world();
    const headers = { host: "127.0.0.1:3100" };
    expect((await open.send("GET", "/metrics", { headers })).status).toBe(401);
    expect((await open.send("GET", "/metrics", { headers, as: keys.admin })).status).toBe(200);
    await open.close();
  });
});

describe("the figures", () => {
  test("count what was refused to agents", async () => {
    expect([
      await value('dflow_agent_upgrades_refused_total{status="429"}'),
      await value('dflow_agent_upgrades_refused_total{status="503"}'),
      await value("dflow_agents_over_budget_total"),
    ]).toEqual([1, 2, 3]);
  });

  test("are in a form that Prometheus reads, each described once, and name nobody", async () => {
    const { text } = await read();
    const lines = text.trimEnd().split("\n");
    const sample = /^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+$/;
    for (const line of lines) expect(line).toMatch(line.startsWith("#") ? /^# (HELP|TYPE) dflow_[a-z_]+ / : sample);
    const types = lines.filter((line) => line.startsWith("# TYPE"));
    expect(new Set(types).size).toBe(types.length);
    expect(text).not.toContain(world.workspaceId);
    expect(text).not.toContain("Shop");
  });

  test("count agents that are connected, operations by state and what waits in the outbox", async () => {
    expect([await value("dflow_servers"), await value("dflow_agents_connected")]).toEqual([1, 1]);
    api.agents.setLink(world.serverId, { state: "unreachable" });
    expect([await value("dflow_servers"), await value("dflow_agents_connected")]).toEqual([1, 0]);
    api.agents.setLink(world.serverId, { state: "online" });
    const queued = 'dflow_operations_open{state="queued"}';
    expect([await value(queued), await value("dflow_outbox_waiting")]).toEqual([0, 0]);
    const service = await api.service(world);
    const operation = await api.ask<{ id: string }>("POST", `/api/v1/services/${service.id}/deploy`, {
      as: world.keys.admin,
    });
    expect([await value(queued), await value("dflow_outbox_waiting")]).toEqual([1, 1]);
    await api.finish(operation.body, "succeeded");
    expect([await value(queued), await value("dflow_outbox_waiting")]).toEqual([0, 0]);
  });

  test("count open event streams and container logs, and no longer those that ended", async () => {
    const service = await api.deployed(world);
    const events = readEvents(
      await api.send("GET", `/api/v1/events?workspaceId=${world.workspaceId}`, { as: world.keys.viewer }),
    );
    expect(await events.isQuiet()).toBe(true);
    expect(await value("dflow_event_subscribers")).toBe(1);
    const logs = await api.send("GET", `/api/v1/services/${service.id}/logs?follow=true`, { as: world.keys.admin });
    expect(logs.status).toBe(200);
    await expect.poll(() => value("dflow_container_log_streams")).toBe(1);
    api.agents.logs[0]?.listener.onEnd("ended");
    await expect.poll(() => value("dflow_container_log_streams")).toBe(0);
    await logs.body?.cancel();
  });

  test("count requests by the class of their answer, refused ones too", async () => {
    const count = (status: string) => value(`dflow_http_request_duration_seconds_count{status="${status}"}`);
    const before = await count("4xx");
    await api.send("GET", "/api/v1/me");
    await api.send("GET", "/api/v1/nothing", { as: world.keys.admin });
    expect(await count("4xx")).toBe(before + 2);
    expect(await value('dflow_http_request_duration_seconds_bucket{status="4xx",le="+Inf"}')).toBe(before + 2);
    expect(await count("5xx")).toBe(0);
  });

  test("know the process's memory", async () => {
    expect(await value("dflow_process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
  });
});

test("the event loop's lag is seen while it lasts, and forgotten a minute later", async () => {
  const meter = createEventLoopMeter(api.platform.timers);
  meter.start();
  await new Promise((done) => setTimeout(done, 60));
  const until = performance.now() + 400;
  while (performance.now() < until);
  await expect.poll(() => meter.lag().worstS).toBeGreaterThan(0.3);
  expect(meter.lag().medianS).toBeLessThan(0.3);
  api.platform.advance(60_000);
  expect(meter.lag().worstS).toBeGreaterThan(0.3);
  await new Promise((done) => setTimeout(done, 60));
  api.platform.advance(60_000);
  expect(meter.lag().worstS).toBeLessThan(0.3);
  meter.stop();
});

test("labels and help are escaped", () => {
  const samples = [{ labels: { a: 'x"y\\z\n' }, value: 1 }];
  expect(prometheusText([{ name: "m", help: "a\nb", type: "gauge", samples }])).toBe(
    '# HELP m a\\nb\n# TYPE m gauge\nm{a="x\\"y\\\\z\\n"} 1\n',
  );
});
