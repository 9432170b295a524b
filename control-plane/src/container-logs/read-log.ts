/** Reads a container's last lines once, with a deadline. */
import { AppError } from "@dflow/protocol";
import type { Agents, LogLineOut, LogRequest } from "../agents/agents.ts";
import type { Timers } from "../platform.ts";
import { lineView } from "./stream-log.ts";

const DEADLINE_MS = 20_000;
/** Longer answers, and lines that nobody asked for, are cut at the front: the newest are what was wanted. */
const MAX_CHARACTERS = 4 * 1024 * 1024;

export interface ReadLog {
  lines: { at: string; stream: "stdout" | "stderr"; text: string }[];
  /** Cursor of the last line, for a stream that goes on from there. */
  cursor: string | null;
  /** Lines are missing in between or at the front. */
  gap: boolean;
}

export function readLog(
  agents: Pick<Agents, "openLog">,
  timers: Timers,
  serverId: string,
  request: Omit<LogRequest, "follow">,
): Promise<ReadLog> {
  return new Promise((resolve, reject) => {
    const lines: LogLineOut[] = [];
    let characters = 0;
    let gap = false;
    const finish = (settle: () => void) => {
      stopDeadline();
      log.close();
      settle();
    };
    const log = agents.openLog(
      serverId,
      { ...request, follow: false },
      {
        onLine(line) {
          lines.push(line);
          characters += line.text.length;
          while (characters > MAX_CHARACTERS || (request.tail !== null && lines.length > request.tail)) {
            characters -= lines.shift()?.text.length ?? characters;
            gap = true;
          }
        },
        onGap() {
          gap = true;
        },
        onEnd(reason, error) {
          // The agent may end within openLog itself, before `log` exists.
          queueMicrotask(() =>
            finish(() => {
              if (reason === "ended") {
                resolve({ lines: lines.map(lineView), cursor: lines.at(-1)?.cursor ?? null, gap });
              } else reject(error ?? lost());
            }),
          );
        },
      },
    );
    const stopDeadline = timers.after(DEADLINE_MS, () =>
      finish(() => reject(new AppError("log_unavailable", "The server did not send the log in time."))),
    );
  });
}

function lost(): AppError {
  return new AppError("server_unreachable", "The connection to the server was lost while its log was read.");
}
