/** What a journal that was lost had known of services, as far as the labels of their containers tell. */
import { messageOf } from "@dflow/protocol";
import type { Log } from "../deps.ts";
import type { FoundContainer } from "../docker/docker.ts";
import type { Journal, ServiceRecord, VolumeRecord } from "../journal/journal.ts";
import { generationOf, LABEL } from "./naming.ts";
import { isDiskFull } from "./operation-log.ts";

export interface RebuildDeps {
  journal: Pick<Journal, "services" | "volumes">;
  log: Log;
}

/** Call it with every complete look at Docker: the newest container of each service. Nothing happens to known services. */
export function rebuildServices({ journal, log }: RebuildDeps, containers: ReadonlyMap<string, FoundContainer>): void {
  for (const [serviceId, container] of containers) {
    if (journal.services.get(serviceId) !== undefined) continue;
    const record = rebuilt(serviceId, container, journal.volumes.all());
    try {
      journal.services.put(record);
      log.warn({ ...record }, "a service without a record was found in Docker, and is known again by its labels");
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      log.warn(
        { serviceId, reason: messageOf(error) },
        "a service that was found in Docker cannot be written down yet",
      );
    }
  }
}

/** Its spec is in no label: the next Restart brings it back. Pure. */
export function rebuilt(
  serviceId: string,
  container: Pick<FoundContainer, "labels" | "state">,
  volumes: readonly VolumeRecord[],
): ServiceRecord {
  const environmentId = container.labels[LABEL.environment];
  const own = volumes.filter((volume) => volume.serviceId === serviceId);
  return {
    serviceId,
    // Older ones are refused. The command that made the container may be on its way again.
    generation: Math.max(0, generationOf(container.labels) - 1),
    desired: container.state === "running" || container.state === "restarting" ? "running" : "stopped",
    // Without any record of its volume it counts as data, which no deploy may wipe.
    everDeployed: own.length === 0 || own.some(({ ready }) => ready !== undefined),
    deleted: false,
    ...(environmentId === undefined || environmentId === "" ? {} : { environmentId }),
  };
}
