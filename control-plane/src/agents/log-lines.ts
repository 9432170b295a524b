/** Turns the bytes of a log stream into lines with cursors. Pure: what was read so far is its only state. */
import type { LogLineOut } from "./agents.ts";

/** A line without an end is cut here: Docker itself splits at 16 KiB, so only a broken agent sends more. */
const LINE_MAX_BYTES = 128 * 1024;

const NEWLINE = 0x0a;

export interface LogCursor {
  /** RFC 3339 with nanoseconds. */
  at: string;
  /** How many lines with this very timestamp were read. */
  count: number;
}

/** The parts of `<timestamp>#<count>`, or `undefined` when the text is not a cursor. */
export function parseCursor(text: string): LogCursor | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))#(\d{1,9})$/.exec(text);
  const [, at, count] = match ?? [];
  return at === undefined || count === undefined ? undefined : { at, count: Number(count) };
}

export interface LogLineReader {
  /** The whole lines that these bytes complete, without those that `after` covers. */
  read(stream: "stdout" | "stderr", bytes: Uint8Array): LogLineOut[];
}

/** Whether one RFC 3339 time is before another, to the nanosecond: a Date ends at milliseconds. */
export function isBefore(a: string, b: string): boolean {
  const [aMs, aFraction] = instant(a);
  const [bMs, bFraction] = instant(b);
  return aMs === bMs ? aFraction < bFraction : aMs < bMs;
}

function instant(time: string): [secondsMs: number, fraction: string] {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? "";
  return [Date.parse(time.replace(`.${fraction}`, "")), fraction.padEnd(9, "0")];
}

export function createLogLineReader(after: LogCursor | undefined): LogLineReader {
  const rest: Record<"stdout" | "stderr", Uint8Array> = { stdout: new Uint8Array(0), stderr: new Uint8Array(0) };
  let last: LogCursor = { at: "", count: 0 };

  const lineOf = (stream: "stdout" | "stderr", raw: Uint8Array): LogLineOut | undefined => {
    const text = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8");
    const space = text.indexOf(" ");
    const at = space === -1 ? text : text.slice(0, space);
    last = at === last.at ? { at, count: last.count + 1 } : { at, count: 1 };
    if (after !== undefined) {
      if (isBefore(at, after.at)) return undefined;
      if (at === after.at && last.count <= after.count) return undefined;
    }
    const line = space === -1 ? "" : text.slice(space + 1);
    return { cursor: `${at}#${last.count}`, at, stream, text: line.endsWith("\r") ? line.slice(0, -1) : line };
  };

  return {
    read(stream, bytes) {
      const lines: LogLineOut[] = [];
      let pending = rest[stream].length === 0 ? bytes : Buffer.concat([rest[stream], bytes]);
      for (;;) {
        const end = pending.indexOf(NEWLINE);
        if (end === -1 && pending.length <= LINE_MAX_BYTES) break;
        const length = end === -1 ? LINE_MAX_BYTES : end;
        const line = lineOf(stream, pending.subarray(0, length));
        if (line !== undefined) lines.push(line);
        pending = pending.subarray(end === -1 ? length : length + 1);
      }
      // A copy: the frame's buffer belongs to the socket and may be much larger than what is left of it.
      rest[stream] = Uint8Array.from(pending);
      return lines;
    },
  };
}
