/** The generator of schedules: repeatable, within its bounds, and able to choose everything. */
import { describe, expect, it } from "vitest";
import { describeSchedule, FAULTS, makeSchedule, timeline } from "./schedule.ts";

const SEEDS = Array.from({ length: 300 }, (_, index) => index);

describe("a schedule", () => {
  it("is the same again for the same seed, and another for the next", () => {
    expect(makeSchedule(7, 20)).toEqual(makeSchedule(7, 20));
    expect(new Set(SEEDS.map((seed) => describeSchedule(makeSchedule(seed, 20)))).size).toBe(SEEDS.length);
  });

  it("never strikes what is down already, and heals everything that it breaks", () => {
    const target = (fault: string) => fault.replace(/ (killed|cut|black hole|and all containers killed)$/, "");
    for (const seed of SEEDS) {
      const schedule = makeSchedule(seed, 20);
      const down = new Set<string>();
      for (const moment of timeline(schedule)) {
        if (moment.what === "act") continue;
        const name = target(moment.fault).replace(" and all containers", "");
        expect(down.has(name)).toBe(moment.what === "heal");
        if (moment.what === "strike") down.add(name);
        else down.delete(name);
      }
      expect(down.size).toBe(0);
    }
  });

  it("goes through its moments in order and stays within ten seconds", () => {
    for (const seed of SEEDS) {
      const times = timeline(makeSchedule(seed, 20)).map(({ atMs }) => atMs);
      expect(times).toEqual(times.toSorted((one, other) => one - other));
      expect(times.at(-1)).toBeLessThanOrEqual(10_000);
    }
  });

  it("chooses every fault, every wish and every service sooner or later", () => {
    const all = SEEDS.map((seed) => makeSchedule(seed, 20));
    expect(new Set(all.flatMap(({ strikes }) => strikes.map(({ fault }) => fault)))).toEqual(new Set(FAULTS));
    const actions = all.flatMap((schedule) => schedule.actions);
    expect(new Set(actions.map(({ wish }) => wish)).size).toBe(5);
    expect(new Set(actions.map(({ slot }) => slot)).size).toBe(20);
  });
});
