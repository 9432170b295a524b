/**
 * The join counter, decided: whether an agent that proved its key is the one machine that has it. Pure.
 *
 * An agent writes each new epoch to disk before it says `ready`, and only then does the session begin. So a machine that
 * offers less than was promoted is a copy of the one that did, or was set back to an older disk.
 */

export interface EpochFacts {
  /** What the agent says that it has on disk. */
  offered: number;
  /** The last one that came with a `ready`. */
  epoch: number;
  /** The last one that went out with a welcome whose `ready` never came; null when there is none. */
  pending: number | null;
  quarantined: boolean;
  /** Another connection of this agent was welcomed after this one was challenged: the offer may be older than that. */
  overtaken: boolean;
}

export type EpochVerdict =
  /** `restored`: this control plane is the one that is behind, as after the restore of a backup. */
  | { verdict: "accepted"; epoch: number; pending: number; restored: boolean }
  | { verdict: "overtaken" }
  | { verdict: "conflict" }
  | { verdict: "quarantined" };

export function judgeEpoch({ offered, epoch, pending, quarantined, overtaken }: EpochFacts): EpochVerdict {
  if (quarantined) return { verdict: "quarantined" };
  if (overtaken) return { verdict: "overtaken" };
  const highest = Math.max(epoch, pending ?? epoch);
  const known = offered === epoch || offered === pending;
  if (!known && offered < highest) return { verdict: "conflict" };
  // What it offers it has on disk, so it will never honestly offer less: that much is promoted, `ready` or not.
  return { verdict: "accepted", epoch: offered, pending: Math.max(highest, offered) + 1, restored: offered > highest };
}
