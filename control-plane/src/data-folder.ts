/** What lies in the data folder, by name: for the process that makes it and the one that copies or checks it. */
import { join } from "node:path";

export const DATABASE_FILE = "control-plane.sqlite";
export const KEYS_FOLDER = "keys";
export const KEY_FILES = ["signing.json", "sealing.json", "session.json"] as const;

/** What a control plane cannot be brought back without, relative to the folder. */
export const KEPT_FILES = [DATABASE_FILE, ...KEY_FILES.map((name) => `${KEYS_FOLDER}/${name}`)] as const;

export function databaseFile(dataDir: string): string {
  return join(dataDir, DATABASE_FILE);
}
