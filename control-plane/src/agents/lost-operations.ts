/** Ends operations of which nothing will be heard any more: their server is gone, and nobody knows what became of them. */
import type { Deps } from "../deps.ts";
import { endOperation, publishOperationChange } from "../operations/results.ts";
import { OPEN_BY_INDEX } from "./commands.ts";
import type { Links } from "./links.ts";

/**
 * How long a server may be away before we stop waiting for its word. Longer than any deploy, restart or stop may wait and
 * run, so that one which is merely cut off has ended the work by then; what it says later no longer counts.
 */
const AWAY_MS = 60 * 60_000;

/**
 * `upSinceMs` is the monotonic time at which this process began to listen: agents get the same hour to come back after it
 * was away itself. A command that was acknowledged is over when its server is gone; one that was not may have been lost on
 * the way and is sent again, until it could no longer be carried out in time.
 */
export async function endLost(
  deps: Pick<Deps, "db" | "clock" | "hub">,
  links: Pick<Links, "info">,
  upSinceMs: number,
): Promise<void> {
  const { db, clock, hub } = deps;
  if (clock.monotonicMs() - upSinceMs < AWAY_MS) return;
  const now = clock.now();
  const inFlight = await db
    .selectFrom("operation")
    .select(["id", "state", "server_id", "start_before", "run_ms"])
    .where(OPEN_BY_INDEX)
    .where("state", "in", ["sent", "running"])
    .execute();
  for (const { id, state, server_id, start_before, run_ms } of inFlight) {
    if (!isGone(links, server_id, now)) continue;
    if (state === "sent" && start_before + run_ms > now) continue;
    const change = await db.transaction().execute(async (trx) => {
      const current = await trx.selectFrom("operation").select("state").where("id", "=", id).executeTakeFirst();
      // An answer may have come between the two reads.
      if (current?.state !== state || !isGone(links, server_id, now)) return undefined;
      return endOperation(trx, id, {
        state: "unknown",
        endedAt: now,
        failure: {
          code: "outcome_unknown",
          message: "The server has not been heard of for an hour. Whether it carried this out is not known.",
          hint: "Look at the service's state when the server is back, and repeat the action if needed.",
        },
      });
    });
    if (change !== undefined) publishOperationChange(hub, change);
  }
}

function isGone(links: Pick<Links, "info">, serverId: string, now: number): boolean {
  const { state, lastSeenAt } = links.info(serverId);
  return state !== "online" && (lastSeenAt ?? 0) <= now - AWAY_MS;
}
