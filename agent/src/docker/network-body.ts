/** The one place that turns our request for a network into Docker's own JSON. Pure; its golden text is in the tests. */
import type { NetworkCreateOptions } from "dockerode";
import type { NetworkRequest } from "./docker.ts";

export function networkBody(request: NetworkRequest): NetworkCreateOptions {
  const { name, subnet, labels } = request;
  const isPrivate = request.kind === "private";
  // Docker gives members of an internal network a route to the host too. Where that leads nowhere, nothing of the
  // host answers but the network's own gateway address, and no lost firewall rule opens a way out.
  const range = isPrivate
    ? {
        Subnet: subnet,
        Gateway: request.parts.gateway,
        IPRange: request.parts.guests,
        AuxiliaryAddresses: { DefaultGatewayIPv4: request.parts.deadEnd },
      }
    : { Subnet: subnet };
  return {
    Name: name,
    Driver: "bridge",
    CheckDuplicate: true,
    Labels: labels,
    // An engine can be set to give every network IPv6, which would be a way out of its own.
    EnableIPv6: false,
    Internal: isPrivate,
    IPAM: { Driver: "default", Config: [range] },
    Options: isPrivate ? {} : { "com.docker.network.bridge.enable_icc": "false" },
  };
}

export interface JoinBody {
  Network: string;
  Container: string;
}

/** What joins what. The network goes into the request's path; here it stands so that the policy sees both. */
export function joinBody(networkName: string, containerId: string): JoinBody {
  return { Network: networkName, Container: containerId };
}
