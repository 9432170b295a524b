/** Names and labels of the Docker objects that belong to a service. */
import { idSchema, type OnceKind } from "@dflow/protocol";
import type { Labels } from "../docker/docker.ts";

export const LABEL = {
  agent: "sh.dflow.agent",
  workspace: "sh.dflow.workspace",
  environment: "sh.dflow.environment",
  service: "sh.dflow.service",
  generation: "sh.dflow.generation",
  operation: "sh.dflow.operation",
  /** What a job container does; a service's own container has none. */
  job: "sh.dflow.job",
  /** Hash of what the container was created from; a different one means it has to be created anew. */
  spec: "sh.dflow.spec",
} as const;

export const containerName = (serviceId: string, generation: number) => `dflow-${serviceId}-${generation}`;
export const volumeName = (volumeId: string) => `dflow-vol-${volumeId}`;
export const networkName = (environmentId: string) => `dflow-env-${environmentId}`;
/** The way out of those services of an environment that have one. */
export const outgoingNetworkName = (environmentId: string) => `dflow-out-${environmentId}`;

/** Found again by it after a crash, and never made twice under it. */
export const jobName = (operationId: string) => `dflow-job-${operationId}`;

export const agentLabel = (agentId: string) => `${LABEL.agent}=${agentId}`;
export const serviceLabel = (serviceId: string) => `${LABEL.service}=${serviceId}`;

export interface Ownership {
  agentId: string;
  workspaceId: string;
  environmentId: string;
  serviceId: string;
  generation: number;
  operationId: string;
}

/** Labels of what belongs to one service: its containers and volumes. */
export function serviceLabels(owner: Ownership): Labels {
  return {
    [LABEL.agent]: owner.agentId,
    [LABEL.workspace]: owner.workspaceId,
    [LABEL.environment]: owner.environmentId,
    [LABEL.service]: owner.serviceId,
    [LABEL.generation]: String(owner.generation),
    [LABEL.operation]: owner.operationId,
  };
}

/** Labels of the container that carries out one operation of class `once`. */
export const jobLabels = (owner: Ownership, job: OnceKind): Labels => ({ ...serviceLabels(owner), [LABEL.job]: job });

export const isJob = ({ labels }: { labels: Labels }): boolean => LABEL.job in labels;

/** Labels of a network, which belongs to all services of its environment. */
export function networkLabels(owner: Ownership): Labels {
  return {
    [LABEL.agent]: owner.agentId,
    [LABEL.workspace]: owner.workspaceId,
    [LABEL.environment]: owner.environmentId,
    [LABEL.operation]: owner.operationId,
  };
}

/** The service that labels name, when they carry a proper id. */
export function serviceOf(labels: Labels): string | undefined {
  return idSchema.safeParse(labels[LABEL.service]).data;
}

export function generationOf(labels: Labels): number {
  const generation = Number(labels[LABEL.generation]);
  return Number.isSafeInteger(generation) && generation >= 0 ? generation : 0;
}
