import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startApi, type TestApi, type World } from "../testing/api.ts";
import { type EventReader, readEvents } from "../testing/read-events.ts";

let api: TestApi;
let world: World;
beforeEach(async () => {
  api = await startApi();
  world = await api.world();
});
afterEach(() => api.close());

const follow = async (as: string, lastEventId?: string): Promise<EventReader> => {
  const headers: Record<string, string> = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
  const response = await api.send("GET", `/api/v1/events?workspaceId=${world.workspaceId}`, { as, headers });
  expect(response.status).toBe(200);
  const events = readEvents(response);
  // The comment that says "open" has been read: the stream listens now.
  await events.isQuiet();
  return events;
};

test("a change is heard by who follows its workspace, and by nobody else", async () => {
  const other = await api.world("other");
  const events = await follow(world.keys.viewer);
  await api.service(other, "elsewhere");
  expect(await events.isQuiet()).toBe(true);
  const service = await api.service(world, "here");
  expect(await events.next()).toMatchObject({
    event: "hint",
    data: { type: "service", id: service.id, environmentId: world.environmentId, applicationId: world.applicationId },
  });
  await events.cancel();
});

test("an action is heard as operation and service", async () => {
  const { id } = await api.service(world);
  const events = await follow(world.keys.viewer);
  await api.ask("POST", `/api/v1/services/${id}/deploy`, { as: world.keys.admin });
  const heard = [(await events.next())?.data, (await events.next())?.data] as { type: string }[];
  expect(heard.map((event) => event.type)).toEqual(["operation", "service"]);
  await events.cancel();
});

test("a reader who comes back hears what they missed, once", async () => {
  const first = await follow(world.keys.viewer);
  await api.service(world, "one");
  const seen = await first.next();
  await first.cancel();
  const two = await api.service(world, "two");
  const second = await follow(world.keys.viewer, seen?.id);
  expect(await second.next()).toMatchObject({ event: "hint", data: { id: two.id } });
  expect(await second.isQuiet()).toBe(true);
  await second.cancel();
});

test("a reader from another life of the process is told to fetch everything", async () => {
  const events = await follow(world.keys.viewer, "another-epoch.7");
  expect((await events.next())?.event).toBe("reset");
  await events.cancel();
});

test("a reader who is far behind is told to fetch everything instead of filling the memory", async () => {
  const response = await api.send("GET", `/api/v1/events?workspaceId=${world.workspaceId}`, { as: world.keys.viewer });
  for (let n = 0; n < 3_000; n += 1) {
    api.deps.hub.publish(world.workspaceId, { type: "server", id: String(n), revision: n });
  }
  const events = readEvents(response);
  const heard: string[] = [];
  do heard.push(String((await events.next())?.event));
  while (!(await events.isQuiet()));
  expect(heard).toContain("reset");
  expect(heard.length).toBeLessThan(2_100);
  await events.cancel();
});

describe("the stream ends", () => {
  test("at sign-out", async () => {
    const as = await api.signedIn(world.workspaceId, "viewer");
    const events = await follow(as);
    await api.send("POST", "/api/auth/sign-out", { as });
    expect(await events.next()).toBe(undefined);
    expect(api.deps.hub.subscriberCount()).toBe(0);
  });

  test("when the person is removed from the workspace", async () => {
    const events = await follow(await api.signedIn(world.workspaceId, "viewer"));
    const { id } = await api.db.selectFrom("user").select("id").executeTakeFirstOrThrow();
    await api.send("DELETE", `/api/v1/workspaces/${world.workspaceId}/members/${id}`, { as: world.keys.admin });
    // The others hear of it; so may the one who leaves.
    const heard = await events.next();
    if (heard !== undefined) expect(await events.next()).toBe(undefined);
  });

  test("within half a minute when a key is gone without a word", async () => {
    const events = await follow(world.keys.viewer);
    await api.db.deleteFrom("api_key").where("name", "=", "viewer").execute();
    expect(await events.isQuiet()).toBe(true);
    api.platform.advance(30_000);
    expect(await events.next()).toBe(undefined);
  });

  test("for a reader who takes nothing, too", async () => {
    await api.send("GET", `/api/v1/events?workspaceId=${world.workspaceId}`, { as: world.keys.viewer });
    await expect.poll(() => api.deps.hub.subscriberCount()).toBe(1);
    api.deps.hub.publish(world.workspaceId, { type: "server", id: world.serverId, revision: 1 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await api.db.deleteFrom("api_key").where("name", "=", "viewer").execute();
    api.platform.advance(30_000);
    await expect.poll(() => api.deps.hub.subscriberCount()).toBe(0);
  });

  test("when the key expires", async () => {
    const body = { name: "short", role: "viewer", expiresInDays: 1 };
    const path = `/api/v1/workspaces/${world.workspaceId}/api-keys`;
    const short = await api.ask<{ key: string }>("POST", path, { as: world.keys.admin, body });
    const events = await follow(short.body.key);
    api.platform.advance(24 * 3600_000);
    expect(await events.next()).toBe(undefined);
  });

  test("when the process stops", async () => {
    const events = await follow(world.keys.viewer);
    await api.app.stop();
    expect(await events.next()).toBe(undefined);
  });
});

test("one caller has 200 streams, and gets a place back when one ends", async () => {
  const path = `/api/v1/events?workspaceId=${world.workspaceId}`;
  const as = world.keys.viewer;
  const open = [];
  for (let n = 0; n < 200; n += 1) open.push(await api.send("GET", path, { as }));
  expect((await api.send("GET", path, { as })).status).toBe(429);
  expect((await api.send("GET", path, { as: world.keys.admin })).status).toBe(200);
  await open[0]?.body?.cancel();
  await expect.poll(async () => (await api.send("GET", path, { as })).status).toBe(200);
});

test("asking for the headers only opens no stream", async () => {
  const path = `/api/v1/events?workspaceId=${world.workspaceId}`;
  const answer = await api.send("HEAD", path, { as: world.keys.viewer });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(api.deps.hub.subscriberCount()).toBe(0);
  for (let n = 0; n < 201; n += 1) await api.send("HEAD", path, { as: world.keys.viewer });
  expect((await api.send("GET", path, { as: world.keys.viewer })).status).toBe(200);
});

test("a comment every fifteen seconds keeps the connection", async () => {
  const response = await api.send("GET", `/api/v1/events?workspaceId=${world.workspaceId}`, { as: world.keys.viewer });
  const reader = response.body?.getReader();
  const read = async () => new TextDecoder().decode((await reader?.read())?.value);
  expect(await read()).toBe(": open\n\n");
  await new Promise((resolve) => setTimeout(resolve, 20));
  api.platform.advance(15_000);
  expect(await read()).toBe(": keep-alive\n\n");
  await reader?.cancel();
});
