/** The lines that a page holds of a log. */
import { describe, expect, it } from "vitest";
import {
  appendLines,
  countMatches,
  EMPTY_LOG,
  type LogBuffer,
  logText,
  matchRanges,
  type NewLine,
  plainText,
} from "./log-buffer.ts";

const line = (text: string): NewLine => ({ at: "2026-11-23T12:00:00Z", tone: "plain", text });
const lines = (count: number, from = 0) => Array.from({ length: count }, (_, i) => line(`line ${from + i}`));
const texts = (buffer: LogBuffer) => buffer.chunks.flatMap((chunk) => chunk.lines.map(({ text }) => text));

describe("appending", () => {
  it("keeps every line in order over many small batches", () => {
    let buffer = EMPTY_LOG;
    for (let i = 0; i < 1_000; i += 7) buffer = appendLines(buffer, lines(7, i));
    expect(texts(buffer)).toEqual(lines(buffer.size).map(({ text }) => text));
    expect(buffer.dropped).toBe(0);
  });

  it("leaves full chunks as they are, so that they are not drawn again", () => {
    const before = appendLines(EMPTY_LOG, lines(450));
    const after = appendLines(before, lines(10, 450));
    expect(after.chunks[0]).toBe(before.chunks[0]);
    expect(after.chunks[1]).toBe(before.chunks[1]);
    expect(after.chunks[2]).not.toBe(before.chunks[2]);
  });

  it("lets go of the oldest lines beyond the limit, and counts them", () => {
    const buffer = appendLines(EMPTY_LOG, lines(12_345), 5_000);
    expect(buffer.size).toBeGreaterThanOrEqual(5_000);
    expect(buffer.size).toBeLessThan(5_200);
    expect(buffer.size + buffer.dropped).toBe(12_345);
    expect(texts(buffer).at(-1)).toBe("line 12344");
    expect(texts(buffer)[0]).toBe(`line ${buffer.dropped}`);
  });

  it("gives each line a key of its own for ever", () => {
    let buffer = appendLines(EMPTY_LOG, lines(600), 300);
    buffer = appendLines(buffer, lines(600), 300);
    const seen = buffer.chunks.flatMap((chunk) => chunk.lines.map(({ key }) => key));
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.at(-1)).toBe(1_199);
  });

  it("is the same buffer when nothing came", () => {
    const buffer = appendLines(EMPTY_LOG, lines(1));
    expect(appendLines(buffer, [])).toBe(buffer);
  });
});

describe("searching", () => {
  it("finds text whatever its case, as text and not as a pattern", () => {
    expect(matchRanges("ERROR: a.c (abc) error", "error")).toEqual([
      [0, 5],
      [17, 22],
    ]);
    expect(matchRanges("abc a.c", "a.c")).toEqual([[4, 7]]);
    expect(matchRanges("f(x)", "(")).toEqual([[1, 2]]);
  });

  it("finds nothing for nothing", () => {
    expect(matchRanges("abc", "")).toEqual([]);
    expect(countMatches(appendLines(EMPTY_LOG, lines(3)), "")).toBe(0);
  });

  it("counts over all lines", () => {
    expect(countMatches(appendLines(EMPTY_LOG, lines(500)), "LINE")).toBe(500);
  });
});

it("gives the log as text, with times when they are shown", () => {
  const buffer = appendLines(EMPTY_LOG, [line("a"), { at: undefined, tone: "note", text: "lost" }]);
  expect(logText(buffer, false)).toBe("a\nlost");
  expect(logText(buffer, true)).toBe("2026-11-23T12:00:00Z a\nlost");
});

it("takes colours and cursor movements out of a line", () => {
  expect(plainText("\u001b[1;31mred\u001b[0m \u001b]0;title\u0007x\u001b[2K")).toBe("red x");
  expect(plainText("a\tb")).toBe("a    b");
});
