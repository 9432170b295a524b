import { expect, test } from "vitest";
import { createTestPlatform } from "../testing/platform.ts";
import { createSlowRefusal } from "./slow-refusal.ts";

const refused = () => new Response("too many", { status: 429 });

/** What has been answered by now, in order. */
function follow(...answers: (Response | Promise<Response>)[]): () => Promise<number[]> {
  const given: number[] = [];
  for (const answer of answers) void Promise.resolve(answer).then(({ status }) => given.push(status));
  return async () => {
    await new Promise((done) => setImmediate(done));
    return given;
  };
}

test("a refusal comes later, everything else at once", async () => {
  const { timers, advance } = createTestPlatform();
  const { pace } = createSlowRefusal(timers, 250);
  const ok = new Response("fine");
  expect(pace(ok)).toBe(ok);
  const given = follow(pace(refused()), pace(Promise.resolve(refused())), pace(Promise.resolve(ok)));
  expect(await given()).toEqual([200]);
  advance(249);
  expect(await given()).toEqual([200]);
  advance(1);
  expect(await given()).toEqual([200, 429, 429]);
});

test("no more than so many are held, and the next goes at once", async () => {
  const { timers, advance } = createTestPlatform();
  const { pace } = createSlowRefusal(timers, 250, 2);
  void pace(refused());
  void pace(refused());
  const third = refused();
  expect(pace(third)).toBe(third);
  advance(250);
  expect(pace(refused())).toBeInstanceOf(Promise);
});

test("where no delay is wanted there is none", () => {
  const { timers } = createTestPlatform();
  const answer = refused();
  expect(createSlowRefusal(timers, 0).pace(answer)).toBe(answer);
});

test("what is held is given when the server stops", async () => {
  const { timers } = createTestPlatform();
  const { pace, stop } = createSlowRefusal(timers, 250);
  const given = follow(pace(refused()), pace(refused()));
  stop();
  expect(await given()).toEqual([429, 429]);
});
