/** Which address a request came from. A header is believed only from a proxy that the configuration trusts. */
import ipaddr from "ipaddr.js";

/**
 * Walks X-Forwarded-For from its end: each entry was written by the hop after it, so the first one that is not a trusted
 * proxy is the client. `remoteAddress` is the socket's peer.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: string | undefined,
  trustedProxies: readonly string[],
): string {
  let address = plainAddress(remoteAddress) ?? "unknown";
  const hops = (forwardedFor ?? "").split(",").map((hop) => hop.trim());
  while (hops.length > 0 && isTrusted(address, trustedProxies)) {
    const next = plainAddress(hops.pop());
    if (next === undefined) break;
    address = next;
  }
  return address;
}

function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined || !ipaddr.isValid(text)) return undefined;
  return ipaddr.process(text).toString();
}

function isTrusted(address: string, trustedProxies: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return trustedProxies.some((entry) => {
    const [range, bits] = ipaddr.isValidCIDR(entry) ? ipaddr.parseCIDR(entry) : hostRange(entry);
    return parsed.kind() === range.kind() && parsed.match([range, bits] as [ipaddr.IPv4, number]);
  });
}

function hostRange(entry: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = ipaddr.process(entry);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** What a limit counts as one: an IPv4 address, or the /64 out of which one IPv6 customer takes any address. */
export function limitedAddress(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  return `${ipaddr.IPv6.parse(address)
    .parts.slice(0, 4)
    .map((part) => part.toString(16))
    .join(":")}::/64`;
}
