/** What a run does and what is done to it: a pure function of its seed. */
import { createRandom } from "../support/random.ts";

export type Happening =
  | { do: "deploy" | "restart" | "stop" | "delete" | "check" | "cancel" | "read log"; service: number }
  | { do: "stop reading" }
  | { do: "kill agent" | "kill control plane"; afterPlaces: number; downMs: number }
  | { do: "reboot"; downMs: number }
  | { do: "cut"; heard: ("agent" | "control plane")[] }
  | { do: "black hole"; forMs: number }
  | { do: "weather"; forMs: number; slowMs: number; lost: number; repeated: number }
  | { do: "set clock"; of: "agent" | "control plane"; byMs: number }
  | { do: "Docker away"; forMs: number; hangs: boolean }
  | { do: "container ends" | "job removed" };

export type Planned = Happening & { atMs: number };

/** The time of a run's wishes and of the beginnings of its troubles. */
export const TROUBLE_MS = 60_000;
/** Long enough for every deadline of the link to pass. */
export const LONGEST_MS = 60_000;
const WISHES: [number, number] = [4, 14];
const TROUBLES: [number, number] = [1, 8];
/** As often as they stand here. */
const WISHED = [
  ...(["deploy", "restart", "restart", "restart", "stop", "stop"] as const),
  ...(["check", "check", "check", "delete", "cancel", "cancel", "read log"] as const),
] as const;
/** Who hears of a cut: a wall between them may tell both, or one, or none. */
const HEARD: [("agent" | "control plane")[], ...("agent" | "control plane")[][]] = [
  ["agent", "control plane"],
  ["agent"],
  ["control plane"],
  [],
];
const HOUR_MS = 3_600_000;

export function scheduleOf(seed: number, services: number): Planned[] {
  const random = createRandom(seed ^ 0x5eed);
  const at = () => random.between(500, TROUBLE_MS);
  const many = <T>([from, to]: [number, number], make: () => T) =>
    Array.from({ length: random.between(from, to) }, () => make());
  const first: Planned[] = Array.from({ length: services }, (_, service) => ({
    ...{ atMs: random.between(100, 10_000), do: "deploy" as const, service },
  }));
  const wish = (): Planned => {
    const service = random.between(0, services - 1);
    const kind = random.pick(WISHED);
    return { atMs: at(), do: kind, service };
  };
  const wishes = many(WISHES, wish);
  /** Two of three strike while a wish is being granted. */
  const strike = () => {
    const near = random.pick([...first, ...wishes] as [Planned, ...Planned[]]);
    return random.next() < 0.67 ? near.atMs + random.between(0, 3_000) : at();
  };
  const trouble = (): Planned => {
    const atMs = strike();
    const afterPlaces = random.between(1, 60);
    const downMs = random.between(100, 20_000);
    const forMs = random.between(500, LONGEST_MS);
    switch (random.between(0, 11)) {
      case 0:
      case 1:
      case 2:
        return { atMs, do: "kill agent", afterPlaces, downMs };
      case 3:
      case 4:
        return { atMs, do: "kill control plane", afterPlaces, downMs };
      case 5:
        return { atMs, do: "reboot", downMs };
      case 6:
        return { atMs, do: "cut", heard: random.pick(HEARD) };
      case 7:
        return { atMs, do: "black hole", forMs };
      case 8:
        return {
          ...{ atMs, do: "weather", forMs, slowMs: random.between(1, 3_000) },
          ...{ lost: random.between(0, 60), repeated: random.between(0, 100) },
        };
      case 9:
        return {
          ...{ atMs, do: "set clock", of: random.pick(["agent", "control plane"] as const) },
          byMs: random.between(-2 * HOUR_MS, 2 * HOUR_MS),
        };
      case 10:
        return { atMs, do: "Docker away", forMs: random.between(500, LONGEST_MS / 2), hangs: random.next() < 0.5 };
      default:
        return { atMs, do: random.pick(["container ends", "job removed"] as const) };
    }
  };
  const reading: Planned[] = [{ atMs: TROUBLE_MS, do: "stop reading" }];
  return [...first, ...wishes, ...many(TROUBLES, trouble), ...reading].toSorted((a, b) => a.atMs - b.atMs);
}
