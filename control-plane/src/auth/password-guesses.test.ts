import { beforeEach, expect, test } from "vitest";
import { createPasswordGuesses, type PasswordGuesses } from "./password-guesses.ts";

let now: number;
let guesses: PasswordGuesses;
beforeEach(() => {
  now = 0;
  guesses = createPasswordGuesses({ monotonicMs: () => now });
});

const stranger = (address: string) => ({ address, device: undefined });
const owner = { address: "192.0.2.1", device: "laptop" };
/** How many of so many attempts are let through. */
const attempts = (count: number, guesser: { address: string; device: string | undefined }) => {
  let taken = 0;
  for (let n = 0; n < count; n += 1) {
    try {
      guesses.take("a@example.test", guesser);
      taken += 1;
    } catch (error) {
      expect(error).toMatchObject({ code: "rate_limited" });
    }
  }
  return taken;
};
const attack = (addresses: number) => {
  for (let n = 0; n < addresses; n += 1) attempts(20, stranger(`203.0.113.${n}`));
};

test("one address has ten attempts at an account in fifteen minutes", () => {
  expect(attempts(20, stranger("198.51.100.1"))).toBe(10);
  now = 15 * 60_000;
  expect(attempts(20, stranger("198.51.100.1"))).toBe(10);
});

test("ten thousand attempts by others leave the owner's browser all of its own", () => {
  for (let round = 0; round < 2; round += 1) attack(250);
  expect(attempts(20, owner)).toBe(10);
});

test("an account under attack gives each new address two attempts, and shuts nobody out", () => {
  attack(10);
  expect(attempts(20, stranger("198.51.100.1"))).toBe(2);
  expect(attempts(20, stranger("198.51.100.2"))).toBe(2);
});

test("an IPv6 customer has no more attempts than an address", () => {
  for (let n = 0; n < 10; n += 1) expect(attempts(1, stranger(`2001:db8:1:2::${n}`))).toBe(1);
  expect(attempts(1, stranger("2001:db8:1:2:ffff::1"))).toBe(0);
});

test("what a known browser gets wrong is no attack on the account", () => {
  for (let n = 0; n < 50; n += 1) attempts(10, { address: "192.0.2.1", device: `device ${n}` });
  expect(attempts(20, stranger("198.51.100.1"))).toBe(10);
});

test("the right password forgets who guessed, not the attack of others", () => {
  attack(10);
  const right = guesses.take("a@example.test", stranger("198.51.100.1"));
  right();
  expect(attempts(20, stranger("198.51.100.1"))).toBe(2);
});
