/** A fresh Debian with systemd in a container, on this machine's network, with this machine's Docker engine by its socket. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { type CommandResult, docker, tryDocker } from "./docker-engine.ts";
import { until } from "./until.ts";

export interface SystemdMachine {
  /** The container's name. */
  name: string;
  run(...command: string[]): Promise<CommandResult>;
  /** Runs a command at a terminal and types each answer when its question is on the screen. */
  atTerminal(command: string, answers: readonly Answer[]): Promise<{ code: number | null; screen: string }>;
  remove(): Promise<void>;
}

export interface Answer {
  /** Looked for in what came to the screen since the last answer. */
  question: string;
  answer: string;
}

/** `dataDir` has the same path on both: the engine binds the agent's files into databases. */
export async function startSystemdMachine(dataDir: string): Promise<SystemdMachine> {
  const name = `dflow-test-systemd-${randomBytes(4).toString("hex")}`;
  const run: SystemdMachine["run"] = (...command) => tryDocker(["exec", name, ...command], { deadlineMs: 150_000 });
  await docker([
    ...["run", "-d", "--name", name, "--network", "host", "--cgroupns", "private"],
    ...["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
    ...["-v", `${cgroupRoot()}:/sys/fs/cgroup`, "--tmpfs", "/run", "--tmpfs", "/tmp"],
    ...["-v", "/var/run/docker.sock:/run/docker.sock", "-v", `${dataDir}:${dataDir}`, "dflow-test/systemd:1"],
  ]);
  await until("systemd is up", async () =>
    /running|degraded/.test((await run("systemctl", "is-system-running")).stdout),
  );
  return {
    name,
    run,
    atTerminal: (command, answers) => atTerminal(name, command, answers),
    async remove() {
      await tryDocker(["rm", "-f", "-v", name]);
    },
  };
}

function atTerminal(machine: string, command: string, answers: readonly Answer[]) {
  const child = spawn("docker", ["exec", "-i", machine, "script", "-qec", command, "/dev/null"]);
  let screen = "";
  let readTo = 0;
  const waiting = [...answers];
  child.stdout.on("data", (chunk) => {
    screen += chunk;
    const [next] = waiting;
    if (next === undefined || !screen.slice(readTo).includes(next.question)) return;
    waiting.shift();
    readTo = screen.length;
    // A question for a secret is on the screen a moment before the terminal is silent.
    setTimeout(() => child.stdin.write(`${next.answer}\n`), 300);
  });
  child.stderr.on("data", (chunk) => {
    screen += chunk;
  });
  return new Promise<{ code: number | null; screen: string }>((done) => {
    const deadline = setTimeout(() => child.kill("SIGKILL"), 150_000);
    child.on("close", (code) => {
      clearTimeout(deadline);
      done({ code, screen });
    });
  });
}

/** Where this machine has control groups of version 2. */
function cgroupRoot(): string {
  const mount = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([, at, kind]) => kind === "cgroup2" && at?.startsWith("/sys/fs/cgroup"));
  return mount?.[1] ?? "/sys/fs/cgroup";
}
