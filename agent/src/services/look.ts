/** What Docker holds of one service right now: the ground that a plan stands on. Refuses what is not ours. */
import { AppError } from "@dflow/protocol";
import type { Docker, FoundContainer, FoundImage, FoundNetwork, FoundVolume } from "../docker/docker.ts";
import { checkOwned } from "../policy/policy.ts";
import {
  agentLabel,
  containerName,
  generationOf,
  isJob,
  LABEL,
  networkName,
  outgoingNetworkName,
  serviceLabel,
  volumeName,
} from "./naming.ts";

export interface Found {
  /** The service's own, newest generation first. */
  containers: FoundContainer[];
  /** Job containers of it. A service has one operation at a time, so whoever looks may take them for leftovers, but its own. */
  jobs: FoundContainer[];
  image: FoundImage | undefined;
  /** Of the service, by label. */
  volumes: FoundVolume[];
  /** The environment's. */
  network: FoundNetwork | undefined;
  /** The environment's way out, where a service has one. */
  outgoing: FoundNetwork | undefined;
}

export interface Subject {
  agentId: string;
  serviceId: string;
  generation: number;
  environmentId?: string;
  volumeId?: string;
  image?: string;
}

/** All questions at once; Docker answers each within milliseconds. */
export async function lookAtService(docker: Docker, subject: Subject, signal?: AbortSignal): Promise<Found> {
  const { agentId, serviceId, environmentId, volumeId, image } = subject;
  const label = serviceLabel(serviceId);
  const [containers, sameName, foundImage, labelledVolumes, namedVolume, networks] = await Promise.all([
    containersLabelled(docker, label, signal),
    docker.findContainer(containerName(serviceId, subject.generation), signal),
    image === undefined ? undefined : docker.findImage(image, signal),
    docker.listVolumes(label, signal),
    volumeId === undefined ? undefined : docker.findVolume(volumeName(volumeId), signal),
    environmentId === undefined ? [] : docker.listNetworks(signal),
  ]);
  for (const one of sameName === undefined ? containers : [...containers, sameName]) {
    checkOwned("container", one.name, one.labels, agentId);
  }
  const volumes = labelledVolumes.some((volume) => volume.name === namedVolume?.name)
    ? labelledVolumes
    : [...labelledVolumes, ...(namedVolume === undefined ? [] : [namedVolume])];
  for (const volume of volumes) {
    checkOwned("volume", volume.name, volume.labels, agentId);
    if (volume.labels[LABEL.service] !== serviceId) {
      throw new AppError("policy_refused", `volume ${volume.name} belongs to another service`);
    }
  }
  const networkNamed = (nameOf: (environmentId: string) => string) => {
    const network = environmentId && networks.find(({ name }) => name === nameOf(environmentId));
    if (!network) return undefined;
    checkOwned("network", network.name, network.labels, agentId);
    return network;
  };
  return {
    containers: containers
      .filter((one) => !isJob(one))
      .toSorted((a, b) => generationOf(b.labels) - generationOf(a.labels)),
    jobs: containers.filter(isJob),
    image: foundImage,
    volumes,
    network: networkNamed(networkName),
    outgoing: networkNamed(outgoingNetworkName),
  };
}

/** Running or not; without those that went between the two questions. `label` is "key" or "key=value". */
export async function containersLabelled(
  docker: Pick<Docker, "listContainers" | "findContainer">,
  label: string,
  signal?: AbortSignal,
): Promise<FoundContainer[]> {
  const listed = await docker.listContainers(label, signal);
  const containers = await Promise.all(listed.map(({ id }) => docker.findContainer(id, signal)));
  return containers.filter((container) => container !== undefined);
}

/** Services of this agent that have a container in the environment, running or not. */
export async function servicesInEnvironment(
  docker: Docker,
  agentId: string,
  environmentId: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const listed = await docker.listContainers(agentLabel(agentId), signal);
  return listed
    .filter(({ labels }) => labels[LABEL.environment] === environmentId)
    .map(({ labels }) => labels[LABEL.service] ?? "");
}
