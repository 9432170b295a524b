/** Hints of growing logs: many lines a second become one hint in a while, the newest always last. */
import type { Event } from "@dflow/protocol";
import type { Deps } from "../deps.ts";

const INTERVAL_MS = 100;

export interface LogHints {
  /** An operation's log has grown to `lineCount` lines. */
  grown(workspaceId: string, operationId: string, serviceId: string, lineCount: number): void;
  stop(): void;
}

interface Pending {
  cancel: () => void;
  next: (() => void) | undefined;
}

export function createLogHints(deps: Pick<Deps, "hub" | "timers">): LogHints {
  const pending = new Map<string, Pending>();

  /** After a hint the operation rests; what came meanwhile goes out at the end of the rest, and rests again. */
  const rest = (operationId: string): void => {
    const cancel = deps.timers.after(INTERVAL_MS, () => {
      const entry = pending.get(operationId);
      pending.delete(operationId);
      if (entry?.next === undefined) return;
      entry.next();
      rest(operationId);
    });
    pending.set(operationId, { cancel, next: undefined });
  };

  return {
    grown(workspaceId, operationId, serviceId, lineCount) {
      const event: Event = { type: "operation_log", id: operationId, revision: lineCount, serviceId };
      const publish = (): void => deps.hub.publish(workspaceId, event);
      const entry = pending.get(operationId);
      if (entry !== undefined) {
        entry.next = publish;
        return;
      }
      publish();
      rest(operationId);
    },
    stop() {
      for (const entry of pending.values()) {
        entry.cancel();
        entry.next?.();
      }
      pending.clear();
    },
  };
}
