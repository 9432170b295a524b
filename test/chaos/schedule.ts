/** What one schedule of chaos does and when: a pure function of its seed. */
import { createRandom } from "../support/random.ts";

export const FAULTS = [
  "agent killed",
  "control plane killed",
  "dockerd killed",
  "dockerd and all containers killed",
  "link cut",
  "link black hole",
  "agent's disk full",
  "control plane's disk full",
] as const;
export type Fault = (typeof FAULTS)[number];

/** Only one fault of each kind at a time: what is dead cannot be killed. */
const KINDS: readonly (readonly [Fault, ...Fault[]])[] = [
  ["agent killed"],
  ["control plane killed"],
  ["dockerd killed", "dockerd and all containers killed"],
  ["link cut", "link black hole"],
  ["agent's disk full"],
  ["control plane's disk full"],
];

export type Wish = "deploy" | "restart" | "stop" | "replace" | "cancel";

export interface Strike {
  fault: Fault;
  atMs: number;
  forMs: number;
}

export interface Action {
  wish: Wish;
  atMs: number;
  /** Which service, counted over those that there are. */
  slot: number;
  /** With `replace`: the old one's data goes too. */
  deleteData: boolean;
}

export interface Schedule {
  seed: number;
  strikes: Strike[];
  actions: Action[];
}

export type Moment =
  | { atMs: number; what: "strike" | "heal"; fault: Fault }
  | { atMs: number; what: "act"; action: Action };

const LENGTH_MS = 6_000;
const FAULT_MS = { from: 200, to: 4_000 };
/** Most operations are over within two seconds: what a fault is to hit has to be asked for shortly before it. */
const SHORTLY_MS = 1_500;
/** As often as each is to come. A deploy is refused where there is data; a replacement deploys anew. */
const WISHES: readonly [Wish, ...Wish[]] = [
  ...(["restart", "restart", "restart", "restart", "stop", "stop", "stop"] as const),
  ...(["replace", "replace", "replace", "deploy", "cancel"] as const),
];

export function makeSchedule(seed: number, slots: number): Schedule {
  const random = createRandom(seed);
  const strikes = random
    .shuffled(KINDS)
    .slice(0, random.between(1, 4))
    .map((faults) => ({
      fault: random.pick(faults),
      atMs: random.between(0, LENGTH_MS),
      forMs: random.between(FAULT_MS.from, FAULT_MS.to),
    }));
  const anyStrike = () => random.pick(strikes as [Strike, ...Strike[]]).atMs;
  const actions = Array.from({ length: random.between(8, 20) }, () => ({
    wish: random.pick(WISHES),
    atMs: random.next() < 0.5 ? Math.max(0, anyStrike() - random.between(0, SHORTLY_MS)) : random.between(0, LENGTH_MS),
    slot: random.between(0, slots - 1),
    deleteData: random.next() < 0.8,
  }));
  return { seed, strikes, actions };
}

/** In order of time; what comes at the same moment stays in the order strike, heal, act. */
export function timeline({ strikes, actions }: Schedule): Moment[] {
  return [
    ...strikes.map(({ fault, atMs }): Moment => ({ atMs, what: "strike", fault })),
    ...strikes.map(({ fault, atMs, forMs }): Moment => ({ atMs: atMs + forMs, what: "heal", fault })),
    ...actions.map((action): Moment => ({ atMs: action.atMs, what: "act", action })),
  ].toSorted((one, other) => one.atMs - other.atMs);
}

/** One line that says all of it. */
export function describeSchedule({ strikes, actions }: Schedule): string {
  const faults = strikes
    .toSorted((one, other) => one.atMs - other.atMs)
    .map(({ fault, atMs, forMs }) => `${fault} at ${atMs} for ${forMs} ms`);
  return `${faults.join("; ")}; ${actions.length} actions`;
}
