/** Which address a request came from. A header is believed only from a proxy that the configuration trusts. */
import type { IncomingHttpHeaders } from "node:http";
import ipaddr from "ipaddr.js";

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** `remoteAddress` is the socket's peer, `forwardedFor` what X-Forwarded-For says. */
export type ReadAddress = (remoteAddress: string | undefined, forwardedFor: string | undefined) => string;

export interface AddressReader {
  read: ReadAddress;
  /** Whether a peer's word about others is believed. */
  isTrusted(address: string): boolean;
}

/** The configuration's ranges are taken apart once: every request and every connection asks. */
export function createAddressReader(trustedProxies: readonly string[]): AddressReader {
  const ranges = trustedProxies.map(rangeOf);
  const isTrusted = (address: string): boolean => {
    if (ranges.length === 0 || !ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return ranges.some(
      ([range, bits]) => parsed.kind() === range.kind() && parsed.match([range, bits] as [ipaddr.IPv4, number]),
    );
  };
  return {
    isTrusted,
    /**
     * Walks X-Forwarded-For from its end: each entry was written by the hop after it, so the first one that is not a
     * trusted proxy is the client.
     */
    read(remoteAddress, forwardedFor) {
      let address = plainAddress(remoteAddress) ?? "unknown";
      const hops = (forwardedFor ?? "").split(",").map((hop) => hop.trim());
      while (hops.length > 0 && isTrusted(address)) {
        const next = plainAddress(hops.pop());
        if (next === undefined) break;
        address = next;
      }
      return address;
    },
  };
}

function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined || !ipaddr.isValid(text)) return undefined;
  return ipaddr.process(text).toString();
}

/** A range of IPv4 in IPv6 is one of IPv4, as the addresses that are compared with it are. */
function rangeOf(entry: string): Range {
  const [address, bits] = ipaddr.isValidCIDR(entry) ? ipaddr.parseCIDR(entry) : hostRange(entry);
  const mapped = address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96;
  return mapped ? [address.toIPv4Address(), bits - 96] : [address, bits];
}

function hostRange(entry: string): Range {
  const address = ipaddr.process(entry);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** X-Forwarded-For as Node gives it: several such headers are one list. */
export function forwardedFor(headers: IncomingHttpHeaders): string | undefined {
  const value = headers["x-forwarded-for"];
  return Array.isArray(value) ? value.join(",") : value;
}

/** An address of this machine or of the network around it, where a proxy may stand. */
export function isPrivateAddress(address: string): boolean {
  return ipaddr.isValid(address) && ["loopback", "private", "uniqueLocal"].includes(ipaddr.process(address).range());
}

/** What a limit counts as one: an IPv4 address, or the /64 out of which one IPv6 customer takes any address. */
export function limitedAddress(address: string): string {
  if (!address.includes(":") || !ipaddr.IPv6.isValid(address)) return address;
  return `${ipaddr.IPv6.parse(address)
    .parts.slice(0, 4)
    .map((part) => part.toString(16))
    .join(":")}::/64`;
}
