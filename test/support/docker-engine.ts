// The Docker engine as tests use it: the command line with a deadline, and a sandbox that removes all it started.
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface CommandResult {
  /** Exit code; null when a signal, such as that of the deadline, ended the command. */
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  deadlineMs?: number;
  /** Added to the environment of the client: `-e NAME` without a value then keeps the value out of argv. */
  env?: Record<string, string>;
  signal?: AbortSignal;
  /** Goes to standard input, which ends with it. */
  input?: string;
  cwd?: string;
}

/** Runs a program and returns how it ended; never throws for an exit code. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { deadlineMs = 60_000, env, signal, input, cwd } = options;
  return new Promise((resolve, reject) => {
    const settings = { timeout: deadlineMs, maxBuffer: 64 * 1024 * 1024, signal, cwd, env: { ...process.env, ...env } };
    const child = execFile(program, args, settings, (error, stdout, stderr) => {
      // A string code is the system's (no such program) or the abort's: the command did not run to any end.
      const code = error ? (error.code ?? null) : 0;
      if (typeof code === "string") reject(error);
      else resolve({ code, stdout, stderr });
    });
    if (input !== undefined) child.stdin?.end(input);
  });
}

/** Runs the docker client and returns how it ended; never throws for an exit code. */
export function tryDocker(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return runProgram("docker", args, options);
}

/** Runs the docker client and returns what it printed, without the last newline; throws when it fails. */
export async function docker(args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await tryDocker(args, options);
  if (result.code !== 0) {
    throw new Error(`docker ${args.join(" ")}: ended with ${result.code ?? "a signal"}: ${result.stderr.trim()}`);
  }
  return result.stdout.trimEnd();
}

export interface Sandbox {
  /** `docker run --detach` with the sandbox's label; returns the container's id. */
  run(args: readonly string[], options?: CommandOptions): Promise<string>;
  volume(): Promise<string>;
  network(): Promise<string>;
  /** A folder on this machine, to be mounted. */
  folder(): Promise<string>;
  /** Removes every container, volume, network and folder of this sandbox; safe to call twice. */
  remove(): Promise<void>;
}

/** Everything that is made through it carries one label of its own, so that clearing away touches nothing else. */
export function createSandbox(): Sandbox {
  const label = `sh.dflow.test=${randomUUID()}`;
  const folders: string[] = [];
  const listed = async (args: readonly string[]) =>
    (await docker([...args, "--quiet", "--filter", `label=${label}`])).split("\n").filter((id) => id !== "");

  return {
    run: (args, options) => docker(["run", "--detach", "--label", label, ...args], options),
    volume: () => docker(["volume", "create", "--label", label]),
    network: async () => {
      const name = `dflow-test-${randomUUID().slice(0, 8)}`;
      await docker(["network", "create", "--label", label, name]);
      return name;
    },
    folder: async () => {
      const path = await mkdtemp(join(tmpdir(), "dflow-test-"));
      folders.push(path);
      return path;
    },
    remove: async () => {
      const containers = await listed(["ps", "--all"]);
      // With --volumes, because the images' own volumes would stay behind without a name.
      if (containers.length > 0) await docker(["rm", "--force", "--volumes", ...containers]);
      const volumes = await listed(["volume", "ls"]);
      if (volumes.length > 0) await docker(["volume", "rm", "--force", ...volumes]);
      const networks = await listed(["network", "ls"]);
      if (networks.length > 0) await docker(["network", "rm", ...networks]);
      for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true });
    },
  };
}
