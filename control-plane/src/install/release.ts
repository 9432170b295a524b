/** What lies in the release folder, and the line that fetches it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";

export const INSTALLER = "install.sh";
const ARCHIVES = ["agent-linux-x64.tar.xz", "agent-linux-arm64.tar.xz"] as const;

/** Everything that may be downloaded, by its exact name. */
export const DOWNLOADS: ReadonlySet<string> = new Set(ARCHIVES.flatMap((name) => [name, `${name}.sha256`]));

export function hasInstaller({ releaseDir }: Pick<Config, "releaseDir">): boolean {
  if (releaseDir === undefined || !existsSync(join(releaseDir, INSTALLER))) return false;
  return ARCHIVES.some((name) => existsSync(join(releaseDir, `${name}.sha256`)));
}

export function installCommand({ publicUrl }: Pick<Config, "publicUrl">): string {
  return `curl -fsSL ${publicUrl}/${INSTALLER} | sudo sh`;
}

/** The same on a server that is known already: it asks for the token that gives it a new key. */
export function rekeyCommand(config: Pick<Config, "publicUrl">): string {
  return `${installCommand(config)} -s -- --rekey`;
}

/** The installer, knowing where it came from. The address stands in single quotes there. */
export function withAddress(script: string, publicUrl: string): string {
  const quoted = publicUrl.replaceAll("'", "'\\''");
  return script.replace(/^SERVED_FROM=''$/m, () => `SERVED_FROM='${quoted}'`);
}
