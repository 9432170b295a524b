/** The states of services, operations and links, and the pure functions that turn facts into what a badge shows. */
import { z } from "zod";

/** What Docker shows of a service. Only the agent's observation sets it, never a command. */
export const observedStateSchema = z.enum(["not_deployed", "running", "unhealthy", "exited", "missing", "unknown"]);
export type ObservedState = z.infer<typeof observedStateSchema>;

export const desiredStateSchema = z.enum(["running", "stopped", "absent"]);
export type DesiredState = z.infer<typeof desiredStateSchema>;

export const exposureStateSchema = z.enum(["closed", "exposing", "exposed", "unexposing", "failed"]);
export type ExposureState = z.infer<typeof exposureStateSchema>;

export const operationKindSchema = z.enum(["deploy", "restart", "stop", "delete", "check"]);
export type OperationKind = z.infer<typeof operationKindSchema>;

export const operationStateSchema = z.enum([
  "queued",
  "sent",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "expired",
  "unknown",
]);
export type OperationState = z.infer<typeof operationStateSchema>;

export const OPEN_OPERATION_STATES: readonly OperationState[] = ["queued", "sent", "running"];
export const TERMINAL_OPERATION_STATES: readonly OperationState[] = [
  "succeeded",
  "failed",
  "cancelled",
  "expired",
  "unknown",
];

export function isTerminal(state: OperationState): boolean {
  return TERMINAL_OPERATION_STATES.includes(state);
}

const OPERATION_NEXT: Record<OperationState, readonly OperationState[]> = {
  queued: ["sent", "running", "succeeded", "failed", "cancelled", "expired", "unknown"],
  sent: ["running", "succeeded", "failed", "cancelled", "expired", "unknown"],
  running: ["succeeded", "failed", "cancelled", "expired", "unknown"],
  succeeded: [],
  failed: [],
  cancelled: [],
  expired: [],
  unknown: [],
};

/** Whether an operation may go from one state to another. Terminal states never change. */
export function canOperationMove(from: OperationState, to: OperationState): boolean {
  return OPERATION_NEXT[from].includes(to);
}

/** Words for a deployment's state, on the deployments tab and in the API's `label`. */
export const DEPLOYMENT_LABELS: Record<OperationState, string> = {
  queued: "Queued",
  sent: "Queued",
  running: "Building",
  succeeded: "Success",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Expired",
  unknown: "Unknown",
};

/** The label of a service while an operation of this kind is open. */
export const OPEN_OPERATION_LABELS: Record<OperationKind, string> = {
  deploy: "Deploying",
  restart: "Restarting",
  stop: "Stopping",
  delete: "Deleting",
  check: "Checking",
};

/**
 * `reconnecting`: it was online before the control plane went down, and has not had the time to come back yet; nobody knows
 * more of it than of an unreachable one. `quarantined`: two machines use this server's identity, so neither is listened to.
 */
export const linkStateSchema = z.enum(["online", "reconnecting", "unreachable", "never_connected", "quarantined"]);
export type LinkState = z.infer<typeof linkStateSchema>;

/** One observation of a service by its agent. */
export const observationSchema = z.object({
  state: observedStateSchema,
  /** A sentence of what was seen, for the badge's tooltip: "container healthy". */
  evidence: z.string().max(500),
  /** Whether the data volume exists; `unknown` before the first look. */
  volume: z.enum(["present", "absent", "unknown"]),
  containerId: z.string().max(64).optional(),
  exitCode: z.number().int().optional(),
  oomKilled: z.boolean().optional(),
  restartCount: z.number().int().nonnegative().optional(),
  startedAt: z.string().max(40).optional(),
  imageId: z.string().max(100).optional(),
  /** Whether the container is in a network with a way out, whatever its service is set to. */
  outgoing: z.boolean().optional(),
});
export type Observation = z.infer<typeof observationSchema>;

/** What the API calls `state`: the badge's word. A pure function of observation, open operation and link. */
export const serviceStateSchema = z.enum([
  "not_deployed",
  "deploying",
  "restarting",
  "stopping",
  "deleting",
  "running",
  "unhealthy",
  "stopped",
  "exited",
  "missing",
  "unknown",
  "reconnecting",
  "unreachable",
]);
export type ServiceState = z.infer<typeof serviceStateSchema>;

export const SERVICE_STATE_LABELS: Record<ServiceState, string> = {
  not_deployed: "Not deployed",
  deploying: "Deploying",
  restarting: "Restarting",
  stopping: "Stopping",
  deleting: "Deleting",
  running: "Running",
  unhealthy: "Unhealthy",
  stopped: "Stopped",
  exited: "Exited",
  missing: "Missing",
  unknown: "Unknown",
  reconnecting: "Reconnecting",
  unreachable: "Unreachable",
};

/** good = green, moving = amber and animated, bad = red, quiet = grey. */
export type Tone = "good" | "moving" | "bad" | "quiet";
export const SERVICE_STATE_TONES: Record<ServiceState, Tone> = {
  not_deployed: "quiet",
  deploying: "moving",
  restarting: "moving",
  stopping: "moving",
  deleting: "moving",
  running: "good",
  unhealthy: "bad",
  stopped: "quiet",
  exited: "bad",
  missing: "bad",
  unknown: "quiet",
  reconnecting: "quiet",
  unreachable: "quiet",
};

/** A check changes nothing of the database, so its badge goes on to show what is observed. */
const STATE_OF_OPERATION: Record<OperationKind, ServiceState | undefined> = {
  deploy: "deploying",
  restart: "restarting",
  stop: "stopping",
  delete: "deleting",
  check: undefined,
};

export interface ServiceFacts {
  observed: ObservedState;
  desired: DesiredState;
  openOperation: OperationKind | undefined;
  link: LinkState;
  everDeployed: boolean;
}

/**
 * The one function behind every badge. An open operation shows its label even while the server is away, because
 * that is what was asked and is not over; otherwise a server that is not online makes every observation a memory.
 */
export function serviceState(facts: ServiceFacts): ServiceState {
  const moving = facts.openOperation && STATE_OF_OPERATION[facts.openOperation];
  if (moving !== undefined) return moving;
  if (facts.observed === "not_deployed" && !facts.everDeployed) return "not_deployed";
  if (facts.link !== "online") return facts.link === "reconnecting" ? "reconnecting" : "unreachable";
  if (facts.observed === "exited" && facts.desired === "stopped") return "stopped";
  return facts.observed;
}
