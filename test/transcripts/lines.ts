/** What a transcript's file holds: one line of JSON each for a frame, an end, or what happened around the link. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type OperationKind, SUBPROTOCOL } from "@dflow/protocol";

export type Side = "agent" | "control plane";

export interface Close {
  code: number;
  reason: string;
}

/** What is done to a side from outside. Services by their number. */
export type Step =
  | { do: OperationKind | "cancel"; service: number }
  | { do: "read log"; service: number; follow: boolean }
  | { do: "leave log" | "remove server" | "stop control plane" }
  | { do: "end container" | "start agent" | "kill agent" | "forget journal" }
  /** The agent's disk gets back the epoch of its enrolment, as a copy of the machine of that day would have it. */
  | { do: "restore old epoch" };

/** Times in milliseconds since the run began. */
export type Line =
  | { at: number; step: Step }
  /** A websocket, numbered from 1. */
  | { at: number; conn: number; opened: true }
  | Said
  /** A side ends it. */
  | { at: number; conn: number; from: Side; close: Close }
  /** A side hears that it is over. */
  | { at: number; conn: number; hears: Side; close: Close };

export type Said = { at: number; conn: number; from: Side } & {
  /** When it was there; absent when it was lost on the way. */
  arrived?: number;
  /** Not said by the side's own code: a newer version's frame, or one that takes too much to bring about. */
  injected?: true;
} & ({ frame: Frame } | { bytes: string });

export interface Frame {
  type: string;
  seq: number;
  session: number;
  data: unknown;
}

export interface Transcript {
  name: string;
  lines: Line[];
}

const ROOT = join(import.meta.dirname, "../../protocol/transcripts");

/** The one folder that is recorded anew, until a release speaks its version; docs/architecture.md says what then. */
export const CURRENT: string = SUBPROTOCOL;

/** SHA-256 of each folder (`digestOf`) that a release speaks: agents in the field do, so it never changes again. */
export const RELEASED: Readonly<Record<string, string>> = {};

export const versions = (): string[] => readdirSync(ROOT).toSorted();

export const filesOf = (version: string): string[] => readdirSync(join(ROOT, version)).toSorted();

export const textOf = (version: string, file: string): string => readFileSync(join(ROOT, version, file), "utf8");

export function transcriptsOf(version: string): Transcript[] {
  return filesOf(version).map((file) => ({
    name: file.replace(/\.jsonl$/, ""),
    lines: textOf(version, file)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line),
  }));
}

export function digestOf(version: string): string {
  const hash = createHash("sha256");
  for (const file of filesOf(version)) hash.update(`${file}\n${textOf(version, file)}`);
  return hash.digest("hex");
}

export const asText = (lines: readonly Line[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

/** Only into the current version's folder, and only while no release speaks it. */
export function writeCurrent(transcripts: readonly Transcript[]): void {
  if (CURRENT in RELEASED) throw new Error(`a release speaks ${CURRENT}: its transcripts stay as they are`);
  const folder = join(ROOT, CURRENT);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { name, lines } of transcripts) writeFileSync(join(folder, `${name}.jsonl`), asText(lines));
}
