/**
 * How far a journal had come, in a small file beside it. A journal that has lost its newest writes looks whole to SQLite,
 * and would have the agent do again what it did: wipe a volume that has become a database since.
 */
import { createHash } from "node:crypto";
import { messageOf } from "@dflow/protocol";
import type { Files, Log } from "../deps.ts";

export interface Mark {
  /** Which journal; a new one has another name. */
  journal: string;
  /** Commits so far. */
  writes: number;
}

export const markPathOf = (journalPath: string) => `${journalPath}-mark`;

/** The mark is written after the commit that it tells of, so a journal may be ahead of it and never behind. */
export const isBehind = (own: Mark, kept: Mark | undefined) =>
  kept !== undefined && kept.journal === own.journal && own.writes < kept.writes;

/** `undefined` when there is none, or none that can be read: then nobody can tell. */
export function readMark(files: Files, path: string): Mark | undefined {
  const text = files.readText(path) ?? "";
  const [journal = "", writes = ""] = text.split(" ");
  const mark = { journal, writes: Number(writes) };
  return text === textOf(mark) ? mark : undefined;
}

/** A mark that cannot be written says less than it could, and nothing wrong. */
export function writeMark(files: Files, log: Pick<Log, "warn">, path: string, mark: Mark): void {
  try {
    files.overwrite(path, textOf(mark));
  } catch (error) {
    log.warn({ path, reason: messageOf(error) }, "the journal's mark cannot be written");
  }
}

/** Always of one length, within one sector: it is written in place, which needs no room on a full disk. */
function textOf({ journal, writes }: Mark): string {
  const body = `${journal} ${String(writes).padStart(16, "0")}`;
  return `${body} ${createHash("sha256").update(body).digest("hex").slice(0, 16)}\n`;
}
