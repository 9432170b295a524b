import { AppError, type Service } from "@dflow/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import type { OpenLog } from "../testing/fake-agents.ts";
import { readEvents } from "../testing/read-events.ts";

let api: TestApi;
let world: World;
let service: Service;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
  service = await api.deployed(world);
});
afterEach(() => api.close());

const path = (query = "") => `/api/v1/services/${service.id}/logs${query}`;
const line = (n: number) => ({
  cursor: `2026-01-01T00:00:00.00000000${n}Z#1`,
  at: `2026-01-01T00:00:00.00000000${n}Z`,
  stream: "stdout" as const,
  text: `line ${n}`,
});
const opened = async (): Promise<OpenLog> => {
  await expect.poll(() => api.agents.logs.length).toBe(1);
  const [log] = api.agents.logs;
  if (log === undefined) throw new Error("no log was opened");
  return log;
};
const follow = async (headers: Record<string, string> = {}, query = "") =>
  readEvents(await api.send("GET", path(`?follow=true${query}`), { as: world.keys.viewer, headers }));

describe("read once", () => {
  test("gives the last lines and a cursor to go on from", async () => {
    const answer = api.ask<{ lines: { text: string }[]; cursor: string; gap: boolean }>("GET", path("?tail=2"), {
      as: world.keys.viewer,
    });
    const log = await opened();
    expect(log.request).toEqual({ serviceId: service.id, tail: 2, since: undefined, follow: false });
    log.listener.onLine(line(1));
    log.listener.onLine(line(2));
    log.listener.onEnd("ended");
    const { body } = await answer;
    expect([body.lines.map((entry) => entry.text), body.cursor, body.gap]).toEqual([
      ["line 1", "line 2"],
      line(2).cursor,
      false,
    ]);
    expect(log.closed).toBe(true);
  });

  test("keeps the newest lines within bounds, empty ones too", async () => {
    const answer = api.ask<{ lines: unknown[]; cursor: string; gap: boolean }>("GET", path(), {
      as: world.keys.viewer,
    });
    const { listener } = await opened();
    for (let n = 0; n < 200_000; n += 1) listener.onLine({ ...line(1), cursor: `cursor ${n}`, text: "" });
    listener.onEnd("ended");
    const { body } = await answer;
    expect(body.lines.length).toBeLessThan(100_000);
    expect([body.cursor, body.gap]).toEqual(["cursor 199999", true]);
  });

  test("ends with the agent's reason, and after a deadline without one", async () => {
    const failing = api.ask("GET", path(), { as: world.keys.viewer });
    (await opened()).listener.onEnd("failed", new AppError("log_unavailable", "The container is gone."));
    expect((await failing).body).toMatchObject({ code: "log_unavailable", detail: "The container is gone." });
    api.agents.logs.length = 0;
    const silent = api.ask("GET", path(), { as: world.keys.viewer });
    await opened();
    api.platform.advance(20_000);
    expect((await silent).body).toMatchObject({ status: 409, code: "log_unavailable" });
  });
});

describe("followed", () => {
  test("passes lines with their cursors, gaps, and the end", async () => {
    const events = await follow();
    const { request, listener } = await opened();
    expect(request).toMatchObject({ follow: true, tail: 500 });
    void listener.onLine(line(1));
    expect(await events.next()).toEqual({
      event: "line",
      id: line(1).cursor,
      data: { at: line(1).at, stream: "stdout", text: "line 1" },
    });
    listener.onGap();
    expect((await events.next())?.event).toBe("gap");
    listener.onEnd("ended");
    expect(await events.next()).toMatchObject({ event: "end", data: { reason: "ended" } });
    expect(await events.next()).toBe(undefined);
  });

  test("goes on after the cursor that Last-Event-ID names", async () => {
    const events = await follow({ "last-event-id": line(3).cursor }, "&tail=50");
    expect((await opened()).request).toMatchObject({ after: line(3).cursor, tail: null });
    await events.cancel();
  });

  test("starts over when Last-Event-ID is no cursor", async () => {
    const events = await follow({ "last-event-id": "nonsense" }, "&tail=50");
    const { request } = await opened();
    expect([request.after, request.tail]).toEqual([undefined, 50]);
    await events.cancel();
  });

  test("says that the server was lost and closes without an end, so that the reader comes back", async () => {
    const events = await follow();
    (await opened()).listener.onEnd("agent_lost");
    const last = await events.next();
    expect(last?.event).toBe("state");
    expect(last?.data).toEqual({ text: expect.stringContaining("lost") });
    expect(await events.next()).toBe(undefined);
  });

  test("is closed at the agent when the reader leaves", async () => {
    const events = await follow();
    const log = await opened();
    await events.cancel();
    await expect.poll(() => log.closed).toBe(true);
  });

  test("holds the agent back while the reader does not read", async () => {
    const response = await api.send("GET", path("?follow=true"), { as: world.keys.viewer });
    const { listener } = await opened();
    let taken = 0;
    const pour = (async () => {
      for (let n = 0; n < 200; n += 1) {
        await listener.onLine({ ...line(1), text: "x".repeat(4_000) });
        taken += 1;
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken).toBeLessThan(200);
    const events = readEvents(response);
    for (let n = 0; n < 200; n += 1) await events.next();
    await pour;
    expect(taken).toBe(200);
    await events.cancel();
  });
});

test("what cannot be read is refused before a stream begins", async () => {
  api.agents.refuseLogs(new AppError("rate_limited", "Too many streams."));
  const tooMany = await api.ask("GET", path(), { as: world.keys.viewer });
  expect([tooMany.status, tooMany.body.code]).toEqual([429, "rate_limited"]);
  const streamed = await api.send("GET", path("?follow=true"), { as: world.keys.viewer });
  expect(streamed.status).toBe(429);
  api.agents.setLink(world.serverId, { state: "unreachable" });
  for (const query of ["", "?follow=true"]) {
    const away = await api.ask("GET", path(query), { as: world.keys.viewer });
    expect([away.status, away.body.code]).toEqual([409, "server_unreachable"]);
  }
});

test("a time that no agent would take is refused: its frame would end the link of the whole server", async () => {
  const since = `2026-01-01T00:00:00.${"0".repeat(40)}Z`;
  for (const query of ["", "&follow=true"]) {
    const { status, body } = await api.ask("GET", path(`?since=${since}${query}`), { as: world.keys.viewer });
    expect([status, body.errors?.[0]?.field]).toEqual([400, "since"]);
  }
  expect(api.agents.logs).toEqual([]);
});
