/** Puts a damaged journal aside under a dated name, and keeps only so many and so much of them. */
import { basename, dirname } from "node:path";
import { messageOf } from "@dflow/protocol";
import type { Clock, Files, Log } from "../deps.ts";
import { markPathOf } from "./mark.ts";

/** Of journals that were set aside, the newest; they are for whoever wants to know what happened. */
export const KEPT_MAX = 3;
export const KEPT_MAX_BYTES = 64 * 1024 * 1024;

const SUFFIXES = ["", "-wal", "-shm"];
const MARKED = ".damaged-";

export interface SetAsideDeps {
  files: Files;
  clock: Pick<Clock, "wallMs">;
  log: Log;
}

/** May be killed at any place: what is left of it is taken for an older journal, or is no journal. */
export function setAside({ files, clock, log }: SetAsideDeps, path: string, reason: string): void {
  const keptAt = `${path}${MARKED}${clock.wallMs()}`;
  // The main file first: beside a new one SQLite takes no old write-ahead log for its own.
  for (const suffix of SUFFIXES) {
    if (files.ownerOf(`${path}${suffix}`) !== undefined) files.rename(`${path}${suffix}`, `${keptAt}${suffix}`);
  }
  files.remove(markPathOf(path));
  log.error({ keptAt, reason }, "the journal was damaged; it was set aside and a new one is begun");
  try {
    for (const name of surplus(files.list(dirname(path)), basename(path))) {
      files.remove(`${dirname(path)}/${name}`);
      log.warn({ name }, "a journal that was set aside earlier was removed: there are too many, or they are too large");
    }
  } catch (error) {
    // They are only in the way.
    log.warn({ reason: messageOf(error) }, "journals that were set aside earlier could not be removed");
  }
}

/** Names of the files to remove, so that the rest is within both bounds: the newest stay. Pure. */
export function surplus(found: readonly { name: string; bytes: number }[], journal: string): string[] {
  const sets = new Map<string, { names: string[]; bytes: number }>();
  for (const { name, bytes } of found) {
    const date = name.startsWith(`${journal}${MARKED}`)
      ? /^\d+/.exec(name.slice(journal.length + MARKED.length))
      : null;
    if (date === null) continue;
    const set = sets.get(date[0]) ?? { names: [], bytes: 0 };
    sets.set(date[0], { names: [...set.names, name], bytes: set.bytes + bytes });
  }
  let bytes = 0;
  return [...sets]
    .toSorted(([a], [b]) => Number(b) - Number(a))
    .filter(([, set], index) => {
      bytes += set.bytes;
      return index >= KEPT_MAX || bytes > KEPT_MAX_BYTES;
    })
    .flatMap(([, { names }]) => names);
}
