/** How many event streams one caller may hold open. */
import { AppError } from "@dflow/protocol";

/** Open streams by principal: each holds a connection and a place in the hub. */
export interface StreamLimit {
  /** Throws `rate_limited` when there are too many; the function that comes back gives the place free. */
  open(principalId: string): () => void;
}

const STREAMS_PER_PRINCIPAL = 200;

export function createStreamLimit(limit = STREAMS_PER_PRINCIPAL): StreamLimit {
  const counts = new Map<string, number>();
  return {
    open(principalId) {
      const count = counts.get(principalId) ?? 0;
      if (count >= limit) {
        throw new AppError("rate_limited", `There are ${limit} open streams already.`, { hint: "Close one first." });
      }
      counts.set(principalId, count + 1);
      return () => {
        const left = (counts.get(principalId) ?? 1) - 1;
        if (left > 0) counts.set(principalId, left);
        else counts.delete(principalId);
      };
    },
  };
}
