/** The network of an environment: its range, chosen free of everything the host knows, and each service's fixed address. */
import { AppError, isAppError } from "@dflow/protocol";
import type { Files } from "../deps.ts";
import type { Docker, FoundNetwork } from "../docker/docker.ts";
import type { Journal } from "../journal/journal.ts";
import { checkOwned } from "../policy/policy.ts";
import { createOneAtATime } from "../waiting.ts";
import { type Found, servicesInEnvironment } from "./look.ts";
import { agentLabel, LABEL, networkLabels, networkName, type Ownership } from "./naming.ts";
import { chooseAddress, chooseSubnet, routesOf } from "./subnets.ts";

export interface Joined {
  id: string;
  name: string;
  subnet: string;
  address: string;
  created: boolean;
}

export interface Environments {
  /** Makes the network when it is absent, and gives the service its address, the same one every time. */
  join(owner: Ownership, found: Found, signal: AbortSignal): Promise<Joined>;
  /** Gives the address back and removes the network when no other service is left in it. */
  leave(environmentId: string, serviceId: string, signal?: AbortSignal): Promise<{ name: string; what: string }>;
}

export interface EnvironmentsDeps {
  docker: Docker;
  files: Files;
  journal: Journal;
  agentId: string;
  networkRange: string;
}

const HOST_ROUTES = "/proc/net/route";
/** Another program may take a range between our look and our request. */
const ATTEMPTS = 5;

export function createEnvironments({ docker, files, journal, agentId, networkRange }: EnvironmentsDeps): Environments {
  // Two services of one new environment would make its network twice; Docker allows that.
  const oneAtATime = createOneAtATime();

  /** Of this agent's containers in the network, also those that the journal knows nothing of. */
  const addressesInDocker = async (networkId: string, signal: AbortSignal) => {
    const listed = await docker.listContainers(agentLabel(agentId), signal);
    const containers = await Promise.all(listed.map(({ id }) => docker.findContainer(id, signal)));
    return containers
      .flatMap((container) => container?.networks ?? [])
      .flatMap(({ id, address }) => (id === networkId && address !== undefined ? [address] : []));
  };

  const create = async (owner: Ownership, networks: FoundNetwork[]) => {
    const name = networkName(owner.environmentId);
    const recorded = journal.networks.get(owner.environmentId)?.subnet;
    const taken = [
      ...networks.flatMap(({ subnets }) => subnets),
      ...routesOf(files.readText(HOST_ROUTES) ?? ""),
      ...journal.networks
        .all()
        .filter(({ environmentId }) => environmentId !== owner.environmentId)
        .map(({ subnet }) => subnet),
    ];
    // A network that somebody removed comes back with the same range, so that addresses stay.
    const candidates = recorded === undefined ? [] : [recorded];
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const subnet = candidates.pop() ?? chooseSubnet(networkRange, taken);
      if (subnet === undefined) {
        throw new AppError("network_exhausted", `no free /26 is left in ${networkRange}`, {
          hint: 'Set "networkRange" in the agent\'s config.json to a larger range that the host does not use.',
        });
      }
      try {
        // Without the signal: Docker would go on making it behind the back of whoever cleans up.
        const id = await docker.createNetwork({ name, subnet, labels: networkLabels(owner) });
        return { id, name, subnet };
      } catch (error) {
        if (!isAppError(error) || error.code !== "network_exhausted") throw error;
        taken.push(subnet);
      }
    }
    throw new AppError("network_exhausted", `Docker refused ${ATTEMPTS} ranges in ${networkRange} as taken`);
  };

  return {
    join: (owner, found, signal) =>
      oneAtATime(async () => {
        const name = networkName(owner.environmentId);
        // Looked at in our turn: another service may have left, and taken the network along, since `found`.
        const networks = await docker.listNetworks(signal);
        const existing = networks.find((network) => network.name === name);
        if (existing !== undefined) checkOwned("network", name, existing.labels, agentId);
        const [existingSubnet] = existing?.subnets ?? [];
        const network =
          existing === undefined || existingSubnet === undefined
            ? { ...(await create(owner, networks)), created: true }
            : { id: existing.id, name, subnet: existingSubnet, created: false };
        const record = journal.networks.get(owner.environmentId);
        const addresses = record?.subnet === network.subnet ? record.addresses : {};
        const address =
          addresses[owner.serviceId] ??
          addressOf(found, network.id) ??
          chooseAddress(network.subnet, [
            ...Object.values(addresses),
            ...(network.created ? [] : await addressesInDocker(network.id, signal)),
          ]);
        if (address === undefined) {
          throw new AppError("network_exhausted", `network ${name} (${network.subnet}) has no free address`, {
            hint: "An environment holds about 60 services on one server. Make another environment.",
          });
        }
        journal.networks.put({
          environmentId: owner.environmentId,
          subnet: network.subnet,
          addresses: { ...addresses, [owner.serviceId]: address },
        });
        return { ...network, address };
      }),

    leave: (environmentId, serviceId, signal) =>
      oneAtATime(async () => {
        const name = networkName(environmentId);
        const record = journal.networks.get(environmentId);
        const { [serviceId]: _left, ...others } = record?.addresses ?? {};
        if (record !== undefined) journal.networks.put({ ...record, addresses: others });
        const withContainer = await servicesInEnvironment(docker, agentId, environmentId, signal);
        const inUse = new Set([...Object.keys(others), ...withContainer.filter((id) => id !== serviceId)]);
        if (inUse.size > 0) return { name, what: `kept, ${inUse.size} other service(s) use it` };
        const existing = (await docker.listNetworks(signal)).find(
          ({ name: one, labels }) => one === name && labels[LABEL.agent] === agentId,
        );
        const removed = existing !== undefined && (await docker.removeNetwork(existing.id, signal));
        journal.networks.remove(environmentId);
        return { name, what: removed ? "removed, nobody uses it any more" : "was gone already" };
      }),
  };
}

/** The address of a container from before the journal knew it. */
function addressOf(found: Found, networkId: string): string | undefined {
  return found.containers.flatMap(({ networks }) => networks).find(({ id }) => id === networkId)?.address;
}
