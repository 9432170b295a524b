/** What an error of SQLite says: that the content is damaged, that the disk is full, or only something of the moment. Pure. */
import { AppError } from "@dflow/protocol";

/** Primary codes that say nothing of the content: PERM BUSY LOCKED NOMEM READONLY IOERR FULL CANTOPEN. */
const OF_THE_MOMENT = [3, 5, 6, 7, 8, 10, 13, 14];
const FULL = 13;
/** Of the input and output errors the one that says the same: SHMSIZE, the write-ahead log's index found no room. */
const NO_ROOM_FOR_INDEX = 4874;
/** CORRUPT FORMAT NOTADB: never a mistake in a statement of ours. */
const DAMAGED = [11, 24, 26];
/** Of the input and output errors those that do: READ SHORT_READ DATA CORRUPTFS. */
const UNREADABLE = [266, 522, 8202, 8458];

/** The file may be whole: to begin a new one would forget which volumes hold data. */
export function isOfTheMoment(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && OF_THE_MOMENT.includes(code & 0xff) && !UNREADABLE.includes(code);
}

/** In the middle of work: what is on the disk is not what was written. */
export function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && (DAMAGED.includes(code & 0xff) || UNREADABLE.includes(code));
}

/** As `disk_full`, where that is the reason; else as it is. */
export function named(error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined || ((code & 0xff) !== FULL && code !== NO_ROOM_FOR_INDEX)) return error;
  return new AppError("disk_full", "the agent's own disk is full, so its journal cannot be written", {
    hint: "Free space on the disk of the agent's data folder.",
    cause: error,
  });
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : undefined;
}
