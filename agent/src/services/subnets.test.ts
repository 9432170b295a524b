import fc from "fast-check";
import { expect, test } from "vitest";
import { chooseAddress, chooseSubnet, partsOf, routesOf } from "./subnets.ts";

test("takes the first /26 that nothing overlaps, whichever side is the larger", () => {
  expect(chooseSubnet("10.218.0.0/16", [])).toBe("10.218.0.0/26");
  expect(chooseSubnet("10.218.0.0/16", ["10.218.0.0/26", "10.218.0.128/25"])).toBe("10.218.0.64/26");
  expect(chooseSubnet("10.218.0.0/16", ["10.218.0.0/17"])).toBe("10.218.128.0/26");
  expect(chooseSubnet("10.218.0.0/16", ["10.218.0.5/32"])).toBe("10.218.0.64/26");
  expect(chooseSubnet("10.218.0.0/16", ["172.17.0.0/16", "fd00::/64"])).toBe("10.218.0.0/26");
});

test("says when nothing is left", () => {
  expect(chooseSubnet("10.218.0.0/16", ["10.0.0.0/8"])).toBeUndefined();
  expect(chooseSubnet("10.218.0.0/25", ["10.218.0.0/26", "10.218.0.64/26"])).toBeUndefined();
});

test("gives out every address of a range once, none of them the gateway's, a guest's or the edges", () => {
  const taken: string[] = [];
  for (
    let next = chooseAddress("10.218.0.64/26", taken);
    next !== undefined;
    next = chooseAddress("10.218.0.64/26", taken)
  ) {
    taken.push(next);
  }
  expect(taken).toHaveLength(46);
  expect([taken[0], taken.at(-1)]).toEqual(["10.218.0.66", "10.218.0.111"]);
  expect(partsOf("10.218.0.64/26")).toEqual({
    gateway: "10.218.0.65",
    guests: "10.218.0.112/28",
    deadEnd: "10.218.0.126",
  });
});

test("never gives two environments ranges that overlap", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(255), fc.nat(255), fc.integer({ min: 16, max: 32 })), { maxLength: 20 }),
      (blocks) => {
        const taken = blocks.map(([c, d, prefix]) => `10.218.${c}.${d}/${prefix}`);
        const first = chooseSubnet("10.218.0.0/16", taken);
        if (first === undefined) return;
        expect(chooseSubnet("10.218.0.0/16", [...taken, first])).not.toBe(first);
        expect(chooseSubnet(first, taken)).toBe(first);
      },
    ),
  );
});

test("reads the host's routes and leaves the default route out", () => {
  const table = [
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
    "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0",
    "tun0\t4000DA0A\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0",
    "",
  ].join("\n");
  expect(routesOf(table)).toEqual(["172.17.0.0/16", "10.218.0.64/26"]);
});
