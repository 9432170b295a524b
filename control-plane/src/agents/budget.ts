/**
 * How much one agent may send: frames and bytes, counted before anything is read of them, per server and not per socket, so
 * that coming back brings nothing. What the control plane asked for itself (a log's credit) and what brought something new
 * (log lines and results of the server's own operations) is given back: of those there is an end that the control plane
 * sets. So what counts in the long run is what nobody needs, and no agent that does its work comes near the limit.
 */
import { LINK_LIMITS, type OutgoingToAgent } from "@dflow/protocol";
import type { Clock } from "../platform.ts";
import { type Bucket, type BucketLimits, fullBucket, give, take } from "./token-bucket.ts";

export interface Amount {
  frames: number;
  bytes: number;
}

/** A log's frames may be as short as one line of 32 bytes, whose two headers then weigh nearly as much. */
const BYTES_PER_CREDIT = 2;
const CREDIT_BYTES_PER_FRAME = 32;
/** All the credit that is out at one time. */
const CREDIT_MAX = LINK_LIMITS.logStreamsPerAgent * LINK_LIMITS.logCreditBytes;

const MIB = 1024 * 1024;

/**
 * The bursts hold the honest worst case, an agent that is back with a journal full of lines: reading stops at 200 frames
 * that are not worked off, of 100 KB each at most; and 500 operations with an acknowledgement, a progress and a result each,
 * all of them for the second time. The rates are a hundred times what a busy server needs.
 */
export const AGENT_BUDGET = {
  frames: withCredit({ perSecond: 200, burst: 10_000 }, CREDIT_MAX / CREDIT_BYTES_PER_FRAME),
  bytes: withCredit({ perSecond: 2 * MIB, burst: 32 * MIB }, CREDIT_MAX * BYTES_PER_CREDIT),
};

function withCredit(limits: { perSecond: number; burst: number }, credit: number) {
  return { ...limits, most: limits.burst + credit } satisfies BucketLimits;
}

/** What the agent may send because of this frame to it. */
export function askedFor(frame: OutgoingToAgent): Amount | undefined {
  const credit =
    frame.type === "log_open" ? frame.data.creditBytes : frame.type === "log_credit" ? frame.data.bytes : undefined;
  if (credit === undefined) return undefined;
  return { frames: Math.ceil(credit / CREDIT_BYTES_PER_FRAME), bytes: credit * BYTES_PER_CREDIT };
}

export interface Budget {
  /** Counts what came. False when it is more than there is; then nothing is counted. */
  spend(kind: keyof Amount, amount: number): boolean;
  giveBack(amount: Amount): void;
}

export interface Budgets {
  of(serverId: string): Budget;
  forget(serverId: string): void;
}

/** Two numbers for each server that has connected since the start. */
export function createBudgets({ monotonicMs }: Pick<Clock, "monotonicMs">): Budgets {
  const budgets = new Map<string, Budget>();

  const create = (): Budget => {
    const now = monotonicMs();
    const buckets: Record<keyof Amount, Bucket> = {
      frames: fullBucket(AGENT_BUDGET.frames, now),
      bytes: fullBucket(AGENT_BUDGET.bytes, now),
    };
    return {
      spend(kind, amount) {
        const left = take(buckets[kind], AGENT_BUDGET[kind], monotonicMs(), amount);
        if (left !== undefined) buckets[kind] = left;
        return left !== undefined;
      },
      giveBack(amount) {
        for (const kind of ["frames", "bytes"] as const) {
          buckets[kind] = give(buckets[kind], AGENT_BUDGET[kind], monotonicMs(), amount[kind]);
        }
      },
    };
  };

  return {
    of(serverId) {
      const known = budgets.get(serverId);
      if (known !== undefined) return known;
      const fresh = create();
      budgets.set(serverId, fresh);
      return fresh;
    },
    forget: (serverId) => void budgets.delete(serverId),
  };
}
