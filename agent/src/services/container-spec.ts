/** What a service's container looks like: the engine's share and ours, and the hash that tells whether it changed. Pure. */
import { createHash } from "node:crypto";
import type { ServiceSpec } from "@dflow/protocol";
import type { ContainerSpec } from "../docker/docker.ts";
import { type Engine, SECRETS_TARGET, TLS_TARGET } from "../engines/engine.ts";
import { containerName, LABEL, networkName, type Ownership, serviceLabels, volumeName } from "./naming.ts";

export interface ServiceFolders {
  secrets: string;
  tls: string;
}

/** Inside the agent's own folder, which is the only place that a container may mount from. */
export const serviceFolder = (servicesDir: string, serviceId: string) => `${servicesDir}/${serviceId}`;
export const serviceFolders = (servicesDir: string, serviceId: string): ServiceFolders => ({
  secrets: `${serviceFolder(servicesDir, serviceId)}/secrets`,
  tls: `${serviceFolder(servicesDir, serviceId)}/tls`,
});

/** All that is fixed before Docker was asked: not the image's id, not the address. */
export type Blueprint = Omit<ContainerSpec, "imageId" | "network"> & { network: { name: string; alias: string } };

export function blueprint(
  spec: ServiceSpec,
  engine: Engine,
  folders: ServiceFolders,
  owner: Ownership,
  stopGraceMs?: number,
): Blueprint {
  const { dataTarget, ...share } = engine.container(spec);
  const plain = {
    ...share,
    stopGraceMs: stopGraceMs ?? share.stopGraceMs,
    network: { name: networkName(spec.environmentId), alias: spec.name },
    outgoing: spec.outgoing,
    volumes: [{ name: volumeName(spec.volumeId), target: dataTarget }],
    folders: [
      { source: folders.secrets, target: SECRETS_TARGET },
      { source: folders.tls, target: TLS_TARGET },
    ],
    logMaxSize: "10m",
    logMaxFiles: 3,
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: spec.memoryBytes }),
  };
  return {
    ...plain,
    name: containerName(spec.serviceId, owner.generation),
    labels: { ...serviceLabels(owner), [LABEL.spec]: hashOf({ image: spec.image, ...plain }) },
  };
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value, sortedKeys)).digest("hex");
}

/** The same content gives the same text, whatever order the keys were written in. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
