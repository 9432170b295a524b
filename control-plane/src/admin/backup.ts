/** Copies the control plane into a folder while it runs: its database as of one instant, and its keys. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { AppError } from "@dflow/protocol";
import { DATABASE_FILE, databaseFile, KEPT_FILES, KEY_FILES, KEYS_FOLDER } from "../data-folder.ts";
import { copyDatabase, databaseDamage } from "../db/copy.ts";
import type { Platform } from "../platform.ts";
import { CONTROL_PLANE_VERSION } from "../version.ts";
import { fileEntry, MANIFEST_FILE, type Manifest } from "./manifest.ts";

/**
 * The folder appears whole, under its name, or not at all. Whoever has it has every secret of the control plane: it is
 * readable by its owner only, and where it goes from here is theirs to protect.
 */
export async function backup(
  { clock, random }: Pick<Platform, "clock" | "random">,
  { dataDir, out }: { dataDir: string; out: string },
): Promise<Manifest> {
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new AppError("invalid_input", `${out} is there and not empty.`, { hint: "Name a new folder with --out." });
  }
  const draft = `${out}.${random.id()}`;
  try {
    mkdirSync(dirname(out), { recursive: true });
    mkdirSync(draft, { mode: 0o700 });
    await copyDatabase(databaseFile(dataDir), emptyFile(join(draft, DATABASE_FILE)));
    const damage = databaseDamage(join(draft, DATABASE_FILE));
    if (damage.length > 0) {
      throw new AppError("internal", `The copy is not whole: ${damage.join("; ")}`, {
        hint: "The database itself is damaged, or the disk is: see dflow-admin doctor.",
      });
    }
    mkdirSync(join(draft, KEYS_FOLDER), { mode: 0o700 });
    for (const name of KEY_FILES) {
      const copy = join(draft, KEYS_FOLDER, name);
      copyFileSync(join(dataDir, KEYS_FOLDER, name), copy);
      chmodSync(copy, 0o600);
    }
    const manifest: Manifest = {
      format: 1,
      version: CONTROL_PLANE_VERSION,
      takenAt: new Date(clock.now()).toISOString(),
      files: await Promise.all(KEPT_FILES.map((name) => fileEntry(draft, name))),
    };
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    writeFileSync(join(draft, MANIFEST_FILE), text, { mode: 0o600, flush: true });
    renameSync(draft, out);
    return manifest;
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

/** SQLite keeps the mode of a file that is there. */
function emptyFile(file: string): string {
  closeSync(openSync(file, "wx", 0o600));
  return file;
}
