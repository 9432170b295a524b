import { expect, test } from "vitest";
import { commonRows, nameOf, rowsOf, sampleRows, withoutKnown } from "./rows.ts";

test("each passing of a place is a row, the first three of one that repeats", () => {
  expect(rowsOf("deploy", "agent", ["a", "b", "a", "a", "a"]).map(nameOf)).toEqual([
    "agent, deploy: a #1",
    "agent, deploy: b #1",
    "agent, deploy: a #2",
    "agent, deploy: a #3",
  ]);
});

test("a sample has both processes in it, is the same for the same seed, and another one for another", () => {
  const names = Array.from({ length: 40 }, (_, index) => `point ${index}`);
  const rows = [...rowsOf("deploy", "agent", names), ...rowsOf("deploy", "control-plane", names)];
  const first = sampleRows(rows, 10, 7);
  expect(first.map(({ process }) => process).sort()).toEqual([
    ...Array(5).fill("agent"),
    ...Array(5).fill("control-plane"),
  ]);
  expect(sampleRows(rows, 10, 7)).toEqual(first);
  expect(sampleRows(rows, 10, 8)).not.toEqual(first);
});

test("what only one of two runs passed is no row", () => {
  const rows = commonRows(rowsOf("stop", "agent", ["a", "b", "b"]), rowsOf("stop", "agent", ["b", "a", "c"]));
  expect(rows.map(nameOf)).toEqual(["agent, stop: a #1", "agent, stop: b #1"]);
});

test("a variant of an action adds only the places that are its own", () => {
  const known = rowsOf("deploy", "agent", ["a", "b"]);
  const rows = withoutKnown(rowsOf("deploy with a pull", "agent", ["a", "a", "pull", "b"]), known);
  expect(rows.map(nameOf)).toEqual(["agent, deploy with a pull: pull #1"]);
});
