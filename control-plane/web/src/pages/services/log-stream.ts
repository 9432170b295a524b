/** The meaning of a container log's stream: its events as lines, and what to do when it stops. Pure. */
import { type ApiError, errorOf } from "../../api.ts";
import { type NewLine, plainText } from "../../components/log-buffer.ts";
import { type SseEvent, StreamRefused } from "../../sse.ts";

export type LogConnection =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "waiting"; words: string }
  | { state: "ended"; words: string }
  | { state: "refused"; error: ApiError };

interface ContainerLine {
  at: string;
  stream: "stdout" | "stderr";
  text: string;
}

/** A line of the stream as a line of the page, or nothing for events that are not lines. */
export function lineOf({ event, data }: Pick<SseEvent, "event" | "data">): NewLine | undefined {
  if (event === "line") {
    const { at, stream, text } = JSON.parse(data) as ContainerLine;
    return { at, tone: stream === "stderr" ? "stderr" : "plain", text: plainText(text) };
  }
  if (event === "gap") return { at: undefined, tone: "note", text: "— some lines were lost here —" };
  return undefined;
}

/** What the stream said about itself before it stopped. */
export interface StreamNews {
  /** There is no more to read. */
  end?: { reason: string; detail?: string };
  /** The server was lost: the stream closes, and goes on from the cursor when someone asks again. */
  lost?: string;
}

export function newsOf({ event, data }: Pick<SseEvent, "event" | "data">): StreamNews | undefined {
  if (event === "end") return { end: JSON.parse(data) as { reason: string; detail?: string } };
  if (event === "state") return { lost: (JSON.parse(data) as { text: string }).text };
  return undefined;
}

export interface NextStep {
  connection: LogConnection;
  /** Ask again from where it stopped. */
  again: boolean;
}

/** After a stream stopped: read on, or leave it, and what to tell. */
export function afterStream(news: StreamNews, error: unknown): NextStep {
  if (error instanceof StreamRefused && error.status < 500) {
    const refusal = errorOf(error.status, error.body);
    // The server comes back by itself; everything else takes a person.
    return ["server_unreachable", "server_quarantined", "rate_limited"].includes(refusal.code)
      ? { connection: { state: "waiting", words: refusal.message }, again: true }
      : { connection: { state: "refused", error: refusal }, again: false };
  }
  if (news.end !== undefined) {
    const words = news.end.reason === "failed" ? news.end.detail : undefined;
    return { connection: { state: "ended", words: words ?? "The container no longer writes." }, again: false };
  }
  return { connection: { state: "waiting", words: news.lost ?? "The connection was cut; trying again." }, again: true };
}
