import type { IncomingMessage } from "node:http";
import { pino } from "pino";
import { beforeEach, expect, test } from "vitest";
import { parseConfig } from "../config.ts";
import { createTestPlatform, type TestPlatform } from "../testing/platform.ts";
import { createAddressReader } from "./client-address.ts";
import { createFrontDoor, type FrontDoor } from "./front-door.ts";
import { createKnownCallers, type KnownCallers } from "./known-callers.ts";
import { createSlowRefusal } from "./slow-refusal.ts";
import { createTurns } from "./turns.ts";

let platform: TestPlatform;
let known: KnownCallers;
let door: FrontDoor;
/** Paths that came through, and what was logged. */
let inside: string[];
let logged: Record<string, unknown>[];
let refusals: number;
/** What the event loop would run next. */
let next: (() => void)[];

/** Refusals are given at once where `refusalDelayMs` does not say otherwise. */
function open(raw: Record<string, unknown> = {}, refusalDelayMs = 0): void {
  const config = parseConfig(raw, { dataDir: "/data" });
  door = createFrontDoor(
    {
      ...platform,
      config,
      addresses: createAddressReader(config.trustedProxies),
      known,
      turns: createTurns((task) => next.push(task), { perAddress: 2, inAll: 10 }),
      slow: createSlowRefusal(platform.timers, refusalDelayMs),
      log: pino({ base: null }, { write: (line) => void logged.push(JSON.parse(line)) }),
      onRefusal: () => {
        refusals += 1;
      },
    },
    (request) => {
      const { pathname } = new URL(request.url);
      inside.push(pathname);
      return new Response("inside", { status: pathname === "/too-many" ? 429 : 200 });
    },
  );
}
beforeEach(() => {
  platform = createTestPlatform();
  known = createKnownCallers(platform.clock);
  [inside, logged, refusals, next] = [[], [], 0, []];
  open();
});

const ask = (path: string, address = "203.0.113.1", headers: Record<string, string> = {}) => {
  const incoming = { socket: { remoteAddress: address }, headers } as unknown as IncomingMessage;
  return Promise.resolve(door.fetch(new Request(`http://localhost${path}`), { incoming }));
};
const turn = async () => {
  for (const task of next.splice(0)) task();
  await new Promise((done) => setImmediate(done));
};
/** One after the other, each in a turn of its own. */
const askMany = async (count: number, address: string, headers: Record<string, string> = {}) => {
  const statuses: number[] = [];
  for (let n = 0; n < count; n += 1) {
    statuses.push((await ask("/", address, headers)).status);
    await turn();
  }
  return statuses;
};

test("an address over its limit is refused with the time to wait, before anything is done for it", async () => {
  open({ limits: { requestsPerMinute: 60 } });
  expect(new Set(await askMany(60, "203.0.113.1"))).toEqual(new Set([200]));
  platform.advance(20_000);
  const refused = await ask("/late");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "40"]);
  expect(await refused.json()).toMatchObject({ code: "rate_limited", requestId: refused.headers.get("x-request-id") });
  expect(refused.headers.get("content-security-policy")).toContain("script-src 'self'");
  expect([inside.includes("/late"), refusals]).toEqual([false, 1]);
  expect((await askMany(1, "203.0.113.2"))[0]).toBe(200);
  platform.advance(40_000);
  expect((await askMany(1, "203.0.113.1"))[0]).toBe(200);
});

test("a refusal is held back, from whichever side of the door it comes, until the server stops", async () => {
  open({ limits: { requestsPerMinute: 60 } }, 250);
  await askMany(60, "203.0.113.1");
  const statuses: number[] = [];
  void ask("/", "203.0.113.1").then(({ status }) => statuses.push(status));
  void ask("/too-many", "203.0.113.2").then(({ status }) => statuses.push(status));
  await turn();
  expect([inside.at(-1), statuses]).toEqual(["/too-many", []]);
  door.stop();
  await turn();
  expect(statuses).toEqual([429, 429]);
});

test("a forged header hides nobody, and a trusted proxy's is believed", async () => {
  open({ limits: { requestsPerMinute: 60 }, trustedProxies: ["10.0.0.1"] });
  await askMany(60, "203.0.113.1");
  expect((await ask("/", "203.0.113.1", { "x-forwarded-for": "198.51.100.1" })).status).toBe(429);
  const forged = { "x-forwarded-for": "198.51.100.77, 203.0.113.1" };
  expect((await ask("/", "10.0.0.1", forged)).status).toBe(429);
  expect((await ask("/", "10.0.0.1", { "x-forwarded-for": "198.51.100.1" })).status).toBe(200);
});

test("of a crowd of strangers one begins per turn, and a known caller at once", async () => {
  const session = { cookie: "dflow.session_token=right" };
  known.vouch("dflow.session_token=right");
  const crowd = [1, 2, 3].map((n) => ask(`/stranger/${n}`, `203.0.113.${n}`));
  const owner = ask("/owner", "192.0.2.1", session);
  expect(inside).toEqual(["/stranger/1", "/owner"]);
  await turn();
  expect(inside).toEqual(["/stranger/1", "/owner", "/stranger/2"]);
  await turn();
  expect((await Promise.all([...crowd, owner])).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

test("a crowd of one address is bounded, and does not hold up another", async () => {
  const crowd = Array.from({ length: 5 }, () => ask("/crowd", "203.0.113.1"));
  expect((await Promise.all(crowd.slice(3))).map(({ status }) => status)).toEqual([429, 429]);
  void ask("/other", "203.0.113.2");
  await turn();
  await turn();
  expect(inside).toEqual(["/crowd", "/crowd", "/other"]);
});

test("a session that nobody vouched for is a stranger", async () => {
  for (let n = 0; n < 3; n += 1) void ask(`/${n}`, `203.0.113.${n}`, { authorization: `Bearer dfk_${n}` });
  expect(inside).toEqual(["/0"]);
});

test("refusals are told in one line a minute, however many they are", async () => {
  open({ limits: { requestsPerMinute: 60 } });
  door.start();
  await askMany(160, "203.0.113.1");
  await askMany(65, "203.0.113.2");
  platform.advance(120_000);
  door.stop();
  expect(logged).toEqual([
    expect.objectContaining({ requests: 105, addresses: 2, worst: "203.0.113.1", ofWorst: 100 }),
  ]);
});

test("a proxy that nobody named is told of once", async () => {
  await askMany(3, "127.0.0.1", { "x-forwarded-for": "198.51.100.1" });
  expect(logged.map(({ msg }) => String(msg))).toEqual([expect.stringContaining("trustedProxies")]);
});

test("a stranger from outside who writes that header is not told of", async () => {
  await ask("/", "203.0.113.9", { "x-forwarded-for": "198.51.100.1" });
  expect(logged).toEqual([]);
});
