/** An operation's log: what there is, and what comes while it runs, each line once. */
import type { OperationLogLine } from "@dflow/protocol";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type ApiError, errorOf } from "../api.ts";
import { keys } from "../keys.ts";
import { streams } from "../paths.ts";
import { pause, readSse, StreamRefused } from "../sse.ts";
import { appendLines, EMPTY_LOG, type LineTone, type LogBuffer, type NewLine, plainText } from "./log-buffer.ts";

export type LogConnection = "connecting" | "live" | "reconnecting" | "ended";

export interface OperationLog {
  buffer: LogBuffer;
  connection: LogConnection;
  error: ApiError | undefined;
}

const TONES: Record<OperationLogLine["level"], LineTone> = {
  info: "ours",
  output: "plain",
  warn: "warn",
  error: "error",
};
const BATCH_MS = 50;
const RETRY_MS = 1_500;
const SILENCE_MS = 45_000;

export function useOperationLog(operationId: string): OperationLog {
  const queryClient = useQueryClient();
  const [log, setLog] = useState<OperationLog>({ buffer: EMPTY_LOG, connection: "connecting", error: undefined });

  useEffect(() => {
    const stop = new AbortController();
    let next = 0;
    let waiting: NewLine[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    setLog({ buffer: EMPTY_LOG, connection: "connecting", error: undefined });

    const flush = () => {
      timer = undefined;
      const lines = waiting;
      waiting = [];
      setLog((log) => ({ ...log, buffer: appendLines(log.buffer, lines) }));
    };
    const add = ({ n, at, level, text }: OperationLogLine) => {
      // After a cut the server may repeat a line that was already here.
      if (n < next) return;
      next = n + 1;
      waiting.push({ at, tone: TONES[level], text: plainText(text) });
      timer ??= setTimeout(flush, BATCH_MS);
    };
    const connected = (connection: LogConnection) => setLog((log) => ({ ...log, connection }));

    const readOnce = async (): Promise<boolean> => {
      let over = false;
      await readSse({
        url: streams.operationLog(operationId, next),
        signal: stop.signal,
        silenceMs: SILENCE_MS,
        onOpen: () => connected("live"),
        onEvent: ({ event, data }) => {
          if (event === "line") add(JSON.parse(data) as OperationLogLine);
          if (event === "end") {
            over = true;
            void queryClient.invalidateQueries({ queryKey: keys.operation(operationId) });
          }
        },
      });
      return over;
    };

    const run = async () => {
      while (!stop.signal.aborted) {
        try {
          if (await readOnce()) return connected("ended");
        } catch (error) {
          if (stop.signal.aborted) return;
          if (error instanceof StreamRefused && error.status < 500) {
            const refusal = errorOf(error.status, error.body);
            return setLog((log) => ({ ...log, connection: "ended", error: refusal }));
          }
        }
        connected("reconnecting");
        await pause(RETRY_MS, stop.signal).catch(() => undefined);
      }
    };
    void run();
    return () => {
      stop.abort(new Error("closed"));
      clearTimeout(timer);
    };
  }, [operationId, queryClient]);

  return log;
}
