/** A folder on a small file system of its own, which a test can fill to the last block and free again. Needs root. */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface SmallDisk {
  /** A database in the folder loses its write-ahead log first: in one that has grown before, SQLite still finds room. */
  fill(database?: string): void;
  free(): void;
  unmount(): void;
}

/** Block by block, and then byte by byte: the last pages of a file that is there must not find room either. */
const PIECES = [1 << 20, 1 << 12, 1];

export function mountSmallDisk(folder: string, sizeMiB: number): SmallDisk {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m,mode=0700`, "dflow-small-disk", folder]);
  const ballast = join(folder, "ballast");
  return {
    fill(database) {
      fillFile(ballast);
      if (database === undefined) return;
      truncateLog(join(folder, database));
      fillFile(ballast);
    },
    free: () => rmSync(ballast, { force: true }),
    unmount() {
      // Containers may hold folders of it; they are gone or going.
      if (existsSync(folder)) execFileSync("umount", ["--lazy", folder]);
    },
  };
}

function fillFile(path: string): void {
  const file = openSync(path, "a");
  try {
    for (const size of PIECES) while (writes(file, size));
  } finally {
    closeSync(file);
  }
}

function truncateLog(path: string): void {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA busy_timeout = 2000; PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    // What is in the log may not fit into the database any more; then it stays, and the disk is as full.
    if (!/full|locked/i.test(String(error))) throw error;
  } finally {
    database.close();
  }
}

function writes(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size)) === size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOSPC") return false;
    throw error;
  }
}
