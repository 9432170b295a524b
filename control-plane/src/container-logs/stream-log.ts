/** Passes a container's log from its agent to one reader, as fast as the reader takes it. */
import type { AppError } from "@dflow/protocol";
import type { Agents, LogLineOut, LogRequest } from "../agents/agents.ts";
import { type EventStream, type StreamMessage, whenAborted } from "../http/event-stream.ts";

/**
 * Opens the log at once, so that a refusal is an answer and not a broken stream; what comes back runs as the stream's body.
 * Events `line` (id = cursor), `gap` (lines were lost), `end` {reason} when there is no more to read, and `state` {text} when
 * the server was lost: the stream then closes without `end`, and the reader connects again with Last-Event-ID.
 */
export function openLogStream(
  agents: Pick<Agents, "openLog">,
  serverId: string,
  request: LogRequest,
): (stream: EventStream) => Promise<void> {
  const reader = Promise.withResolvers<EventStream>();
  let last: StreamMessage | undefined;
  const log = agents.openLog(serverId, request, {
    onLine: (line) =>
      reader.promise.then((stream) =>
        stream.send({ event: "line", id: line.cursor, data: JSON.stringify(lineView(line)) }),
      ),
    onGap: () => void reader.promise.then((stream) => stream.send({ event: "gap", data: "{}" })),
    onEnd: (reason, error) => {
      last = lastMessage(reason, error);
      // In line behind the lines before it.
      void reader.promise.then((stream) => stream.end());
    },
  });
  return async (stream) => {
    reader.resolve(stream);
    try {
      await whenAborted(stream.ended);
    } finally {
      log.close();
    }
    if (last !== undefined) await stream.last(last);
  };
}

function lastMessage(reason: string, error: AppError | undefined): StreamMessage {
  if (reason === "agent_lost") {
    const text = "The connection to the server was lost; reading goes on when it is back.";
    return { event: "state", data: JSON.stringify({ text }) };
  }
  const problem = error === undefined ? {} : { code: error.code, detail: error.message };
  return { event: "end", data: JSON.stringify({ reason, ...problem }) };
}

export function lineView({ at, stream, text }: LogLineOut) {
  return { at, stream, text };
}
