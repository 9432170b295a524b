/** Random numbers for tests: spread evenly, and nothing is lost on the way. */
import { expect, it } from "vitest";
import { createRandom } from "./random.ts";

it("gives the same numbers for the same seed, and others for the next", () => {
  const drawn = (seed: number) => Array.from({ length: 20 }, createRandom(seed).next);
  expect(drawn(7)).toEqual(drawn(7));
  expect(drawn(7)).not.toEqual(drawn(8));
});

it("is even enough, and a shuffle keeps everything", () => {
  const random = createRandom(1);
  const counts = new Map<number, number>();
  for (let turn = 0; turn < 6_000; turn += 1) {
    const face = random.between(1, 6);
    counts.set(face, (counts.get(face) ?? 0) + 1);
  }
  expect([...counts.keys()].toSorted()).toEqual([1, 2, 3, 4, 5, 6]);
  for (const count of counts.values()) expect(count).toBeGreaterThan(850);
  const all = Array.from({ length: 300 }, (_, index) => index);
  expect(random.shuffled(all).toSorted((one, other) => one - other)).toEqual(all);
});
