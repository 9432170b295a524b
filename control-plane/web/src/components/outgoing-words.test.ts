import { expect, test } from "vitest";
import { outgoingWords } from "./outgoing-words.ts";

const words = (outgoing: boolean, seen?: boolean) =>
  outgoingWords({
    outgoing,
    observed: { state: "running", evidence: "", volume: "present", ...(seen === undefined ? {} : { outgoing: seen }) },
  });

test("says what is set, and what the container has when that is something else", () => {
  expect(words(true, true)).toEqual({ value: "On", pending: undefined });
  expect(words(false, false)).toEqual({ value: "Off", pending: undefined });
  expect(words(true, false).pending).toBe("Its container has none yet. Applies at the next Restart.");
  expect(words(false, true).pending).toBe("Its container still has it. Applies at the next Restart.");
});

test("claims nothing of a container that nobody has seen", () => {
  expect(words(true).pending).toBeUndefined();
});
