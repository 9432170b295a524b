import { beforeEach, expect, test } from "vitest";
import { createTurns, type Turns } from "./turns.ts";

let tasks: (() => void)[];
let turns: Turns;
beforeEach(() => {
  tasks = [];
  turns = createTurns((task) => tasks.push(task), { perAddress: 3, inAll: 5 });
});

/** One turn of the event loop, with what follows from it. */
const turn = async () => {
  for (const task of tasks.splice(0)) task();
  await Promise.resolve();
};
const enter = (address: string, begun: string[]) => {
  const place = turns.take(address);
  if (place === "full") return place;
  if (place === undefined) begun.push(address);
  else void place.then(() => begun.push(address));
  return "taken";
};

test("who comes alone begins at once, in every turn", async () => {
  const begun: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    enter("a", begun);
    await turn();
  }
  expect(begun).toEqual(["a", "a", "a"]);
});

test("of those who come together one begins per turn", async () => {
  const begun: string[] = [];
  for (const address of ["a", "b", "c"]) enter(address, begun);
  expect(begun).toEqual(["a"]);
  await turn();
  expect(begun).toEqual(["a", "b"]);
  await turn();
  expect(begun).toEqual(["a", "b", "c"]);
  expect(turns.waiting()).toBe(0);
});

test("an address with many waits behind one with few", async () => {
  const begun: string[] = [];
  for (const address of ["many", "many", "many", "few"]) enter(address, begun);
  await turn();
  await turn();
  expect(begun).toEqual(["many", "many", "few"]);
});

test("an address has a bound, and so have all together", () => {
  const begun: string[] = [];
  expect(["a", "a", "a", "a", "a"].map((address) => enter(address, begun)).at(-1)).toBe("full");
  expect(["b", "b", "c"].map((address) => enter(address, begun))).toEqual(["taken", "taken", "full"]);
  expect(turns.waiting()).toBe(5);
});
