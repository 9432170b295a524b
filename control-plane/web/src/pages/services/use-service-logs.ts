/** The live lines of a service's container: held while paused, resumed after a cut where they stopped. */
import { useCallback, useEffect, useRef, useState } from "react";
import { appendLines, EMPTY_LOG, LINES_MAX, type LogBuffer, type NewLine } from "../../components/log-buffer.ts";
import { streams } from "../../paths.ts";
import { pause, readSse, type SseEvent } from "../../sse.ts";
import { afterStream, type LogConnection, lineOf, newsOf, type StreamNews } from "./log-stream.ts";

export interface ServiceLogs {
  buffer: LogBuffer;
  connection: LogConnection;
  /** Lines that came while paused. */
  held: number;
  reconnect: () => void;
}

/** Lines on their way to the screen. */
interface Waiting {
  lines: NewLine[];
  /** Lines that a long pause let go by. */
  skipped: number;
}

const BATCH_MS = 60;
const RETRY_MS = 1_500;
const SILENCE_MS = 45_000;

/** `container` names what is read: another one (after a restart) is read from the same place on. */
export function useServiceLogs(serviceId: string, tail: number, paused: boolean, container: string): ServiceLogs {
  const [buffer, setBuffer] = useState<LogBuffer>(EMPTY_LOG);
  const [connection, setConnection] = useState<LogConnection>({ state: "connecting" });
  const [held, setHeld] = useState(0);
  const [attempt, setAttempt] = useState(0);
  const pausedNow = useRef(paused);
  const waiting = useRef<Waiting>({ lines: [], skipped: 0 });
  const cursor = useRef<string | undefined>(undefined);

  const flush = useCallback(() => {
    const { lines, skipped } = waiting.current;
    waiting.current = { lines: [], skipped: 0 };
    setHeld(0);
    if (lines.length === 0) return;
    const note: NewLine[] = skipped > 0 ? [passedBy(skipped)] : [];
    setBuffer((buffer) => appendLines(buffer, [...note, ...lines]));
  }, []);

  useEffect(() => {
    pausedNow.current = paused;
    if (!paused) flush();
  }, [paused, flush]);

  // Another service or another tail is another log: begin anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: these name the log
  useEffect(() => {
    cursor.current = undefined;
    waiting.current = { lines: [], skipped: 0 };
    setBuffer(EMPTY_LOG);
  }, [serviceId, tail]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `container` and `attempt` ask for a new connection
  useEffect(() => {
    const stop = new AbortController();
    const timer = setInterval(() => {
      const { lines, skipped } = waiting.current;
      if (lines.length === 0) return;
      if (pausedNow.current) setHeld(lines.length + skipped);
      else flush();
    }, BATCH_MS);

    const readOnce = async (news: StreamNews) => {
      const onEvent = (event: SseEvent): void => {
        if (event.id !== undefined) cursor.current = event.id;
        const line = lineOf(event);
        if (line !== undefined) hold(waiting.current, line);
        Object.assign(news, newsOf(event));
      };
      await readSse({
        url: streams.serviceLogs(serviceId, tail),
        lastEventId: cursor.current,
        signal: stop.signal,
        silenceMs: SILENCE_MS,
        onOpen: () => setConnection({ state: "live" }),
        onEvent,
      });
    };

    const run = async () => {
      while (!stop.signal.aborted) {
        const news: StreamNews = {};
        const error = await readOnce(news).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (stop.signal.aborted) return;
        const next = afterStream(news, error);
        setConnection(next.connection);
        if (!next.again) return;
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

/** A pause that lasts for hours must not fill the memory: the oldest go by, counted. */
function hold(waiting: Waiting, line: NewLine): void {
  waiting.lines.push(line);
  if (waiting.lines.length <= 2 * LINES_MAX) return;
  waiting.skipped += waiting.lines.length - LINES_MAX;
  waiting.lines = waiting.lines.slice(-LINES_MAX);
}

const passedBy = (count: number): NewLine => ({
  at: undefined,
  tone: "note",
  text: `— ${count} lines went by during the pause —`,
});
