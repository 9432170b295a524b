import fc from "fast-check";
import { expect, test } from "vitest";
import { createLineReader, type Line } from "./lines.ts";

const TIME = "2026-11-23T10:00:00.000000001Z";

function frame(text: string, stderr = false): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stderr ? 2 : 1;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

function read(chunks: Buffer[]): Line[] {
  const lines: Line[] = [];
  const reader = createLineReader((line) => lines.push(line));
  for (const chunk of chunks) reader.feed(chunk);
  reader.end();
  return lines;
}

test("splits the two channels and takes the timestamp off", () => {
  expect(read([frame(`${TIME} one\n`), frame(`${TIME} two\n`, true)])).toEqual([
    { stderr: false, time: TIME, text: "one" },
    { stderr: true, time: TIME, text: "two" },
  ]);
});

test("reads the same lines wherever the stream is cut", () => {
  const whole = Buffer.concat([frame(`${TIME} größe 1\n`), frame(`${TIME} zwei\n`, true), frame(`${TIME} drei\n`)]);
  const expected = read([whole]);
  fc.assert(
    fc.property(fc.array(fc.nat(whole.length), { maxLength: 8 }), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      const chunks = edges.slice(1).map((end, index) => whole.subarray(edges[index], end));
      expect(read(chunks)).toEqual(expected);
    }),
  );
});

test("joins a line that Docker split and drops the timestamp in its middle", () => {
  expect(read([frame(`${TIME} long `), frame(`${TIME} line\n`)])).toEqual([
    { stderr: false, time: TIME, text: "long line" },
  ]);
});

test("keeps an empty line and hands on a last line without a line end", () => {
  expect(read([frame(`${TIME} \n`), frame(`${TIME} end`)]).map((line) => line.text)).toEqual(["", "end"]);
});

test("cuts a very long line and says how much is missing", () => {
  const [line] = read([frame(`${TIME} ${"x".repeat(50_000)}\n`)]);
  expect(line?.text.length).toBeLessThan(33_000);
  expect(line?.text).toMatch(/… \(\d+ more bytes\)$/);
});
