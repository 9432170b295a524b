/** What the job container of an operation looks like. Pure. */
import type { OnceKind, ServiceSpec } from "@dflow/protocol";
import type { JobSpec } from "../docker/docker.ts";
import { type Engine, SECRETS_TARGET } from "../engines/engine.ts";
import type { ServiceFolders } from "./container-spec.ts";
import { jobLabels, jobName, networkName, type Ownership } from "./naming.ts";

/** With less than this a dump tool does not get through the catalogue of a larger database. */
const MEMORY_BYTES_MIN = 256 * 1024 * 1024;

/** What Docker and the database have to be asked for. */
export interface JobGround {
  imageId: string;
  user: JobSpec["user"];
}

export function jobSpec(
  kind: OnceKind,
  spec: ServiceSpec,
  engine: Engine,
  folders: ServiceFolders,
  owner: Ownership,
  ground: JobGround,
): JobSpec {
  return {
    name: jobName(owner.operationId),
    labels: jobLabels(owner, kind),
    ...ground,
    ...engine[kind](spec),
    networkName: networkName(spec.environmentId),
    folders: [{ source: folders.secrets, target: SECRETS_TARGET }],
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: Math.max(spec.memoryBytes, MEMORY_BYTES_MIN) }),
  };
}
