/** Puts log lines together from pieces: Docker cuts long ones, chunks cut anywhere, and UTF-8 spans both. */
import { createDemultiplexer } from "./demultiplex.ts";

export interface Line {
  stderr: boolean;
  /** With timestamps asked for: RFC 3339 with nanoseconds. */
  time: string;
  text: string;
}

/** Longer lines are cut here; what is missing is said in the line. */
const LINE_LIMIT_BYTES = 32 * 1024;
const TIMESTAMP = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}(?:Z|[+-]\d{2}:\d{2})) /;
const TIMESTAMP_BYTES = 40;

interface Pending {
  parts: Buffer[];
  bytes: number;
  cut: number;
}

/** Feed it Docker's stream as asked for with timestamps; `end()` hands on a last line without line end. */
export function createLineReader(onLine: (line: Line) => void): { feed(chunk: Buffer): void; end(): void } {
  const pending = { out: emptyLine(), err: emptyLine() };

  const finish = (stderr: boolean) => {
    const key = stderr ? "err" : "out";
    const { parts, bytes, cut: left } = pending[key];
    pending[key] = emptyLine();
    if (bytes === 0) return;
    const decoded = Buffer.concat(parts).toString("utf8").replace(/\r$/, "");
    // What is no UTF-8 becomes three bytes for each one.
    const grown = Math.max(0, Buffer.byteLength(decoded) - LINE_LIMIT_BYTES);
    const raw = grown === 0 ? decoded : Buffer.from(decoded).subarray(0, LINE_LIMIT_BYTES).toString("utf8");
    const cut = left + grown;
    const time = TIMESTAMP.exec(raw)?.[1] ?? "";
    const text = time === "" ? raw : raw.slice(time.length + 1);
    onLine({ stderr, time, text: cut === 0 ? text : `${text} … (${cut} more bytes)` });
  };

  const feed = createDemultiplexer(({ stderr, bytes }) => {
    const key = stderr ? "err" : "out";
    // A continued line gets a timestamp of its own in the middle; only the first one counts.
    let piece = pending[key].bytes > 0 ? bytes.subarray(timestampLength(bytes)) : bytes;
    for (let end = piece.indexOf(10); end !== -1; end = piece.indexOf(10)) {
      append(pending[key], piece.subarray(0, end));
      finish(stderr);
      piece = piece.subarray(end + 1);
    }
    append(pending[key], piece);
  });

  return {
    feed,
    end() {
      finish(false);
      finish(true);
    },
  };
}

const emptyLine = (): Pending => ({ parts: [], bytes: 0, cut: 0 });

function append(line: Pending, piece: Buffer): void {
  const room = Math.max(0, LINE_LIMIT_BYTES - line.bytes);
  const kept = piece.subarray(0, room);
  if (kept.length > 0) {
    // A copy: the chunk that the piece points into may be large, and lines may wait for credit.
    line.parts.push(Buffer.from(kept));
    line.bytes += kept.length;
  }
  line.cut += piece.length - kept.length;
}

function timestampLength(bytes: Buffer): number {
  const match = TIMESTAMP.exec(bytes.subarray(0, TIMESTAMP_BYTES).toString("latin1"));
  return match === null ? 0 : match[0].length;
}
