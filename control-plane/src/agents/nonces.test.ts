import { beforeEach, describe, expect, it } from "vitest";
import { createNonces, type Nonces } from "./nonces.ts";

let now: number;
let nonces: Nonces;
beforeEach(() => {
  let made = 0;
  now = 0;
  nonces = createNonces(
    { nowMs: () => now, newNonce: () => `nonce-${made++}` },
    { lifeMs: 100, perToken: 2, inAll: 5 },
  );
});

describe("nonces", () => {
  it("are good once, for the token they were issued for", () => {
    const nonce = nonces.issue("a");
    expect([nonces.take("b", nonce), nonces.take("a", nonce), nonces.take("a", nonce)]).toEqual([false, true, false]);
  });

  it("die of age", () => {
    const nonce = nonces.issue("a");
    now = 100;
    expect(nonces.take("a", nonce)).toBe(false);
  });

  it("push out the oldest of their token, and of all, when there are too many", () => {
    const ofA = ["a", "a", "a"].map((id) => nonces.issue(id));
    expect(ofA.map((nonce) => nonces.take("a", nonce))).toEqual([false, true, true]);
    const others = ["b", "c", "d", "e", "f", "g"].map((id) => ({ id, nonce: nonces.issue(id) }));
    expect(others.map(({ id, nonce }) => nonces.take(id, nonce))).toEqual([false, true, true, true, true, true]);
  });
});
