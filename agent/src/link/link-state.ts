/**
 * Whether this server is online, for a person or a script on it: the running agent writes each change into a small file,
 * together with which process it is, so that the word of a process that is gone is never taken for the present.
 */
import { z } from "zod";
import type { Files } from "../deps.ts";

const recordSchema = z.object({
  online: z.boolean(),
  /** ISO 8601, by this server's clock. */
  since: z.string(),
  process: z.object({ pid: z.number().int(), identity: z.string() }),
});

export interface ThisProcess {
  readonly pid: number;
  /** Which process a pid means: no other of any boot has the same. `undefined` when there is none. */
  identityOf(pid: number): string | undefined;
}

export type LinkState = "online" | "offline" | "not running";

export interface Seen {
  state: LinkState;
  /** When the running agent's link last changed. */
  since?: string;
}

export function writeLinkState(files: Files, path: string, own: ThisProcess, online: boolean, wallMs: number): void {
  const identity = own.identityOf(own.pid) ?? "";
  const record = { online, since: new Date(wallMs).toISOString(), process: { pid: own.pid, identity } };
  files.writeDurably(path, `${JSON.stringify(record)}\n`, 0o600);
}

export function readLinkState(files: Files, path: string, processes: Pick<ThisProcess, "identityOf">): Seen {
  const text = files.readText(path);
  if (text === undefined) return { state: "not running" };
  const { online, since, process: writer } = recordSchema.parse(JSON.parse(text));
  if (processes.identityOf(writer.pid) !== writer.identity) return { state: "not running" };
  return { state: online ? "online" : "offline", since };
}
