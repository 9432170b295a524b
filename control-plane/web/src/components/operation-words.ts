/** What toasts and rows say about an operation. */
import { DEPLOYMENT_LABELS, type Operation, type OperationKind, type OperationState, type Tone } from "@dflow/protocol";

const NOUNS: Record<OperationKind, string> = {
  deploy: "Deployment",
  restart: "Restart",
  stop: "Stop",
  delete: "Deletion",
  check: "Check",
};
const DONE: Record<OperationKind, string> = {
  deploy: "is deployed",
  restart: "was restarted",
  stop: "is stopped",
  delete: "is deleted",
  check: "passed its check",
};

export const operationNoun = (kind: OperationKind) => NOUNS[kind];
export const queuedTitle = (kind: OperationKind, name: string) => `${NOUNS[kind]} of ${name} queued`;

/** How an ended operation is told: in one line, with what to do where something is to be done. */
export function outcome(operation: Operation, name: string): { good: boolean; title: string; description?: string } {
  const noun = NOUNS[operation.kind];
  const why = operation.error === null ? undefined : sentence(operation.error.message, operation.error.hint);
  const withWhy = why === undefined ? {} : { description: why };
  switch (operation.state) {
    case "succeeded":
      return { good: true, title: `${name} ${DONE[operation.kind]}` };
    case "cancelled":
      return { good: false, title: `${noun} of ${name} was cancelled`, ...withWhy };
    case "expired":
      return {
        good: false,
        title: `${noun} of ${name} expired`,
        description: why ?? "The server did not take it up in time, and nothing was changed.",
      };
    case "unknown":
      return {
        good: false,
        title: `Nobody knows how the ${noun.toLowerCase()} of ${name} ended`,
        description: why ?? "Look at the state of the service, which is observed, before you try again.",
      };
    default:
      return { good: false, title: `${noun} of ${name} failed`, ...withWhy };
  }
}

function sentence(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message} ${hint}`;
}

const TONES: Record<OperationState, Tone> = {
  queued: "moving",
  sent: "moving",
  running: "moving",
  succeeded: "good",
  failed: "bad",
  cancelled: "quiet",
  expired: "bad",
  unknown: "quiet",
};
export const operationTone = (state: OperationState): Tone => TONES[state];

const SUCCEEDED: Record<OperationKind, string> = {
  deploy: DEPLOYMENT_LABELS.succeeded,
  restart: "Done",
  stop: "Done",
  delete: "Done",
  check: "Passed",
};

/** Deployments have words of their own; a restart is not "building" anything. */
export function operationLabel({ kind, state }: Pick<Operation, "kind" | "state">): string {
  if (state === "succeeded") return SUCCEEDED[kind];
  return state === "running" && kind !== "deploy" ? "Running" : DEPLOYMENT_LABELS[state];
}

/** From the start of the work, or of the wait for it, to its end. */
export function operationDurationMs(operation: Operation, nowMs: number): number {
  const from = Date.parse(operation.startedAt ?? operation.createdAt);
  const to = operation.endedAt === null ? nowMs : Date.parse(operation.endedAt);
  return Math.max(0, to - from);
}
