/**
 * The join counter on this server's disk: which epoch the control plane gave at the last connection. It belongs to one
 * key, so a new key begins at 0 whatever an older one has left behind.
 */
import { messageOf } from "@dflow/protocol";
import { z } from "zod";
import type { Files, Log } from "../deps.ts";

export interface Epochs {
  /** The last one that was kept; 0 when there is none for this key. */
  last(): number;
  /** On disk when it returns. */
  keep(epoch: number): void;
}

const recordSchema = z.object({ kid: z.string(), epoch: z.number().int().nonnegative() });

export interface EpochsDeps {
  files: Files;
  log: Log;
  path: string;
  /** Of the key in use. */
  kid: string;
  /** A file that can be written anew: it gives its room to the epoch when the disk is full. */
  expendable: string;
}

export function createEpochs({ files, log, path, kid, expendable }: EpochsDeps): Epochs {
  return {
    last() {
      try {
        const text = files.readText(path);
        if (text === undefined) return 0;
        const record = recordSchema.parse(JSON.parse(text));
        return record.kid === kid ? record.epoch : 0;
      } catch (error) {
        // Nobody can tell what was lost with it, and the control plane will not believe us: it is a case for a re-key.
        log.error({ path, reason: messageOf(error) }, "the epoch cannot be read; this server will be quarantined");
        return 0;
      }
    },
    keep(epoch) {
      const text = `${JSON.stringify({ kid, epoch })}\n`;
      try {
        files.writeDurably(path, text, 0o600);
      } catch (error) {
        // A server whose disk is full needs its agent most, and without this there is no session.
        log.warn({ path, reason: messageOf(error) }, "the epoch cannot be written; making room for it");
        files.remove(expendable);
        files.writeDurably(path, text, 0o600);
      }
    },
  };
}
