import { expect, test } from "vitest";
import { clientAddress } from "./client-address.ts";

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
  ["IPv6 proxies work", "fd00::1", "2001:db8::7", ["fd00::/8"], "2001:db8::7"],
  ["without a socket it is unknown", undefined, "198.51.100.1", ["10.0.0.1"], "unknown"],
];

test.each(cases)("%s", (_what, remote, forwarded, trusted, address) => {
  expect(clientAddress(remote, forwarded, trusted)).toBe(address);
});
