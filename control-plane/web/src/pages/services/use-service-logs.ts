/** The live lines of a service's container: held while paused, resumed after a cut where they stopped. */
import { useCallback, useEffect, useRef, useState } from "react";
import { type ApiError, errorOf } from "../../api.ts";
import {
  appendLines,
  EMPTY_LOG,
  LINES_MAX,
  type LogBuffer,
  type NewLine,
  plainText,
} from "../../components/log-buffer.ts";
import { streams } from "../../paths.ts";
import { pause, readSse, type SseEvent, StreamRefused } from "../../sse.ts";

export type LogConnection =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "waiting"; words: string }
  | { state: "ended"; words: string }
  | { state: "refused"; error: ApiError };

export interface ServiceLogs {
  buffer: LogBuffer;
  connection: LogConnection;
  /** Lines that came while paused. */
  held: number;
  reconnect: () => void;
}

interface ContainerLine {
  at: string;
  stream: "stdout" | "stderr";
  text: string;
}

const BATCH_MS = 60;
const RETRY_MS = 1_500;
const SILENCE_MS = 45_000;

/** A line of the stream as a line of the page, or nothing for events that are not lines. */
export function lineOf({ event, data }: Pick<SseEvent, "event" | "data">): NewLine | undefined {
  if (event === "line") {
    const { at, stream, text } = JSON.parse(data) as ContainerLine;
    return { at, tone: stream === "stderr" ? "stderr" : "plain", text: plainText(text) };
  }
  if (event === "gap") return { at: undefined, tone: "note", text: "— some lines were lost here —" };
  return undefined;
}

interface StreamEnd {
  reason: "ended" | "failed" | "agent_lost";
  detail?: string;
}

/** What the end of a stream means to a reader, and whether it is worth coming back for more. */
export function endOf({ reason, detail }: StreamEnd): { again: boolean; words: string } {
  if (reason === "agent_lost") return { again: true, words: "The server cannot be reached; trying again." };
  if (reason === "failed") return { again: false, words: detail ?? "The log could not be read any further." };
  return { again: false, words: "The container no longer writes." };
}

/** `container` names what is read: another one (after a restart) is read from the same place on. */
export function useServiceLogs(serviceId: string, tail: number, paused: boolean, container: string): ServiceLogs {
  const [buffer, setBuffer] = useState<LogBuffer>(EMPTY_LOG);
  const [connection, setConnection] = useState<LogConnection>({ state: "connecting" });
  const [held, setHeld] = useState(0);
  const [attempt, setAttempt] = useState(0);
  const pausedNow = useRef(paused);
  const waiting = useRef<NewLine[]>([]);
  const cursor = useRef<string | undefined>(undefined);

  const flush = useCallback(() => {
    const lines = waiting.current;
    waiting.current = [];
    setHeld(0);
    if (lines.length > 0) setBuffer((buffer) => appendLines(buffer, lines));
  }, []);

  useEffect(() => {
    pausedNow.current = paused;
    if (!paused) flush();
  }, [paused, flush]);

  // Another service or another tail is another log: begin anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: these name the log
  useEffect(() => {
    cursor.current = undefined;
    waiting.current = [];
    setBuffer(EMPTY_LOG);
  }, [serviceId, tail]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `container` and `attempt` ask for a new connection
  useEffect(() => {
    const stop = new AbortController();
    const timer = setInterval(() => {
      if (waiting.current.length === 0) return;
      if (pausedNow.current) setHeld(waiting.current.length);
      else flush();
    }, BATCH_MS);

    let ended: ReturnType<typeof endOf> | undefined;
    const onEvent = (event: SseEvent): void => {
      if (event.id !== undefined) cursor.current = event.id;
      const line = lineOf(event);
      if (line !== undefined) {
        waiting.current.push(line);
        // A pause that lasts for hours must not fill the memory.
        if (waiting.current.length > 2 * LINES_MAX) waiting.current = waiting.current.slice(-LINES_MAX);
        setConnection((now) => (now.state === "live" ? now : { state: "live" }));
      }
      if (event.event === "end") ended = endOf(JSON.parse(event.data) as StreamEnd);
    };

    const run = async () => {
      while (!stop.signal.aborted) {
        ended = undefined;
        try {
          await readSse({
            url: streams.serviceLogs(serviceId, tail),
            lastEventId: cursor.current,
            signal: stop.signal,
            silenceMs: SILENCE_MS,
            onOpen: () => setConnection({ state: "live" }),
            onEvent,
          });
        } catch (error) {
          if (stop.signal.aborted) return;
          if (error instanceof StreamRefused && error.status < 500) {
            return setConnection({ state: "refused", error: errorOf(error.status, error.body) });
          }
        }
        const how = ended as ReturnType<typeof endOf> | undefined;
        if (how?.again === false) {
          setConnection({ state: "ended", words: how.words });
          return;
        }
        setConnection({ state: "waiting", words: how?.words ?? "The connection was cut; trying again." });
        await pause(RETRY_MS, stop.signal).catch(() => undefined);
      }
    };
    setConnection({ state: "connecting" });
    void run();
    return () => {
      stop.abort(new Error("closed"));
      clearInterval(timer);
    };
  }, [serviceId, tail, container, attempt, flush]);

  return { buffer, connection, held, reconnect: () => setAttempt((attempt) => attempt + 1) };
}
