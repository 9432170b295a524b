/** Makes a network in a /26 that is free of everything the host knows. */
import { AppError, isAppError } from "@dflow/protocol";
import type { Files } from "../deps.ts";
import type { Docker, FoundNetwork, Labels } from "../docker/docker.ts";
import type { Journal } from "../journal/journal.ts";
import { chooseSubnet, partsOf, routesOf } from "./subnets.ts";

export interface FreeRangeDeps {
  docker: Docker;
  files: Files;
  journal: Journal;
  networkRange: string;
}

export interface Wish {
  name: string;
  kind: "private" | "outgoing";
  labels: Labels;
  /** Tried first: the range that an earlier network of this name had. */
  subnet?: string | undefined;
}

const HOST_ROUTES = "/proc/net/route";
/** Another program may take a range between our look and our request. */
const ATTEMPTS = 5;

export async function makeInFreeRange(
  { docker, files, journal, networkRange }: FreeRangeDeps,
  { name, kind, labels, subnet: preferred }: Wish,
  networks: FoundNetwork[],
): Promise<{ id: string; name: string; subnet: string }> {
  const taken = [
    ...networks.flatMap(({ subnets }) => subnets),
    ...routesOf(files.readText(HOST_ROUTES) ?? ""),
    ...journal.networks
      .all()
      .map(({ subnet }) => subnet)
      .filter((subnet) => subnet !== preferred),
  ];
  const candidates = preferred === undefined ? [] : [preferred];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const subnet = candidates.pop() ?? chooseSubnet(networkRange, taken);
    if (subnet === undefined) {
      throw new AppError("network_exhausted", `no free /26 is left in ${networkRange}`, {
        hint: 'Set "networkRange" in the agent\'s config.json to a larger range that the host does not use.',
      });
    }
    const request = { name, subnet, labels };
    try {
      // Without a signal: Docker would go on making it behind the back of whoever cleans up.
      const id = await docker.createNetwork(
        kind === "private" ? { ...request, kind, parts: partsOf(subnet) } : { ...request, kind },
      );
      return { id, name, subnet };
    } catch (error) {
      if (!isAppError(error) || error.code !== "network_exhausted") throw error;
      taken.push(subnet);
    }
  }
  throw new AppError("network_exhausted", `Docker refused ${ATTEMPTS} ranges in ${networkRange} as taken`);
}
