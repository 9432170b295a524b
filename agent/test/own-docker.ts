/** A Docker engine of the test's own, in network and mount namespaces of its own, whose host asks a resolver of ours. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS = 30_000;
const RETRY_MS = 200;

/** Why this machine cannot run one; undefined where it can. */
export function whyNoOwnDocker(): string | undefined {
  if (process.getuid?.() !== 0) return "an engine of its own needs root";
  const missing = ["unshare", "nsenter", "dockerd", "ip"].find((name) => spawnSync("which", [name]).status !== 0);
  return missing === undefined ? undefined : `there is no ${missing} here`;
}

export interface OwnDocker {
  socketPath: string;
  /** The docker CLI on it, within a deadline; throws with its words when it fails. */
  cli(...args: string[]): string;
  /** Names that were asked for at the host's resolver since it began. */
  questions(): string[];
  stop(): Promise<void>;
}

/** `image` is copied from the machine's engine. */
export async function startOwnDocker(image: string): Promise<OwnDocker> {
  const folder = mkdtempSync(join(tmpdir(), "dflow-docker-"));
  const [socketPath, log, asked] = [join(folder, "docker.sock"), join(folder, "log"), join(folder, "asked")];
  // As on a host with a resolver on its loopback: the one case in which the engine itself asks for its containers.
  writeFileSync(join(folder, "resolv.conf"), "nameserver 127.0.0.1\n");
  writeFileSync(asked, "");
  const script = [
    "ip link set lo up",
    'mount --bind "$0/resolv.conf" /etc/resolv.conf',
    '"$1" "$2" "$0/asked" &',
    'exec dockerd --data-root "$0/data" --exec-root "$0/exec" -H "unix://$0/docker.sock" --pidfile "$0/pid" >"$0/log" 2>&1',
  ].join("\n");
  const resolver = join(import.meta.dirname, "resolver.ts");
  const args = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const child = spawn("unshare", [...args, "sh", "-c", script, folder, process.execPath, resolver], {
    stdio: "inherit",
  });
  const cli = (...command: string[]) => run("docker", ["-H", `unix://${socketPath}`, ...command]);
  const stop = async () => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    for (const untilMs = Date.now() + START_MS; ; ) {
      if (spawnSync("docker", ["-H", `unix://${socketPath}`, "version"], { timeout: 5_000 }).status === 0) break;
      if (child.exitCode !== null || Date.now() > untilMs) throw new Error(`no engine: ${readFileSync(log, "utf8")}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    run("sh", ["-c", 'docker save "$0" | docker -H "$1" load', image, `unix://${socketPath}`]);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    socketPath,
    cli,
    questions: () => readFileSync(asked, "utf8").split("\n").filter(Boolean),
    async stop() {
      // By the engine itself, or their cgroups would stay.
      const containers = cli("ps", "-aq").split("\n").filter(Boolean);
      if (containers.length > 0) cli("rm", "-f", ...containers);
      await stop();
    },
  };
}

function run(command: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 120_000 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${status}: ${stderr}`);
  return stdout.trim();
}

/** The namespaces' first process ends with it, and so does everything in them. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exited;
}
