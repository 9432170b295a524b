/** What is said of a service from what Docker shows of it. Pure. */
import type { Observation } from "@dflow/protocol";
import type { FoundContainer } from "../docker/docker.ts";

export interface Sight {
  container: FoundContainer | undefined;
  volumePresent: boolean;
  /** A deploy succeeded once, or a volume exists that is not known to be half made. */
  shouldExist: boolean;
  /** Ids of the networks with a way out. */
  openNetworks: ReadonlySet<string>;
}

export function observationOf({ container, volumePresent, shouldExist, openNetworks }: Sight): Observation {
  const volume = volumePresent ? "present" : "absent";
  if (container === undefined) {
    if (!shouldExist) return { state: "not_deployed", evidence: "no container", volume };
    const evidence = volumePresent ? "no container; its data volume is there" : "no container and no data volume";
    return { state: "missing", evidence, volume };
  }
  const seen = {
    volume,
    containerId: container.id,
    restartCount: container.restartCount,
    startedAt: container.startedAt,
    imageId: container.imageId,
    outgoing: container.networks.some(({ id }) => openNetworks.has(id)),
  } as const;
  switch (container.state) {
    case "running":
      return container.health === "unhealthy"
        ? { ...seen, state: "unhealthy", evidence: "container running, health check fails" }
        : { ...seen, state: "running", evidence: RUNNING[container.health] };
    case "paused":
      return { ...seen, state: "unhealthy", evidence: "container paused" };
    case "created":
      return { ...seen, state: "exited", evidence: "container created, never started" };
    case "restarting":
    case "exited":
    case "dead":
    case "removing":
      return {
        ...seen,
        state: "exited",
        evidence: exitEvidence(container),
        exitCode: container.exitCode,
        oomKilled: container.oomKilled,
      };
  }
}

export function unknownObservation(evidence: string): Observation {
  return { state: "unknown", evidence: evidence.slice(0, 500), volume: "unknown" };
}

const RUNNING = {
  none: "container running, no health check",
  starting: "container running, health check starting",
  healthy: "container running, health check passes",
} as const;

function exitEvidence({ state, exitCode, oomKilled }: FoundContainer): string {
  const why = oomKilled ? `exited with code ${exitCode}, out of memory` : `exited with code ${exitCode}`;
  if (state === "restarting") return `container ${why}; Docker is starting it again`;
  return state === "removing" ? `container ${why}; it is being removed` : `container ${why}`;
}
