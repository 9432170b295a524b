/** The network of an environment, without a way out, and each service's fixed address in it. */
import { AppError } from "@dflow/protocol";
import type { NetworkRecord } from "../journal/journal.ts";
import { checkOwned } from "../policy/policy.ts";
import { createOneAtATime } from "../waiting.ts";
import { makeInFreeRange } from "./free-range.ts";
import { containersLabelled, type Found, servicesInEnvironment } from "./look.ts";
import { agentLabel, LABEL, networkLabels, networkName, type Ownership } from "./naming.ts";
import { createOutgoing, type Left, type Outgoing, type OutgoingDeps } from "./outgoing.ts";
import { removeNetwork } from "./remove-network.ts";
import { chooseAddress, partsOf } from "./subnets.ts";

export interface Joined {
  id: string;
  name: string;
  subnet: string;
  address: string;
  created: boolean;
  /** It lets traffic out and could not be made anew, because these are Docker's words. */
  open?: string;
}

export interface Environments {
  /** Makes the network when it is absent, and gives the service its address, the same one every time. */
  join(owner: Ownership, found: Found, signal: AbortSignal): Promise<Joined>;
  /** Gives the address back and removes each network of the environment when no other service is left in it. */
  leave(environmentId: string, serviceId: string, signal?: AbortSignal): Promise<Left[]>;
  /** The way out of the services that have one. */
  outgoing: Outgoing;
}

export function createEnvironments(deps: OutgoingDeps): Environments {
  const { docker, journal, agentId } = deps;
  // Two services of one new environment would make its network twice; Docker allows that.
  const oneAtATime = createOneAtATime();
  const outgoing = createOutgoing(deps);

  /** Of this agent's containers in the network, also those that the journal knows nothing of. */
  const addressesInDocker = async (networkId: string, signal: AbortSignal) => {
    const containers = await containersLabelled(docker, agentLabel(agentId), signal);
    return containers
      .flatMap(({ networks }) => networks)
      .flatMap(({ id, address }) => (id === networkId && address !== undefined ? [address] : []));
  };

  const join: Environments["join"] = async (owner, found, signal) => {
    const name = networkName(owner.environmentId);
    // Looked at in our turn: another service may have left, and taken the network along, since `found`.
    const networks = await docker.listNetworks(signal);
    let existing = networks.find((network) => network.name === name);
    if (existing !== undefined) checkOwned("network", name, existing.labels, agentId);
    let open: string | undefined;
    if (existing !== undefined && !existing.internal) {
      // One that lets traffic out is of an earlier version.
      const removal = await removeNetwork(docker, existing.id);
      if (removal.outcome === "in_use") open = removal.words;
      else existing = undefined;
    }
    const record = journal.networks.get(owner.environmentId);
    const [subnet] = existing?.subnets ?? [];
    const network =
      existing === undefined || subnet === undefined
        ? // A network that somebody removed comes back with the same range, so that addresses stay.
          {
            ...(await makeInFreeRange(
              deps,
              { name, kind: "private", labels: networkLabels(owner), subnet: record?.subnet },
              networks.filter((one) => one.name !== name),
            )),
            created: true,
          }
        : { id: existing.id, name, subnet, created: false };
    const addresses = record?.subnet === network.subnet ? record.addresses : {};
    const address =
      usable(addresses[owner.serviceId], network.subnet) ??
      usable(addressOf(found, network.id), network.subnet) ??
      chooseAddress(network.subnet, [
        ...Object.values(addresses),
        ...(network.created ? [] : await addressesInDocker(network.id, signal)),
      ]);
    if (address === undefined) {
      throw new AppError("network_exhausted", `network ${name} (${network.subnet}) has no free address`, {
        hint: "An environment holds 46 services on one server. Make another environment.",
      });
    }
    journal.networks.put({
      environmentId: owner.environmentId,
      subnet: network.subnet,
      addresses: { ...addresses, [owner.serviceId]: address },
      outgoing: record?.outgoing ?? [],
    });
    return { ...network, address, ...(open === undefined ? {} : { open }) };
  };

  const leave: Environments["leave"] = async (environmentId, serviceId, signal) => {
    const wayOut = await outgoing.leave(environmentId, serviceId, signal);
    const name = networkName(environmentId);
    const record = journal.networks.get(environmentId);
    const others = without(record, serviceId);
    if (record !== undefined) journal.networks.put({ ...record, addresses: others });
    const withContainer = await servicesInEnvironment(docker, agentId, environmentId, signal);
    const inUse = new Set([...Object.keys(others), ...withContainer.filter((id) => id !== serviceId)]);
    if (inUse.size > 0) return [...wayOut, { name, what: `kept, ${inUse.size} other service(s) use it` }];
    const existing = (await docker.listNetworks(signal)).find(
      ({ name: one, labels }) => one === name && labels[LABEL.agent] === agentId,
    );
    const removal = existing && (await removeNetwork(docker, existing.id, signal));
    if (removal?.outcome === "in_use") return [...wayOut, { name, what: `kept: ${removal.words}` }];
    journal.networks.remove(environmentId);
    const what = removal?.outcome === "removed" ? "removed, nobody uses it any more" : "was gone already";
    return [...wayOut, { name, what }];
  };

  return {
    join: (...args) => oneAtATime(() => join(...args)),
    leave: (...args) => oneAtATime(() => leave(...args)),
    outgoing: {
      join: (...args) => oneAtATime(() => outgoing.join(...args)),
      leave: (...args) => oneAtATime(() => outgoing.leave(...args)),
    },
  };
}

function without(record: NetworkRecord | undefined, serviceId: string): Record<string, string> {
  const { [serviceId]: _left, ...others } = record?.addresses ?? {};
  return others;
}

/** An earlier version gave away the address at which the default route now ends. */
function usable(address: string | undefined, subnet: string): string | undefined {
  return address === partsOf(subnet).deadEnd ? undefined : address;
}

/** The address of a container from before the journal knew it. */
function addressOf(found: Found, networkId: string): string | undefined {
  return found.containers.flatMap(({ networks }) => networks).find(({ id }) => id === networkId)?.address;
}
