/** Puts a backup of the control plane into a data folder that no control plane uses. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { AppError, messageOf } from "@dflow/protocol";
import { DATABASE_FILE, KEYS_FOLDER } from "../data-folder.ts";
import { databaseDamage } from "../db/copy.ts";
import { lockDataDir } from "../db/lock.ts";
import type { Platform } from "../platform.ts";
import { goAhead } from "./go-ahead.ts";
import { fileEntry, MANIFEST_FILE, type Manifest, parseManifest } from "./manifest.ts";

export interface RestoreRequest {
  from: string;
  dataDir: string;
  /** Moves what is there aside instead of refusing. */
  replace: boolean;
}

export interface Restored {
  manifest: Manifest;
  /** Where the old database and keys lie now; undefined when there were none. */
  keptIn: string | undefined;
}

/** Nothing in the data folder changes before the whole backup was checked there. */
export async function restore(
  { clock, random }: Pick<Platform, "clock" | "random">,
  { from, dataDir, replace }: RestoreRequest,
): Promise<Restored> {
  const manifest = readManifest(from);
  await checkSums(from, manifest);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const unlock = lock(dataDir);
  const draft = join(dataDir, DRAFT_PREFIX + random.id());
  try {
    // What a restore that was killed has left: it holds keys, and the lock says that nobody works on it.
    for (const name of readdirSync(dataDir).filter((name) => name.startsWith(DRAFT_PREFIX))) {
      rmSync(join(dataDir, name), { recursive: true, force: true });
    }
    const present = OURS.filter((name) => existsSync(join(dataDir, name)));
    if (present.length > 0 && !replace) {
      throw new AppError("invalid_input", `${dataDir} holds a control plane already (${present.join(", ")}).`, {
        hint: "Restore into another folder, or add --replace, which moves what is there into a folder beside it.",
      });
    }
    await copyInto(draft, from, manifest);
    const { takenAt, version } = manifest;
    await goAhead({ clock, random }, join(draft, DATABASE_FILE), { takenAt, version });
    let keptIn: string | undefined;
    if (present.length > 0) {
      keptIn = join(dataDir, `replaced-${new Date(clock.now()).toISOString().replaceAll(":", "-")}`);
      mkdirSync(keptIn, { mode: 0o700 });
      for (const name of present) renameSync(join(dataDir, name), join(keptIn, name));
    }
    // The database last: where one lies, its keys do.
    for (const name of [KEYS_FOLDER, DATABASE_FILE]) renameSync(join(draft, name), join(dataDir, name));
    chmodSync(dataDir, 0o700);
    return { manifest, keptIn };
  } finally {
    rmSync(draft, { recursive: true, force: true });
    unlock();
  }
}

const DRAFT_PREFIX = "restore-";

/** A database of another time must not find this one's log beside it: SQLite would mix the two. */
const OURS = [DATABASE_FILE, `${DATABASE_FILE}-wal`, `${DATABASE_FILE}-shm`, KEYS_FOLDER];

function readManifest(from: string): Manifest {
  const file = join(from, MANIFEST_FILE);
  try {
    return parseManifest(readFileSync(file, "utf8"), file);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError("invalid_input", `${from} is not a backup: ${messageOf(error)}`, { cause: error });
  }
}

async function checkSums(folder: string, manifest: Manifest): Promise<void> {
  for (const { name, sha256, sizeBytes } of manifest.files) {
    const found = await fileEntry(folder, name).catch((cause: unknown) => {
      throw new AppError("invalid_input", `The backup lacks ${name}: ${messageOf(cause)}`, { cause });
    });
    if (found.sha256 === sha256) continue;
    throw new AppError("invalid_input", `${name} is not the file that was backed up: its SHA-256 is another one.`, {
      hint:
        found.sizeBytes === sizeBytes
          ? "It was changed. Take another backup."
          : `It has ${found.sizeBytes} bytes instead of ${sizeBytes}: the copy was cut off or changed. Take another one.`,
    });
  }
}

async function copyInto(draft: string, from: string, manifest: Manifest): Promise<void> {
  mkdirSync(join(draft, KEYS_FOLDER), { recursive: true, mode: 0o700 });
  for (const { name } of manifest.files) {
    copyFileSync(join(from, name), join(draft, name));
    chmodSync(join(draft, name), 0o600);
  }
  // What was written is what was checked, on this disk too.
  await checkSums(draft, manifest);
  const damage = databaseDamage(join(draft, DATABASE_FILE));
  if (damage.length === 0) return;
  throw new AppError("invalid_input", `The database in this backup is damaged: ${damage.join("; ")}`);
}

function lock(dataDir: string): () => void {
  try {
    return lockDataDir(dataDir);
  } catch (cause) {
    throw new AppError("invalid_input", `${messageOf(cause)}.`, { hint: "Stop the control plane first.", cause });
  }
}
