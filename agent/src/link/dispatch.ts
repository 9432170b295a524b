/** Hands each frame of a session to the room it is for, and answers for what no room knows. */
import { isAppError, type OutgoingToControlPlane, type ToAgent } from "@dflow/protocol";
import type { Log } from "../deps.ts";
import type { LogStreams } from "../logs/log-streams.ts";
import { type ReceiveDeps, receiveCommand } from "../services/receive-command.ts";
import type { Runner } from "../services/runner.ts";
import type { Delivery } from "./delivery.ts";
import type { Received } from "./read-frame.ts";

export interface DispatchDeps {
  receive: ReceiveDeps;
  runner: Runner;
  delivery: Delivery;
  streams: LogStreams;
  log: Log;
  send(frame: OutgoingToControlPlane): boolean;
}

export function createDispatch({ receive, runner, delivery, streams, log, send }: DispatchDeps) {
  const acknowledged = (operationId: string) => {
    try {
      delivery.resultAcknowledged(operationId);
    } catch (error) {
      if (!isAppError(error) || error.code !== "disk_full") throw error;
      log.warn({ operationId, err: error }, "an acknowledgement cannot be written down; the result will go out again");
    }
  };

  return {
    frame(frame: ToAgent): void {
      switch (frame.type) {
        case "command": {
          const { ack, accepted } = receiveCommand(receive, frame.data);
          send({ type: "ack", data: ack });
          if (accepted !== undefined) runner.submit(accepted);
          if (ack.outcome === "duplicate") delivery.resend(ack.operationId);
          return;
        }
        case "cancel":
          runner.cancel(frame.data.operationId);
          return;
        case "progress_ack":
          delivery.linesAcknowledged(frame.data.operationId, frame.data.next);
          return;
        case "result_ack":
          acknowledged(frame.data.operationId);
          return;
        case "log_open":
          streams.open(frame.data);
          return;
        case "log_credit":
          streams.credit(frame.data.streamId, frame.data.bytes);
          return;
        case "log_close":
          streams.close(frame.data.streamId);
          return;
        case "error":
          log.warn({ code: frame.data.code }, `the control plane says: ${frame.data.message}`);
          return;
        case "heartbeat_ack":
        // The link's own business; none of these comes here.
        case "drain":
        case "challenge":
        case "welcome":
          return;
      }
    },

    /** A newer control plane asks for something that this agent cannot do: it hears so, and the link goes on. */
    unsupported({ type, operationId, reason }: Extract<Received, { verdict: "unsupported" }>): void {
      log.warn({ type, reason }, "a frame that this agent does not know");
      if (operationId === undefined) {
        send({ type: "error", data: { code: "unsupported", message: reason } });
        return;
      }
      const failure = {
        code: "unsupported" as const,
        message: `this agent does not understand the command (${reason})`,
        hint: "Bring the agent on this server to the control plane's version.",
      };
      send({ type: "ack", data: { operationId, outcome: "rejected", failure } });
    },
  };
}
