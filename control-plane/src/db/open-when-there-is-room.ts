/** Opens the database on a disk that may be full: when there is room again, the control plane is back by itself. */
import { whenThereIsRoom } from "@dflow/protocol";
import type { Logger } from "pino";
import type { Db } from "./database.ts";
import { diskFull } from "./disk-full.ts";
import { migrate } from "./migrate.ts";

export interface OpenDeps {
  log: Logger;
  pause(ms: number): Promise<void>;
}

/** Opens and migrates; tries again while the disk is full, says so at first and once a minute. Any other error is thrown. */
export function openWhenThereIsRoom<D extends { db: Db }>(
  { log, pause }: OpenDeps,
  open: () => Promise<D>,
): Promise<D> {
  const tell = (full: Error) => log.error({ err: full }, "the control plane waits for room on its disk");
  return whenThereIsRoom({ pause, tell }, async () => {
    const deps = await open();
    try {
      await migrate(deps.db);
      return deps;
    } catch (error) {
      await deps.db.destroy();
      throw diskFull(error instanceof Error ? error.cause : undefined) ?? error;
    }
  });
}
