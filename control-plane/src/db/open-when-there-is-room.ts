/** Opens the database on a disk that may be full: when there is room again, the control plane is back by itself. */
import type { Logger } from "pino";
import type { Db } from "./database.ts";
import { diskFull } from "./disk-full.ts";
import { migrate } from "./migrate.ts";

export interface OpenDeps {
  log: Logger;
  pause(ms: number): Promise<void>;
}

const RETRY_MS = 1_000;
const TELL_EVERY = 60;

/** Opens and migrates; tries again while the disk is full, says so at first and once a minute. Any other error is thrown. */
export async function openWhenThereIsRoom<D extends { db: Db }>(
  { log, pause }: OpenDeps,
  open: () => Promise<D>,
): Promise<D> {
  for (let tried = 0; ; tried += 1) {
    const deps = await open();
    try {
      await migrate(deps.db);
      return deps;
    } catch (error) {
      await deps.db.destroy();
      const full = diskFull(error instanceof Error ? error.cause : undefined);
      if (full === undefined) throw error;
      if (tried % TELL_EVERY === 0) log.error({ err: full }, "the control plane waits for room on its disk");
      await pause(RETRY_MS);
    }
  }
}
