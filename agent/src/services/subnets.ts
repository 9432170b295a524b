/** Chooses the /26 of an environment and the addresses in it. Pure. */
import ipaddr from "ipaddr.js";
import type { NetworkParts } from "../docker/docker.ts";

const PREFIX = 26;
const SIZE = 2 ** (32 - PREFIX);
const GUESTS = 16;

interface Range {
  from: number;
  /** Exclusive. */
  to: number;
}

/** The first /26 of `range` that overlaps none of `taken` (CIDRs); `undefined` when there is none left. */
export function chooseSubnet(range: string, taken: readonly string[]): string | undefined {
  const whole = rangeOf(range);
  const blocked = taken.map(rangeOf).filter((one) => one.from < whole.to && whole.from < one.to);
  for (let from = whole.from; from + SIZE <= whole.to; from += SIZE) {
    if (!blocked.some((one) => one.from < from + SIZE && from < one.to)) return `${textOf(from)}/${PREFIX}`;
  }
  return undefined;
}

/**
 * The first address is the gateway's. The last /28 is for guests: containers of others, to which Docker gives addresses as
 * they come. The last address before the broadcast address nobody has, so what is routed to it arrives nowhere.
 */
export function partsOf(subnet: string): NetworkParts {
  const { from, to } = rangeOf(subnet);
  return { gateway: textOf(from + 1), guests: `${textOf(to - GUESTS)}/28`, deadEnd: textOf(to - 2) };
}

/** The first free address for a service: not the network's, the gateway's, or one of the guests' range. */
export function chooseAddress(subnet: string, taken: readonly string[]): string | undefined {
  const { from, to } = rangeOf(subnet);
  for (let address = from + 2; address < to - GUESTS; address += 1) {
    if (!taken.includes(textOf(address))) return textOf(address);
  }
  return undefined;
}

/**
 * The networks the host has routes to, from /proc/net/route. A default route says nothing about what is taken, so it is
 * left out.
 */
export function routesOf(procNetRoute: string): string[] {
  return procNetRoute
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, destination, , , , , , mask]) => {
      if (destination === undefined || mask === undefined) return [];
      const prefix = bitCount(swap(mask));
      return prefix === 0 ? [] : [`${textOf(swap(destination))}/${prefix}`];
    });
}

/** IPv6 ranges cannot overlap with ours and become empty. */
function rangeOf(cidr: string): Range {
  const [address, prefix] = ipaddr.parseCIDR(cidr);
  if (address.kind() === "ipv6") return { from: 0, to: 0 };
  const size = 2 ** (32 - prefix);
  const value = address.toByteArray().reduce((sum, byte) => sum * 256 + byte, 0);
  const from = Math.floor(value / size) * size;
  return { from, to: from + size };
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** The kernel prints addresses as little-endian hexadecimal. */
function swap(hex: string): number {
  return Buffer.from(hex, "hex").reverse().readUInt32BE(0);
}

function bitCount(value: number): number {
  return value.toString(2).replaceAll("0", "").length;
}
