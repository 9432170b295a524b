/** The types of what touches the world. Rooms take the parts they use as arguments; `main.ts` builds the real ones. */
import type { AgentFacts } from "@dflow/protocol";

export type Cancel = () => void;

/** Time. A moment of another boot cannot be compared by `monotonicMs`, hence `bootId` (see journal/stamp.ts). */
export interface Clock {
  wallMs(): number;
  /** Milliseconds since the machine started: comparable between processes of one boot, untouched by clock changes. */
  monotonicMs(): number;
  bootId(): string;
  after(delayMs: number, run: () => void): Cancel;
}

export interface Random {
  /** UUIDv7. */
  id(): string;
  bytes(count: number): Uint8Array;
  /** In [0, 1). */
  fraction(): number;
}

/** Small files, synchronously. Paths are absolute. */
export interface Files {
  /** `undefined` when there is no such file. */
  readText(path: string): string | undefined;
  /** Whole or not at all, also after a power cut: temporary file, fsync, rename, fsync of the folder. */
  writeDurably(path: string, text: string, mode: number): void;
  /** The first bytes, or fewer where there are not so many; `undefined` when there is no such file. */
  readBytes(path: string, count: number): Uint8Array | undefined;
  /** In place, for a text that always has the same length: on disk when it returns, and no room is needed but the first time. */
  overwrite(path: string, text: string): void;
  /** What lies in a folder, without folders; nothing when there is no such folder. */
  list(path: string): { name: string; bytes: number }[];
  /** Creates the folder and its parents; an existing one gets the mode. */
  makeFolder(path: string, mode: number): void;
  /** Removes a file or a tree; absent is fine. */
  remove(path: string): void;
  rename(from: string, to: string): void;
  /** Does nothing where this process may not (not root). */
  giveTo(path: string, uid: number, gid: number): void;
  /** `undefined` when there is no such file. */
  ownerOf(path: string): { uid: number; gid: number } | undefined;
}

/** The process's own log. Never given frames, specs or anything else that may hold a secret. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a server can say of itself without asking Docker. */
export type HostFacts = Omit<AgentFacts, "dockerVersion" | "dockerApiVersion" | "agentVersion">;

export interface Host {
  facts(): HostFacts;
  rssBytes(): number;
}
