import { expect, test } from "vitest";
import { createAddressReader, limitedAddress } from "./client-address.ts";

const cases: [
  what: string,
  remote: string | undefined,
  forwarded: string | undefined,
  trusted: string[],
  address: string,
][] = [
  ["the socket's peer", "203.0.113.5", undefined, [], "203.0.113.5"],
  ["no header is believed from a stranger", "203.0.113.5", "198.51.100.1", [], "203.0.113.5"],
  ["a trusted proxy's header is", "10.0.0.1", "198.51.100.1", ["10.0.0.1"], "198.51.100.1"],
  ["what the client wrote before it is not", "10.0.0.1", "1.2.3.4, 198.51.100.1", ["10.0.0.1"], "198.51.100.1"],
  ["a chain of trusted proxies is walked", "10.0.0.1", "198.51.100.1, 10.0.0.2", ["10.0.0.0/8"], "198.51.100.1"],
  ["nonsense in the header ends the walk", "10.0.0.1", "nonsense", ["10.0.0.1"], "10.0.0.1"],
  ["IPv4 in IPv6 is IPv4", "::ffff:203.0.113.5", undefined, [], "203.0.113.5"],
  ["a proxy named as IPv4 in IPv6 is IPv4", "10.0.0.1", "198.51.100.1", ["::ffff:10.0.0.0/104"], "198.51.100.1"],
  ["a header of nothing but proxies names the first", "10.0.0.1", "10.0.0.3, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.3"],
  ["IPv6 proxies work", "fd00::1", "2001:db8::7", ["fd00::/8"], "2001:db8::7"],
  ["without a socket it is unknown", undefined, "198.51.100.1", ["10.0.0.1"], "unknown"],
];

test.each(cases)("%s", (_what, remote, forwarded, trusted, address) => {
  expect(createAddressReader(trusted).read(remote, forwarded)).toBe(address);
});

test.each([
  ["an IPv4 address is itself", "203.0.113.5", "203.0.113.5"],
  ["an IPv6 address is its /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["however it is written", "2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["what is no address stays", "unknown", "unknown"],
])("a limit counts as one: %s", (_what, address, counted) => {
  expect(limitedAddress(address)).toBe(counted);
});
