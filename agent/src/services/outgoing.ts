/** The outgoing network of an environment: made for the first service that needs a way out, gone with the last. */
import { checkOwned } from "../policy/policy.ts";
import { type FreeRangeDeps, makeInFreeRange } from "./free-range.ts";
import { containersLabelled } from "./look.ts";
import { agentLabel, LABEL, networkLabels, type Ownership, outgoingNetworkName, serviceOf } from "./naming.ts";
import { removeNetwork } from "./remove-network.ts";

/** A network that a service has left, and what became of it. */
export interface Left {
  name: string;
  what: string;
}

/** Both are idempotent. The service's own network comes first: its record in the journal holds this one's members. */
export interface Outgoing {
  join(owner: Ownership, signal: AbortSignal): Promise<{ name: string; subnet: string; created: boolean }>;
  /** Nothing is listed when there is no such network. */
  leave(environmentId: string, serviceId: string, signal?: AbortSignal): Promise<Left[]>;
}

export interface OutgoingDeps extends FreeRangeDeps {
  agentId: string;
}

export function createOutgoing(deps: OutgoingDeps): Outgoing {
  const { docker, journal, agentId } = deps;

  /** Also stopped ones, and those that the journal knows nothing of. */
  const servicesIn = async (networkId: string, signal?: AbortSignal) => {
    const containers = await containersLabelled(docker, agentLabel(agentId), signal);
    return containers
      .filter(({ networks }) => networks.some(({ id }) => id === networkId))
      .map(({ id, labels }) => serviceOf(labels) ?? id);
  };

  const setMembers = (environmentId: string, members: string[]) => {
    const record = journal.networks.get(environmentId);
    if (record !== undefined) journal.networks.put({ ...record, outgoing: members });
  };

  /** What becomes of the network when these services and Docker's own containers are all that need it. */
  const giveUp = async (name: string, members: string[], signal?: AbortSignal): Promise<Left[]> => {
    const existing = (await docker.listNetworks(signal)).find(
      (network) => network.name === name && network.labels[LABEL.agent] === agentId,
    );
    if (existing === undefined) return [];
    const inUse = new Set([...members, ...(await servicesIn(existing.id, signal))]);
    if (inUse.size > 0) return [{ name, what: `kept, ${inUse.size} service(s) use it` }];
    const removal = await removeNetwork(docker, existing.id, signal);
    const what = removal.outcome === "in_use" ? `kept: ${removal.words}` : "removed, nobody uses it any more";
    return [{ name, what }];
  };

  return {
    async join(owner, signal) {
      const name = outgoingNetworkName(owner.environmentId);
      // A member before there is a network, so that nobody who leaves meanwhile takes it along.
      const members = journal.networks.get(owner.environmentId)?.outgoing ?? [];
      setMembers(owner.environmentId, [...new Set([...members, owner.serviceId])]);
      const networks = await docker.listNetworks(signal);
      const existing = networks.find((network) => network.name === name);
      if (existing !== undefined) checkOwned("network", name, existing.labels, agentId);
      const [subnet] = existing?.subnets ?? [];
      if (subnet !== undefined) return { name, subnet, created: false };
      const made = await makeInFreeRange(deps, { name, kind: "outgoing", labels: networkLabels(owner) }, networks);
      return { name, subnet: made.subnet, created: true };
    },

    async leave(environmentId, serviceId, signal) {
      const members = journal.networks.get(environmentId)?.outgoing ?? [];
      const others = members.filter((id) => id !== serviceId);
      const left = await giveUp(outgoingNetworkName(environmentId), others, signal);
      // A member until the network is gone, so that whoever is killed in between comes back here.
      setMembers(environmentId, others);
      return left;
    },
  };
}
