/** Removes what is older than retention.ts allows: at start and every hour, a bounded number of rows a transaction. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Trx } from "../db/database.ts";
import type { Deps } from "../deps.ts";
import { type Cutoffs, cutoffs, logsOfOneTransaction, ROWS_PER_TRANSACTION, SWEEP_INTERVAL_MS } from "./retention.ts";

type SweepDeps = Pick<Deps, "db" | "clock" | "timers" | "log">;

export interface Swept {
  operationLogs: number;
  audit: number;
  enrolmentTokens: number;
  invitations: number;
  sessions: number;
}

export interface Sweeper {
  /** Begins the first sweep and returns at once: a start does not wait for what a year has left behind. */
  start(): void;
  /** Ends after the transaction under way. */
  stop(): Promise<void>;
}

/** Takes one transaction's worth away and says how much; less than asked for means that there is no more. */
type Removal = (trx: Trx, limits: Cutoffs, now: number) => Promise<{ removed: number; more: boolean }>;

export function createSweeper(deps: SweepDeps): Sweeper {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let cancelTimer: (() => void) | undefined;

  const run = (): void => {
    // A sweep that lasts longer than an hour is not joined by a second one.
    running ??= sweep(deps, stopping.signal)
      .then((swept) => {
        if (Object.values(swept).some((count) => count > 0)) deps.log.info(swept, "removed what was kept long enough");
      })
      .catch((error: unknown) => deps.log.error({ err: error }, "remove what was kept long enough"))
      .finally(() => {
        running = undefined;
      });
  };

  return {
    start() {
      run();
      cancelTimer = deps.timers.every(SWEEP_INTERVAL_MS, run);
    },
    async stop() {
      cancelTimer?.();
      stopping.abort();
      await running;
    },
  };
}

/** Safe to be cut at any place: the next sweep finds what is left. */
export async function sweep(deps: Pick<SweepDeps, "db" | "clock">, stopped?: AbortSignal): Promise<Swept> {
  const now = deps.clock.now();
  const limits = cutoffs(now);
  const all = async (remove: Removal): Promise<number> => {
    let removed = 0;
    let more = true;
    while (more && stopped?.aborted !== true) {
      const taken = await deps.db.transaction().execute((trx) => remove(trx, limits, now));
      removed += taken.removed;
      more = taken.more;
      // The driver is synchronous: without a turn of the event loop no request would be answered until the end.
      await nextTurn();
    }
    return removed;
  };
  return {
    operationLogs: await all(removeLogs),
    audit: await all(removeAudit),
    enrolmentTokens: await all(removeEnrolmentTokens),
    invitations: await all(removeInvitations),
    sessions: await all(removeSessions),
  };
}

const LOGS_LOOKED_AT = 100;

/** The mark goes with the lines, in one transaction: nobody reads half a log that says nothing of it. */
const removeLogs: Removal = async (trx, limits, now) => {
  const old = await trx
    .selectFrom("operation")
    .select(["id", "line_count as lines"])
    .where("ended_at", "<=", limits.operationLog)
    .where("log_removed_at", "is", null)
    .orderBy("ended_at")
    .limit(LOGS_LOOKED_AT)
    .execute();
  const taken = logsOfOneTransaction(old).map((log) => log.id);
  if (taken.length === 0) return { removed: 0, more: false };
  await trx.deleteFrom("operation_log").where("operation_id", "in", taken).execute();
  await trx.updateTable("operation").set({ log_removed_at: now }).where("id", "in", taken).execute();
  return { removed: taken.length, more: true };
};

const removeAudit: Removal = async (trx, limits) => {
  const old = trx.selectFrom("audit").select("id").where("at", "<=", limits.audit).limit(ROWS_PER_TRANSACTION);
  return countOf(await trx.deleteFrom("audit").where("id", "in", old).executeTakeFirst());
};

const removeEnrolmentTokens: Removal = async (trx, limits) => {
  const old = trx
    .selectFrom("enrolment_token")
    .select("id")
    .where((row) => row(row.fn.coalesce("used_at", "expires_at"), "<=", limits.enrolmentToken))
    .limit(ROWS_PER_TRANSACTION);
  return countOf(await trx.deleteFrom("enrolment_token").where("id", "in", old).executeTakeFirst());
};

const removeInvitations: Removal = async (trx, limits) => {
  const old = trx
    .selectFrom("invitation")
    .select("id")
    .where((row) => row(row.fn.coalesce("accepted_at", "expires_at"), "<=", limits.invitation))
    .limit(ROWS_PER_TRANSACTION);
  return countOf(await trx.deleteFrom("invitation").where("id", "in", old).executeTakeFirst());
};

const removeSessions: Removal = async (trx, limits) => {
  const old = trx
    .selectFrom("session")
    .select("id")
    .where("expiresAt", "<=", new Date(limits.session).toISOString())
    .limit(ROWS_PER_TRANSACTION);
  return countOf(await trx.deleteFrom("session").where("id", "in", old).executeTakeFirst());
};

function countOf({ numDeletedRows }: { numDeletedRows: bigint }): { removed: number; more: boolean } {
  const removed = Number(numDeletedRows);
  return { removed, more: removed === ROWS_PER_TRANSACTION };
}
