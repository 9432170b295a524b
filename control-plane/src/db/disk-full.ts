/** Recognises that the database could not be written for want of room. */
import { AppError } from "@dflow/protocol";

/** SHMSIZE: the index of its write-ahead log could not grow. */
const CODES = ["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"];

/** What to tell whoever asked; undefined when `error` is something else. Nothing of the transaction was kept. */
export function diskFull(error: unknown): AppError | undefined {
  if (!(error instanceof Error) || !("code" in error) || !CODES.includes(String(error.code))) return undefined;
  return new AppError("disk_full", "The control plane's disk is full, so this could not be written down.", {
    hint: "Nothing was changed. Free space on the disk of the control plane's data folder, then try again.",
    cause: error,
  });
}
