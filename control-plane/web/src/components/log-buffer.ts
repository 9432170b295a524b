/**
 * The lines of a log that the page holds: a bounded list in chunks, so that adding lines touches the last chunk only and
 * everything before it need not be drawn again.
 */

export type LineTone = "plain" | "stderr" | "ours" | "warn" | "error" | "note";

export interface NewLine {
  at: string | undefined;
  tone: LineTone;
  text: string;
}
export interface LogEntry extends NewLine {
  /** Counts up from 0 over the life of the buffer. */
  key: number;
}
export interface LogChunk {
  key: number;
  lines: readonly LogEntry[];
}
export interface LogBuffer {
  chunks: readonly LogChunk[];
  /** Lines held now. */
  size: number;
  /** Lines that were let go at the top because there were too many. */
  dropped: number;
  nextKey: number;
}

export const LINES_MAX = 5_000;
const CHUNK_LINES = 200;

export const EMPTY_LOG: LogBuffer = { chunks: [], size: 0, dropped: 0, nextKey: 0 };

export function appendLines(buffer: LogBuffer, added: readonly NewLine[], max = LINES_MAX): LogBuffer {
  if (added.length === 0) return buffer;
  const chunks = [...buffer.chunks];
  let { size, dropped, nextKey } = buffer;
  let rest = added.map((line) => ({ ...line, key: nextKey++ }));
  const last = chunks.at(-1);
  if (last !== undefined && last.lines.length < CHUNK_LINES) {
    const room = CHUNK_LINES - last.lines.length;
    chunks[chunks.length - 1] = { key: last.key, lines: [...last.lines, ...rest.slice(0, room)] };
    rest = rest.slice(room);
  }
  while (rest.length > 0) {
    const lines = rest.slice(0, CHUNK_LINES);
    chunks.push({ key: lines[0]?.key ?? nextKey, lines });
    rest = rest.slice(CHUNK_LINES);
  }
  size += added.length;
  // Whole chunks go, so that what stays is not drawn again; one chunk more than the limit may be held meanwhile.
  while (chunks.length > 1 && size - (chunks[0]?.lines.length ?? 0) >= max) {
    const gone = chunks.shift()?.lines.length ?? 0;
    size -= gone;
    dropped += gone;
  }
  return { chunks, size, dropped, nextKey };
}

/** Where a search text stands in a line, case aside: pairs of start and end. */
export function matchRanges(text: string, query: string): [number, number][] {
  if (query === "") return [];
  const pattern = new RegExp(query.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
  return [...text.matchAll(pattern)].map(({ index, 0: found }) => [index, index + found.length]);
}

export function countMatches(buffer: LogBuffer, query: string): number {
  if (query === "") return 0;
  let count = 0;
  for (const { lines } of buffer.chunks) for (const { text } of lines) count += matchRanges(text, query).length;
  return count;
}

export function logText(buffer: LogBuffer, withTimes: boolean): string {
  const lines = buffer.chunks.flatMap((chunk) => chunk.lines);
  return lines.map(({ at, text }) => (withTimes && at !== undefined ? `${at} ${text}` : text)).join("\n");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with a control character
const ESCAPES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** A line as text: colours and cursor movements mean nothing on a page. */
export function plainText(text: string): string {
  return text.replace(ESCAPES, "").replaceAll("\t", "    ");
}
