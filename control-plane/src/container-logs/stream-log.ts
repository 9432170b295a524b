/** Passes a container's log from its agent to one reader, as fast as the reader takes it. */
import type { AppError } from "@dflow/protocol";
import type { Agents, LogLineOut, LogRequest } from "../agents/agents.ts";
import { type EventStream, whenAborted } from "../http/event-stream.ts";

/** How soon a browser comes back after the agent was lost. */
const RETRY_AFTER_AGENT_LOST_MS = 3_000;

/**
 * Events `line` (id = cursor), `gap` (lines were lost), `state` {"agent":"connected"} at the start, and `end` {reason}.
 * After `end` with reason `agent_lost` the reader is expected to connect again with Last-Event-ID.
 */
export async function streamLog(
  agents: Pick<Agents, "openLog">,
  serverId: string,
  request: LogRequest,
  stream: EventStream,
): Promise<void> {
  let ended: { reason: "ended" | "failed" | "agent_lost"; error?: AppError | undefined } | undefined;
  await stream.send({ event: "state", data: JSON.stringify({ agent: "connected" }) });
  const log = agents.openLog(serverId, request, {
    onLine: (line) => stream.send({ event: "line", id: line.cursor, data: JSON.stringify(lineView(line)) }),
    onGap: () => void stream.send({ event: "gap", data: "{}" }),
    onEnd: (reason, error) => {
      ended = { reason, error };
      stream.end();
    },
  });
  try {
    await whenAborted(stream.ended);
  } finally {
    log.close();
  }
  if (ended !== undefined) await stream.last(endMessage(ended));
}

function endMessage({ reason, error }: { reason: string; error?: AppError | undefined }) {
  const problem = error === undefined ? {} : { code: error.code, detail: error.message };
  const retry = reason === "agent_lost" ? { retryMs: RETRY_AFTER_AGENT_LOST_MS } : {};
  return { event: "end", data: JSON.stringify({ reason, ...problem, ...retry }) };
}

export function lineView({ at, stream, text }: LogLineOut) {
  return { at, stream, text };
}
