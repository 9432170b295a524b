import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLogLineReader, isBefore, parseCursor } from "./log-lines.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const at = (fraction: string) => `2026-05-01T10:00:00.${fraction}Z`;

describe("a log's lines", () => {
  it("are the same however the bytes are cut, and no line comes twice or not at all when a reader resumes", () => {
    const lineArbitrary = fc.record({
      tick: fc.integer({ min: 0, max: 3 }),
      text: fc.string({ unit: "grapheme", maxLength: 8 }),
    });
    fc.assert(
      fc.property(
        fc.array(lineArbitrary, { maxLength: 20 }),
        fc.integer({ min: 1, max: 7 }),
        fc.nat(),
        (lines, cut, stop) => {
          const sorted = lines
            .map(({ tick, text }) => ({ time: at(`00000000${tick}`), text: text.replaceAll(/[\r\n]/g, "") }))
            .sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
          const whole = bytes(sorted.map(({ time, text }) => `${time} ${text}\n`).join(""));
          const reader = createLogLineReader(undefined);
          const read = [];
          for (let from = 0; from < whole.length; from += cut)
            read.push(...reader.read("stdout", whole.subarray(from, from + cut)));
          expect(read.map((line) => line.text)).toEqual(sorted.map((line) => line.text));

          const last = read[stop % Math.max(1, read.length)];
          if (last === undefined) return;
          const after = parseCursor(last.cursor);
          // Docker gives everything from the cursor's time on.
          const again = bytes(
            sorted
              .filter(({ time }) => time >= last.at)
              .map(({ time, text }) => `${time} ${text}\n`)
              .join(""),
          );
          const resumed = createLogLineReader(after).read("stdout", again);
          expect(resumed).toEqual(read.slice(read.indexOf(last) + 1));
        },
      ),
    );
  });

  it("leave out what is older than the cursor, should the agent send it", () => {
    const reader = createLogLineReader(parseCursor(`${at("5")}#1`));
    const lines = reader.read("stdout", bytes(`${at("400000000")} a\n${at("500000000")} b\n${at("500000001")} c\n`));
    expect(lines.map((line) => line.text)).toEqual(["b", "c"]);
  });

  it("without an end are cut, so that they fill no memory", () => {
    const lines = createLogLineReader(undefined).read("stdout", bytes(`${at("1")} ${"x".repeat(200 * 1024)}`));
    expect(lines).toHaveLength(1);
  });

  it("have an order to the nanosecond, whatever the number of digits", () => {
    expect(isBefore(at("1"), at("100000001"))).toBe(true);
    expect(isBefore(at("100000000"), at("1"))).toBe(false);
    expect(isBefore("2026-05-01T10:00:00Z", at("000000001"))).toBe(true);
    expect(isBefore("2026-05-01T12:00:00.5+02:00", at("6"))).toBe(true);
  });

  it.each(["", "x", "2026-05-01#1", `${at("1")}#`, `${at("1")}#-1`, `${at("1")}#1#1`])("have no cursor %j", (text) => {
    expect(parseCursor(text)).toBeUndefined();
  });
});
