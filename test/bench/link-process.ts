/** A measured process: start, kill -9, and what the kernel says of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { rssMiB } from "../load/memory.ts";

export interface MeasuredProcess {
  readonly child: ChildProcess;
  rssMiB(): number;
  /** Per cent of one core since `mark`. */
  cpuSince(mark: CpuMark): number;
  cpuMark(): CpuMark;
  /** Resolves when it has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export interface CpuMark {
  ticks: number;
  atMs: number;
}

const CLOCK_TICKS_PER_S = 100;

export function startMeasured(
  command: string,
  args: string[],
  { logFile, withChannel = false }: { logFile: string; withChannel?: boolean },
): MeasuredProcess {
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(command, args, { stdio: ["ignore", log, log, ...(withChannel ? (["ipc"] as const) : [])] });
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  // Without a listener a program that is not there would end us; `pid` stays undefined and says so below.
  child.on("error", (error) => process.stderr.write(`${command}: ${error.message}\n`));
  const pid = (): number => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${command} has ended: ${readFileSync(logFile, "utf8").slice(-2_000)}`);
    }
    return child.pid;
  };
  return {
    child,
    rssMiB: () => rssMiB(pid()),
    cpuMark: () => ({ ticks: cpuTicks(pid()), atMs: performance.now() }),
    cpuSince: ({ ticks, atMs }) =>
      ((cpuTicks(pid()) - ticks) / CLOCK_TICKS_PER_S / ((performance.now() - atMs) / 1000)) * 100,
    async end(signal) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await exited;
    },
  };
}

function cpuTicks(pid: number): number {
  // Fields after the command's closing bracket: user time is the 12th, system time the 13th.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
