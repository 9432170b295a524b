/** Commands as a control plane sends them. */
import { randomUUIDv7 } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  type Command,
  ENGINES,
  engineVersions,
  type ImageMap,
  imageMapSchema,
  type ServiceSpec,
} from "@dflow/protocol";

export const newId = () => randomUUIDv7();

export function serviceSpec(part: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    serviceId: newId(),
    workspaceId: newId(),
    environmentId: newId(),
    name: "orders",
    type: "database",
    engine: "postgres",
    version: "17",
    image: "postgres:17-trixie",
    standIn: false,
    volumeId: newId(),
    outgoing: false,
    ...part,
  };
}

const limits = { startWithinMs: 60_000, runMs: 600_000 };
export const PASSWORD = "Aa1".repeat(10).concat("Zz");

export function deploy(spec: ServiceSpec, generation = 1, part: Partial<Command> = {}): Command & { kind: "deploy" } {
  const { serviceId } = spec;
  return {
    kind: "deploy",
    operationId: newId(),
    serviceId,
    generation,
    ...limits,
    spec,
    secrets: { password: PASSWORD },
    ...part,
  } as Command & { kind: "deploy" };
}

export function restart(spec: ServiceSpec, generation: number): Command & { kind: "restart" } {
  const { serviceId } = spec;
  const secrets = { password: PASSWORD };
  return { kind: "restart", operationId: newId(), serviceId, generation, ...limits, spec, secrets };
}

export function stop({ serviceId }: ServiceSpec, generation: number): Command & { kind: "stop" } {
  return { kind: "stop", operationId: newId(), serviceId, generation, ...limits };
}

export function check({ serviceId }: ServiceSpec, generation: number, part = {}): Command & { kind: "check" } {
  return { kind: "check", operationId: newId(), serviceId, generation, ...limits, ...part };
}

export function remove(
  { serviceId }: ServiceSpec,
  generation: number,
  deleteData: boolean,
): Command & { kind: "delete" } {
  return { kind: "delete", operationId: newId(), serviceId, generation, ...limits, deleteData };
}

/** The image of a Postgres version: this machine's own where a map names one, else the official one. */
export function imageOf(version: string): Pick<ServiceSpec, "image" | "standIn" | "version"> {
  const path = process.env.DFLOW_TEST_IMAGE_MAP;
  const map: ImageMap = path === undefined ? {} : imageMapSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  const found = engineVersions(ENGINES.postgres, map).find((one) => one.version === version);
  if (found === undefined) throw new Error(`no image of Postgres ${version}`);
  return found;
}
