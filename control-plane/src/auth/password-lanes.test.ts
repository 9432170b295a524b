import { beforeEach, expect, test } from "vitest";
import { createPasswordLanes, type LaneCaller, type PasswordLanes } from "./password-lanes.ts";

let lanes: PasswordLanes;
/** Works that have begun, by name, each with the way to end it. */
let begun: Map<string, () => void>;
beforeEach(() => {
  lanes = createPasswordLanes(1);
  begun = new Map();
});

const enter = (name: string, caller: LaneCaller) =>
  lanes
    .run(caller, () => new Promise<void>((done) => begun.set(name, done)))
    .then(
      () => "done",
      (error: { code?: string }) => error.code,
    );
const stranger = (address: string): LaneCaller => ({ address, known: false });
const turn = () => new Promise((done) => setImmediate(done));
const end = async (name: string) => {
  begun.get(name)?.();
  await turn();
};

test("strangers are hashed one after the other, in the order they came", async () => {
  const all = ["a", "b", "c"].map((name) => enter(name, stranger(name)));
  expect([...begun.keys()]).toEqual(["a"]);
  await end("a");
  expect([...begun.keys()]).toEqual(["a", "b"]);
  await end("b");
  await end("c");
  expect(await Promise.all(all)).toEqual(["done", "done", "done"]);
});

test("a known caller does not wait behind them", async () => {
  for (let n = 0; n < 30; n += 1) void enter(`stranger ${n}`, stranger("198.51.100.1"));
  void enter("owner", { address: "192.0.2.1", known: true });
  await turn();
  expect([...begun.keys()]).toEqual(["stranger 0", "owner"]);
});

test("a full queue refuses, and says when to come back", async () => {
  for (let n = 0; n < 21; n += 1) void enter(`n ${n}`, stranger("198.51.100.1"));
  const refused = lanes.run(stranger("198.51.100.1"), () => Promise.resolve());
  await expect(refused).rejects.toMatchObject({ code: "rate_limited", details: { retryAfterSeconds: 2 } });
});

test("whoever fills the queue gives up places to others, the latest of theirs first", async () => {
  const greedy = Array.from({ length: 21 }, (_, n) => enter(`greedy ${n}`, stranger("198.51.100.1")));
  const modest = enter("modest", stranger("203.0.113.1"));
  expect(await greedy[20]).toBe("rate_limited");
  for (let n = 0; n < 20; n += 1) await end(`greedy ${n}`);
  await end("modest");
  expect(await modest).toBe("done");
});

test("among equals the newcomer is the one to go", async () => {
  for (let n = 0; n < 21; n += 1) void enter(`n ${n}`, stranger(`198.51.100.${n}`));
  expect(await enter("late", stranger("203.0.113.1"))).toBe("rate_limited");
});

test("work that fails gives its place free", async () => {
  await expect(lanes.run(stranger("a"), () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  void enter("next", stranger("a"));
  expect([...begun.keys()]).toEqual(["next"]);
});
