/** What may happen to the files of a journal: a pure function of the seed says what, and a thin one does it. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Random } from "../support/random.ts";

/** Of the main file, the write-ahead log, its index, and the mark. */
export type JournalFile = "journal.db" | "journal.db-wal" | "journal.db-shm" | "journal.db-mark";

export type Damage =
  | { do: "flip bits"; file: JournalFile; at: number[] }
  | { do: "spoil bytes"; file: JournalFile; at: number; with: number[] }
  | { do: "zero pages"; file: JournalFile; pages: number[] }
  | { do: "truncate"; file: JournalFile; to: number }
  | { do: "replace"; file: JournalFile; bytes: number; byte: number }
  | { do: "remove"; files: JournalFile[] }
  /** The log as it was some time before. */
  | { do: "go back"; files: JournalFile[] }
  | { do: "spoil row"; table: string; nth: number; how: "not JSON" | "other JSON" | "other checksum" };

/** All positions are fractions of what is there, in thousandths of thousandths. */
const WHOLE = 1_000_000;
const PAGE_BYTES = 4_096;
const FILES = ["journal.db", "journal.db", "journal.db", "journal.db-wal", "journal.db-wal", "journal.db-shm"] as const;
const TABLES = ["operations", "operations", "services", "volumes", "networks", "images", "lines"] as const;

export function damageOf(random: Random): Damage {
  const file = random.next() < 0.02 ? "journal.db-mark" : random.pick(FILES);
  const somewhere = (from: number, to: number) =>
    Array.from({ length: random.between(from, to) }, () => random.between(0, WHOLE - 1));
  switch (random.between(0, 9)) {
    case 0:
      return { do: "flip bits", file, at: somewhere(1, 3) };
    case 1:
      return { do: "flip bits", file, at: somewhere(4, 64) };
    // The first hundred bytes say what kind of file it is.
    case 2:
      return { do: "spoil bytes", file, at: random.between(0, 100), with: [random.between(0, 255)] };
    case 3: {
      const bytes = Array.from({ length: random.between(1, 300) }, () => random.between(0, 255));
      return { do: "spoil bytes", file, at: random.between(0, 200_000), with: bytes };
    }
    case 4:
      return { do: "zero pages", file, pages: somewhere(1, 4) };
    case 5:
      return { do: "truncate", file, to: random.between(0, WHOLE) };
    case 6:
      return { do: "replace", file, bytes: random.between(0, 50_000), byte: random.between(0, 255) };
    case 7:
      return {
        do: "remove",
        files: random.pick([["journal.db"], ["journal.db-wal"], ["journal.db-shm"], ["journal.db", "journal.db-wal"]]),
      };
    case 8:
      return { do: "go back", files: random.pick([["journal.db-wal"], ["journal.db", "journal.db-wal"]]) };
    default:
      return {
        ...{ do: "spoil row", table: random.pick(TABLES), nth: random.between(0, 1_000) },
        how: random.pick(["not JSON", "other JSON", "other checksum"]),
      };
  }
}

/** `earlier` is a copy of the folder from before. A file that is not there is left alone. */
export function damage(folder: string, earlier: string, what: Damage): void {
  switch (what.do) {
    case "remove":
      for (const file of what.files) rmSync(join(folder, file), { force: true });
      return;
    case "go back":
      for (const file of what.files) {
        rmSync(join(folder, file), { force: true });
        if (existsSync(join(earlier, file))) writeFileSync(join(folder, file), readFileSync(join(earlier, file)));
      }
      return;
    case "spoil row":
      return void spoilRow(folder, what);
    default:
      return void spoilFile(join(folder, what.file), what);
  }
}

function spoilFile(path: string, what: Exclude<Damage, { do: "remove" | "go back" | "spoil row" }>): void {
  if (!existsSync(path)) return;
  const size = statSync(path).size;
  const place = (fraction: number) => Math.floor((fraction / WHOLE) * size);
  if (what.do === "truncate") return void truncateSync(path, place(what.to));
  if (what.do === "replace") return void writeFileSync(path, Buffer.alloc(what.bytes, what.byte));
  const bytes = readFileSync(path);
  if (size === 0) return;
  if (what.do === "flip bits") {
    for (const at of what.at) bytes[place(at)] = (bytes[place(at)] ?? 0) ^ (1 << (at % 8));
  } else if (what.do === "zero pages") {
    for (const at of what.pages) {
      const from = Math.floor(place(at) / PAGE_BYTES) * PAGE_BYTES;
      bytes.fill(0, from, Math.min(size, from + PAGE_BYTES));
    }
  } else {
    for (const [index, byte] of what.with.entries()) bytes[(what.at + index) % size] = byte;
  }
  // In place, so that a process which has it open sees it.
  writeFileSync(path, bytes, { flag: "r+" });
}

function spoilRow(folder: string, { table, nth, how }: Extract<Damage, { do: "spoil row" }>): void {
  const database = new DatabaseSync(join(folder, "journal.db"));
  const change = { "not JSON": "body = '{\"half'", "other JSON": "body = '{}'", "other checksum": "sha256 = 'x'" }[how];
  const key = table === "lines" ? "operation_id || n" : "id";
  database.exec(
    `UPDATE ${table} SET ${change} WHERE ${key} = (SELECT ${key} FROM ${table} ORDER BY ${key}
       LIMIT 1 OFFSET (SELECT ${nth} % max(1, count(*)) FROM ${table}))`,
  );
  database.close();
}

/** Files of journals that were set aside. */
export const setAsideIn = (folder: string) => readdirSync(folder).filter((name) => name.includes(".damaged-"));
