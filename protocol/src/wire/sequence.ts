/** Counts frames of one direction on one socket. */

export type SequenceVerdict = "accept" | "drop" | "gap";

/** Judges an arriving `seq` against the last one accepted. */
export function judgeSequence(last: number, seq: number): SequenceVerdict {
  if (seq === last + 1) return "accept";
  return seq <= last ? "drop" : "gap";
}
