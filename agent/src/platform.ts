/** The real clock, randomness, files and host: the only source of time and chance. */
import { randomBytes, randomUUIDv7 } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { arch, cpus, hostname, type as osType, release, totalmem, uptime } from "node:os";
import { dirname } from "node:path";
import type { CrashPointEffects } from "@dflow/protocol";
import type { Clock, Files, Host, Random } from "./deps.ts";
import type { ThisProcess } from "./link/link-state.ts";

export function createClock(): Clock {
  // os.uptime() is shared by all processes of a boot; performance.now() is precise. Together: both.
  const offsetMs = uptime() * 1_000 - performance.now();
  const bootId = readBootId();
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => Math.round(offsetMs + performance.now()),
    bootId: () => bootId,
    after(delayMs, run) {
      const timer = setTimeout(run, Math.min(delayMs, 0x7fff_ffff));
      return () => clearTimeout(timer);
    },
  };
}

export function createRandom(): Random {
  return { id: () => randomUUIDv7(), bytes: (count) => randomBytes(count), fraction: () => Math.random() };
}

export function createFiles(): Files {
  return {
    readText(path) {
      try {
        return readFileSync(path, "utf8");
      } catch (error) {
        if (isErrno(error, "ENOENT")) return undefined;
        throw error;
      }
    },
    writeDurably(path, text, mode) {
      const temporary = `${path}.new`;
      // A leftover of a killed process may have another mode, which open would keep.
      rmSync(temporary, { force: true });
      const file = openSync(temporary, "wx", mode);
      try {
        writeSync(file, text);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      chmodSync(temporary, mode);
      renameSync(temporary, path);
      syncFolder(dirname(path));
    },
    readBytes(path, count) {
      if (!existsSync(path)) return undefined;
      const file = openSync(path, "r");
      try {
        const bytes = new Uint8Array(count);
        return bytes.subarray(0, readSync(file, bytes, 0, count, 0));
      } finally {
        closeSync(file);
      }
    },
    overwrite(path, text) {
      const isNew = !existsSync(path);
      const file = openSync(path, isNew ? "wx" : "r+", 0o600);
      try {
        writeSync(file, text, 0);
        fdatasyncSync(file);
      } finally {
        closeSync(file);
      }
      if (isNew) syncFolder(dirname(path));
    },
    list(path) {
      if (!existsSync(path)) return [];
      return readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => ({ name, bytes: statSync(`${path}/${name}`, { throwIfNoEntry: false })?.size ?? 0 }));
    },
    makeFolder(path, mode) {
      mkdirSync(path, { recursive: true, mode });
      chmodSync(path, mode);
    },
    remove(path) {
      rmSync(path, { recursive: true, force: true });
    },
    rename(from, to) {
      renameSync(from, to);
    },
    giveTo(path, uid, gid) {
      try {
        chownSync(path, uid, gid);
      } catch (error) {
        if (!isErrno(error, "EPERM")) throw error;
      }
    },
    ownerOf(path) {
      const found = statSync(path, { throwIfNoEntry: false });
      return found === undefined ? undefined : { uid: found.uid, gid: found.gid };
    },
  };
}

export function createHost(dataDir: string, rssBytes: () => number): Host {
  return {
    facts() {
      const disk = diskOf(dataDir);
      return {
        hostname: hostname().slice(0, 255),
        os: /^PRETTY_NAME="?([^"\n]*)"?/m.exec(readOr("/etc/os-release", ""))?.[1]?.slice(0, 200) ?? osType(),
        arch: arch().slice(0, 20),
        kernel: release().slice(0, 200),
        cpus: cpus().length,
        memoryBytes: totalmem(),
        diskBytes: disk?.total ?? null,
        diskFreeBytes: disk?.free ?? null,
      };
    },
    rssBytes,
  };
}

export function createProcesses(): ThisProcess {
  return {
    pid: process.pid,
    identityOf(pid) {
      // The name in brackets may hold anything, so fields are counted from behind it; the 20th is the start time.
      const startedAt = /^.*\) (?:\S+ ){19}(\d+)/s.exec(readOr(`/proc/${pid}/stat`, ""))?.[1];
      return startedAt && `${readBootId()}:${pid}:${startedAt}`;
    },
  };
}

/** A test's folder: it puts the place to die at into "armed" and finds in "passed" where this process has been. */
export function createCrashPointEffects(folder: string): CrashPointEffects {
  return {
    armed() {
      const text = readOr(`${folder}/armed`, "");
      return text === "" ? undefined : text;
    },
    note: (name) => appendFileSync(`${folder}/passed`, `${name}\n`),
    die: () => void process.kill(process.pid, "SIGKILL"),
  };
}

function diskOf(path: string): { total: number; free: number } | undefined {
  try {
    const { bsize, blocks, bavail } = statfsSync(path);
    return { total: bsize * blocks, free: bsize * bavail };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function readBootId(): string {
  return readOr("/proc/sys/kernel/random/boot_id", "unknown").trim();
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return otherwise;
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
