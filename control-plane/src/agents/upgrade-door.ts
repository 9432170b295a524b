/**
 * Which upgrades are let in, and when the others may come again. A control plane that was restarted has all of its agents
 * at the door at once: what they would cost together is spread over the time that it takes one by one.
 */
import { createRateLimiter } from "../http/rate-limit.ts";
import type { Clock, Random } from "../platform.ts";
import { type Bucket, type BucketLimits, fullBucket, take } from "./token-bucket.ts";

export interface UpgradeRefusal {
  status: 429 | 503;
  retryAfterS: number;
}

export interface UpgradeDoor {
  /** Undefined lets this one in, and counts it. */
  refusal(address: string): UpgradeRefusal | undefined;
  /** How many were refused so far, by the answer. */
  refused(): { tooMany: number; busy: number };
}

export interface UpgradeLimits {
  /** All addresses together. */
  perSecond: number;
  perAddressAMinute: number;
}

/** Refused ones come back over this many seconds more than they have to: a number of seconds is no moment of one's own. */
const SPREAD_S = 5;
/** Who asks again and again books one place after another; nobody is sent away for longer because of that. */
const BOOKED_MAX_MS = 60_000;

export interface Crowd {
  bucket: Bucket;
  /** Monotonic time up to which those who were refused have taken every place. */
  bookedToMs: number;
}

/** The burst is a second's worth. */
export function bucketLimits({ perSecond }: Pick<UpgradeLimits, "perSecond">): BucketLimits {
  return { perSecond, burst: perSecond };
}

/**
 * Lets one in, or books the next place that nobody has yet: `retryAfterS` is that, so that as many come back in each second
 * as may. `fraction` in [0, 1) is chance. Pure.
 */
export function admit(
  crowd: Crowd,
  limits: BucketLimits,
  nowMs: number,
  fraction: number,
): { crowd: Crowd; retryAfterS?: number } {
  const bucket = take(crowd.bucket, limits, nowMs, 1);
  if (bucket !== undefined) return { crowd: { ...crowd, bucket } };
  const next = Math.max(crowd.bookedToMs, nowMs) + 1000 / limits.perSecond;
  const bookedToMs = Math.min(next, nowMs + BOOKED_MAX_MS);
  const retryAfterS = 1 + Math.floor((bookedToMs - nowMs) / 1000 + fraction * SPREAD_S);
  return { crowd: { ...crowd, bookedToMs }, retryAfterS };
}

/**
 * The limit of an address is asked first, so that one address cannot take everybody's places. It counts only those who are
 * let in: a fleet behind one address that waits its turn has not used up anything.
 */
export function createUpgradeDoor(
  limits: UpgradeLimits,
  { clock, random }: { clock: Clock; random: Pick<Random, "fraction"> },
): UpgradeDoor {
  const perAddress = createRateLimiter({ limit: limits.perAddressAMinute, windowMs: 60_000 }, clock);
  const ofAll = bucketLimits(limits);
  const refused = { tooMany: 0, busy: 0 };
  let crowd: Crowd = { bucket: fullBucket(ofAll, clock.monotonicMs()), bookedToMs: 0 };

  return {
    refusal(address) {
      if (perAddress.isSpent(address)) {
        refused.tooMany += 1;
        const waitS = perAddress.refusal(address) ?? 1;
        return { status: 429, retryAfterS: waitS + Math.floor(random.fraction() * SPREAD_S) };
      }
      const admitted = admit(crowd, ofAll, clock.monotonicMs(), random.fraction());
      crowd = admitted.crowd;
      if (admitted.retryAfterS !== undefined) {
        refused.busy += 1;
        return { status: 503, retryAfterS: admitted.retryAfterS };
      }
      perAddress.refusal(address);
      return undefined;
    },
    refused: () => ({ ...refused }),
  };
}

/** Refused, an upgrade takes as long as it does to say so; agents of a planned restart come back within this time. */
const DRAIN_MIN_MS = 5_000;

/** The milliseconds over which so many agents come back, no faster than they are let in. */
export function drainWindowMs(agents: number, { perSecond }: Pick<UpgradeLimits, "perSecond">): number {
  return Math.max(DRAIN_MIN_MS, Math.ceil((agents / perSecond) * 1000));
}
