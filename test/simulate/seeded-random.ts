/** Ids and bytes of a run: by its seed, and sorted as ids of its moments would be. */
import type { World } from "./world.ts";

/** When every run begins, in milliseconds UTC. */
export const EPOCH_MS = Date.UTC(2026, 10, 23);

export function seededRandom({ random, nowMs }: Pick<World, "random" | "nowMs">) {
  const bytes = (count: number) => Buffer.from(Array.from({ length: count }, () => random.between(0, 255)));
  return {
    bytes,
    /** UUIDv7. */
    id(): string {
      const hex = `${Math.round(EPOCH_MS + nowMs())
        .toString(16)
        .padStart(12, "0")}${bytes(10).toString("hex")}`;
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-9${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
    },
    fraction: () => random.next(),
  };
}
