/** What stood in argv and environment of every process of this machine while something ran. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

export interface Sighting {
  pid: string;
  /** Bytes as Latin-1, the parts divided by NUL as the kernel gives them. */
  argv: string;
  environ: string;
}

export interface Watched {
  sightings: Sighting[];
  looks: number;
  /** The longest time between two looks: a process that lived shorter may not have been seen. */
  slowestMs: number;
}

export interface ProcessWatch {
  /** Where it writes: full of whatever it saw, so it is no place to search. */
  folder: string;
  /** Safe to call twice. */
  stop(): Promise<Watched>;
}

/** In a process of its own, so that a test which is busy does not keep it from looking. */
export async function startProcessWatch(): Promise<ProcessWatch> {
  const folder = mkdtempSync(join(tmpdir(), "dflow-watch-"));
  const file = join(folder, "seen");
  const child = spawn(process.execPath, [join(import.meta.dirname, "process-watcher.ts"), file], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  const ended = new Promise<number | null>((done) => child.once("close", done));
  // What it does not see while others have the processor, it has not looked for. Without root it waits its turn.
  if (child.pid !== undefined && process.getuid?.() === 0) setPriority(child.pid, constants.priority.PRIORITY_HIGH);
  const lines = () =>
    readFileSync(file, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  await until("the watcher looks", () => {
    if (child.exitCode !== null) throw new Error(`the watcher ended with ${child.exitCode}`);
    try {
      return readFileSync(file, "utf8").includes(`"pid":"${child.pid}"`);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw error;
    }
  });
  const end = async (): Promise<Watched> => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    const code = await ended;
    clearTimeout(timer);
    if (code !== 0) throw new Error(`the watcher ended with ${code}`);
    const all = lines();
    rmSync(folder, { recursive: true, force: true });
    return { sightings: all.slice(0, -1), ...all.at(-1) };
  };
  let watched: Promise<Watched> | undefined;
  return {
    folder,
    stop() {
      watched ??= end();
      return watched;
    },
  };
}
