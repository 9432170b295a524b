/** The one place that turns our job spec into Docker's own JSON. Pure; its golden text is in the tests. */
import type { ContainerCreateOptions } from "dockerode";
import { NO_RESOLVER } from "./create-body.ts";
import type { JobSpec } from "./docker.ts";

const MIB = 1024 * 1024;

export function jobBody(spec: JobSpec): ContainerCreateOptions {
  const [program = "", ...words] = spec.command;
  return {
    name: spec.name,
    Image: spec.imageId,
    User: `${spec.user.uid}:${spec.user.gid}`,
    // Instead of the image's own, which would begin a database.
    Entrypoint: [program],
    Cmd: words,
    Labels: spec.labels,
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      NetworkMode: spec.networkName,
      Dns: [NO_RESOLVER],
      RestartPolicy: { Name: "no" },
      LogConfig: { Type: "local", Config: { "max-size": "1m", "max-file": "2" } },
      Mounts: spec.folders.map(({ source, target }) => ({
        Type: "bind" as const,
        Source: source,
        Target: target,
        ReadOnly: true,
      })),
      Tmpfs: Object.fromEntries(spec.covered.map((target) => [target, "size=65536,mode=0700"])),
      ReadonlyRootfs: true,
      ShmSize: 64 * MIB,
      PidsLimit: 64,
      Ulimits: [{ Name: "core", Soft: 0, Hard: 0 }],
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      // The same number twice: without it Docker would allow as much swap again.
      ...(spec.memoryBytes === undefined ? {} : { Memory: spec.memoryBytes, MemorySwap: spec.memoryBytes }),
    },
  };
}
