import { beforeEach, describe, expect, test } from "vitest";
import { type ConnectionRoom, createConnectionRoom } from "./connection-room.ts";

let room: ConnectionRoom<string>;
beforeEach(() => {
  room = createConnectionRoom({ perAddress: 3, inAll: 6 });
});

/** `a1` is the first connection of address `a`. */
const enter = (...names: string[]) => names.map((name) => room.enter(name, name.charAt(0), true)).at(-1);

describe("an address that has as many as it may", () => {
  test("gives up the oldest of those on which nothing came", () => {
    enter("a1", "a2", "a3");
    room.move("a1", "busy");
    expect(enter("a4")).toBe("a2");
    expect(room.size()).toBe(3);
  });

  test("gives up an idle one when on all others something is going on", () => {
    enter("a1", "a2", "a3");
    for (const name of ["a1", "a2", "a3"]) room.move(name, "busy");
    room.move("a2", "idle");
    expect(enter("a4")).toBe("a2");
  });

  test("gets no more when every one is being answered", () => {
    enter("a1", "a2", "a3");
    for (const name of ["a1", "a2", "a3"]) room.move(name, "busy");
    expect(enter("a4")).toBe("a4");
    expect(enter("b1")).toBe(undefined);
    room.leave("a1");
    expect(enter("a5")).toBe(undefined);
  });

  test("is not limited when it is a trusted proxy", () => {
    for (let n = 0; n < 6; n += 1) expect(room.enter(`p${n}`, "p", false)).toBe(undefined);
  });
});

describe("when there are as many as there may be", () => {
  test("the address with most that say nothing gives one up, not the one with most", () => {
    enter("a1", "a2", "a3", "b1", "b2", "c1");
    for (const name of ["a1", "a2", "a3"]) room.move(name, "busy");
    expect(enter("d1")).toBe("b1");
  });

  test("one that is idle after a request is spared before one that never said anything", () => {
    enter("a1", "a2", "a3", "b1", "b2", "c1");
    for (const name of ["a1", "a2", "a3"]) room.move(name, "idle");
    expect(enter("d1")).toBe("b1");
    expect(enter("d2")).toBe("b2");
  });

  test("when every one is being answered, the address with most gives up its oldest to one with fewer", () => {
    enter("a1", "a2", "a3", "b1", "b2", "c1");
    for (const name of ["a1", "a2", "a3", "b1", "b2", "c1"]) room.move(name, "busy");
    expect(enter("d1")).toBe("a1");
    room.move("d1", "busy");
    expect(enter("c2")).toBe("c2");
    expect(enter("a4")).toBe("a4");
    room.move("b2", "idle");
    expect(enter("a5")).toBe("b2");
  });

  test("a trusted proxy gives up nothing that is being answered: many stand behind it", () => {
    for (let n = 0; n < 6; n += 1) {
      room.enter(`p${n}`, "p", false);
      room.move(`p${n}`, "busy");
    }
    expect(enter("a1")).toBe("a1");
  });
});

test("who left is forgotten, also when it moves afterwards", () => {
  enter("a1");
  room.leave("a1");
  room.move("a1", "idle");
  room.leave("a1");
  expect(room.size()).toBe(0);
});
