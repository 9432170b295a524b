/** Reads a stream of JSON objects, one a line, as Docker sends progress and events. */
import type { Readable } from "node:stream";

export async function readJsonLines(stream: Readable, onLine: (line: Record<string, unknown>) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk as Uint8Array, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") onLine(JSON.parse(line));
  }
  if (rest.trim() !== "") onLine(JSON.parse(rest));
}
