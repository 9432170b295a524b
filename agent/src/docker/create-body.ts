/** The one place that turns our container spec into Docker's own JSON. Pure; its golden text is in the tests. */
import type { ContainerCreateOptions } from "dockerode";
import type { ContainerSpec } from "./docker.ts";

const NANOSECONDS_PER_MS = 1_000_000;
/**
 * Docker answers names of neighbours itself and forwards all others, also for a network without a way out: to a
 * resolver on the host's loopback from the host itself. One that is given here is asked from inside the container,
 * and nothing listens there.
 */
export const NO_RESOLVER = "127.0.0.1";

export function createBody(spec: ContainerSpec): ContainerCreateOptions {
  return {
    name: spec.name,
    Image: spec.imageId,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: spec.labels,
    StopSignal: spec.stopSignal,
    StopTimeout: Math.ceil(spec.stopGraceMs / 1_000),
    Healthcheck: {
      Test: ["CMD", ...spec.health.command],
      Interval: spec.health.intervalMs * NANOSECONDS_PER_MS,
      Timeout: spec.health.timeoutMs * NANOSECONDS_PER_MS,
      Retries: spec.health.retries,
      StartPeriod: spec.health.startPeriodMs * NANOSECONDS_PER_MS,
    },
    HostConfig: {
      NetworkMode: spec.network.name,
      ...(spec.outgoing ? {} : { Dns: [NO_RESOLVER] }),
      // A database starts again by itself only after it has proven to be the right one (services/steps.ts).
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "local", Config: { "max-size": spec.logMaxSize, "max-file": String(spec.logMaxFiles) } },
      Mounts: [
        ...spec.volumes.map(({ name, target }) => ({ Type: "volume" as const, Source: name, Target: target })),
        ...spec.folders.map(({ source, target }) => ({
          Type: "bind" as const,
          Source: source,
          Target: target,
          ReadOnly: true,
        })),
      ],
      Tmpfs: Object.fromEntries(spec.tmpfs.map(({ target, sizeBytes }) => [target, `size=${sizeBytes},mode=0700`])),
      ShmSize: spec.shmBytes,
      PidsLimit: spec.pidsLimit,
      // A core dump of a database is its memory in a file: rows, passwords, keys.
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      CapDrop: ["ALL"],
      CapAdd: spec.capabilities,
      SecurityOpt: ["no-new-privileges"],
      // The same number twice: without it Docker would allow as much swap again.
      ...(spec.memoryBytes === undefined ? {} : { Memory: spec.memoryBytes, MemorySwap: spec.memoryBytes }),
    },
    NetworkingConfig: {
      EndpointsConfig: {
        [spec.network.name]: {
          Aliases: [spec.network.alias],
          IPAMConfig: { IPv4Address: spec.network.address },
        },
      },
    },
  };
}
