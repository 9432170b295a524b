/** The last lines that a container has said. */
import type { Docker } from "../docker/docker.ts";
import { createLineReader } from "../logs/lines.ts";

const LAST_LINES = 200;

/** Oldest first; none without such a container. */
export async function readLastLines(
  docker: Pick<Docker, "openLogs">,
  containerId: string,
  onLine: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const stream = await docker.openLogs(containerId, { follow: false, tail: LAST_LINES, timestamps: false }, signal);
  if (stream === undefined) return;
  signal.addEventListener("abort", () => stream.destroy(), { once: true });
  const reader = createLineReader(({ text }) => onLine(text));
  for await (const chunk of stream) reader.feed(chunk as Buffer);
  reader.end();
}
