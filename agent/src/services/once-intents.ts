/**
 * Which operations of class `once` may have been carried out, in empty files of their own: a second witness beside the
 * journal. Where that is lost, a command that is sent again is not taken for a new one.
 */
import { AppError, messageOf } from "@dflow/protocol";
import type { Files } from "../deps.ts";

export interface OnceIntents {
  has(operationId: string): boolean;
  /** On disk when it returns. Idempotent. Throws `disk_full`. */
  add(operationId: string): void;
  /** Forgets the oldest of too many. */
  sweep(): void;
}

/** A server that checks twenty databases a day keeps a month; a command is sent again within hours. */
export const INTENTS_MAX = 600;

export function createOnceIntents(files: Files, folder: string): OnceIntents {
  const pathOf = (operationId: string) => `${folder}/${operationId}`;
  return {
    has: (operationId) => files.ownerOf(pathOf(operationId)) !== undefined,
    add(operationId) {
      try {
        files.makeFolder(folder, 0o700);
        files.writeDurably(pathOf(operationId), "", 0o600);
      } catch (error) {
        if (!/ENOSPC|EDQUOT/.test(messageOf(error))) throw error;
        throw new AppError("disk_full", "the agent's own disk is full, so nothing could be begun", {
          hint: "Free space on the disk of the agent's data folder.",
          cause: error,
        });
      }
    },
    sweep() {
      // Ids grow with time.
      const names = files
        .list(folder)
        .map(({ name }) => name)
        .toSorted();
      for (const name of names.slice(0, Math.max(0, names.length - INTENTS_MAX))) files.remove(pathOf(name));
    },
  };
}
