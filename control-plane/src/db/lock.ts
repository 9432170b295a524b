/** Holds a data folder for one process: two control planes on one database would each send what the other has sent. */
import { join } from "node:path";
import BetterSqlite3 from "better-sqlite3";

/** A process that was asked to stop may still be writing its last rows. */
const WAIT_MS = 1_000;

/** The lock is the operating system's, on a file of its own: it goes with the process, however that ends. */
export function lockDataDir(dataDir: string, waitMs = WAIT_MS): () => void {
  const lock = new BetterSqlite3(join(dataDir, "lock.sqlite"), { timeout: waitMs });
  try {
    lock.exec("begin exclusive");
  } catch (cause) {
    lock.close();
    throw new Error(`${dataDir} is in use by another control plane`, { cause });
  }
  return () => lock.close();
}
