/**
 * A Docker engine of the test's own, which it may kill: dockerd and containerd in a network namespace and folders of their
 * own, so that nothing of the machine's engine is touched. Needs root. Its images come from the machine's engine; a data
 * folder that holds them is kept under .dflow/ and copied, because loading takes ten times as long.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, openSync, readFileSync } from "node:fs";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { docker, tryDocker } from "./docker-engine.ts";
import { until } from "./until.ts";

const TEMPLATES = resolve(import.meta.dirname, "../../.dflow/engines");
const MEMORY = "/dev/shm";
/** An image unpacked, and the volumes of some twenty fresh databases, twice over. */
const ROOM_BYTES = 6 * 1024 ** 3;
const ANSWER_MS = 60_000;
const END_MS = 30_000;

export interface OwnEngine {
  socketPath: string;
  /** For the docker client's environment. */
  env: { DOCKER_HOST: string };
  /** Returns when the engine answers. After a kill it starts over what was left. */
  start(): Promise<void>;
  /**
   * kill -9. With "daemon" only dockerd dies; containerd and the containers go on. With "everything" containerd, the shims
   * and what ran in the containers die too.
   */
  kill(what: "daemon" | "everything"): Promise<void>;
  /** Ends it and removes all that it made. Safe to call twice. */
  remove(): Promise<void>;
  log(): string;
}

/** Why this machine cannot have one, as the reason of a skipped test; undefined when it can. */
export function whyNoOwnEngine(): string | undefined {
  if (process.getuid?.() !== 0) return "an engine of the test's own needs root";
  const missing = ["dockerd", "containerd", "nsenter", "ip", "perl"].find((program) => !isInPath(program));
  return missing === undefined ? undefined : `an engine of the test's own needs ${missing}`;
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, program)));
}

export interface OwnEngineOptions {
  /**
   * As under systemd: something else holds the socket, and starts dockerd again as soon as it is dead. Whoever asks meanwhile
   * waits for an answer. Only "daemon" can be killed then.
   */
  heldSocket?: boolean;
}

/** With the images in it, and started. */
export async function startOwnEngine(images: readonly string[], options: OwnEngineOptions = {}): Promise<OwnEngine> {
  const template = await templateOf(images);
  const engine = await engineIn(template, options);
  try {
    await engine.start();
  } catch (error) {
    await engine.remove();
    throw error;
  }
  return engine;
}

/** Named after the images' ids, so that one that was built anew is not taken for the old one. */
async function templateOf(images: readonly string[]): Promise<string> {
  const ids = await docker(["image", "inspect", "--format", "{{.Id}}", ...images]);
  const name = createHash("sha256").update(`${images.join()} ${ids}`).digest("hex").slice(0, 16);
  const path = join(TEMPLATES, name);
  if (await exists(path)) return path;
  await mkdir(TEMPLATES, { recursive: true });
  const archive = join(TEMPLATES, `${name}-${process.pid}.tar`);
  const engine = await engineIn(undefined, {});
  try {
    await docker(["save", "--output", archive, ...images], { deadlineMs: 300_000 });
    await engine.start();
    await docker(["load", "--quiet", "--input", archive], { env: engine.env, deadlineMs: 300_000 });
    await engine.end();
    await run("cp", ["-a", engine.dataRoot, `${path}-${process.pid}`]);
    // Another process may have been faster, with the same content.
    if (!(await exists(path))) await rename(`${path}-${process.pid}`, path);
  } finally {
    await engine.remove();
    await rm(archive, { force: true });
    await rm(`${path}-${process.pid}`, { recursive: true, force: true });
  }
  return path;
}

/** Systemd's part in a few lines: the socket is descriptor 3, and the variables say so to the process that gets it. */
const KEEPER = `
use Socket; use POSIX (); $^F = 9;
my ($path, $pidfile, @command) = @ARGV; my ($pid, $ending);
socket(my $held, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($held, sockaddr_un($path)) or die "bind: $!"; listen($held, 128) or die "listen: $!";
POSIX::dup2(fileno($held), 3);
$SIG{TERM} = sub { $ending = 1; kill "TERM", $pid };
until ($ending) {
  unlink $pidfile;
  $pid = fork() // die "fork: $!";
  if ($pid == 0) { $ENV{LISTEN_FDS} = 1; $ENV{LISTEN_PID} = $$; exec(@command) or die "exec: $!" }
  while (waitpid($pid, 0) != $pid) {}
}`;

async function engineIn(template: string | undefined, { heldSocket = false }: OwnEngineOptions) {
  const home = await mkdtemp(join(await roomyFolder(), "dflow-engine-"));
  const namespace = basename(home);
  const dataRoot = join(home, "data");
  const socketPath = join(home, "docker.sock");
  const containerdSocket = join(home, "containerd.sock");
  const logPath = join(home, "engine.log");
  const pidFile = join(home, "docker.pid");
  const env = { DOCKER_HOST: `unix://${socketPath}` };
  let containerd: ChildProcess | undefined;
  let dockerd: ChildProcess | undefined;
  let removed = false;

  if (template !== undefined) await run("cp", ["-a", template, dataRoot]);
  await writeFile(join(home, "containerd.toml"), containerdConfig(home, containerdSocket));
  await run("ip", ["netns", "add", namespace]);
  await run("nsenter", [`--net=/run/netns/${namespace}`, "ip", "link", "set", "lo", "up"]);

  /** By nsenter and not by `ip netns exec`, which mounts another /sys and so hides the cgroups. */
  const inNamespace = ["nsenter", `--net=/run/netns/${namespace}`];
  const launch = (...command: string[]): ChildProcess => {
    const log = openSync(logPath, "a", 0o600);
    const [program = "", ...args] = command;
    // A session of its own: Ctrl-C in the terminal must not end it before the test has cleared away.
    return spawn(program, args, { stdio: ["ignore", log, log], detached: true });
  };

  const launchDockerd = (): ChildProcess => {
    const folders = ["--data-root", dataRoot, "--exec-root", join(home, "exec"), "--pidfile", pidFile];
    const host = heldSocket ? "fd://" : `unix://${socketPath}`;
    const rest = ["--host", host, "--containerd", containerdSocket, "--log-level", "warn"];
    const command = [...inNamespace, "dockerd", ...folders, ...rest];
    return heldSocket ? launch("perl", "-e", KEEPER, socketPath, pidFile, ...command) : launch(...command);
  };

  const start = async () => {
    if (!isAlive(containerd)) {
      containerd = launch(
        ...inNamespace,
        "containerd",
        "--config",
        join(home, "containerd.toml"),
        "--log-level",
        "warn",
      );
      await until("containerd to listen", () => listens(containerdSocket), ANSWER_MS);
    }
    if (!heldSocket || !isAlive(dockerd)) {
      // Of a killed one; its process id may be another's by now.
      await rm(pidFile, { force: true });
      dockerd = launchDockerd();
    }
    await until(
      "the test's own engine to answer",
      async () => {
        if (!isAlive(dockerd)) throw new Error(`dockerd ended: ${readFileSync(logPath, "utf8").slice(-2_000)}`);
        return (await tryDocker(["version"], { env, deadlineMs: 10_000 })).code === 0;
      },
      ANSWER_MS,
    );
  };

  const kill = async (what: "daemon" | "everything") => {
    if (heldSocket && what === "daemon") return killProcess(Number(await readFile(pidFile, "utf8")));
    await end(dockerd, "SIGKILL");
    if (what === "daemon") return;
    // Containerd first, so that it sees nothing of what follows and writes nothing down of it.
    await end(containerd, "SIGKILL");
    const shims = await shimsOf(containerdSocket);
    const pids = [...(await Promise.all(shims.map(childrenOf))).flat(), ...shims];
    for (const pid of pids) killProcess(pid);
    await until("the end of the containers", async () => !(await Promise.all(pids.map(runs))).includes(true));
  };

  return {
    socketPath,
    env,
    dataRoot,
    start,
    kill,
    log: () => readFileSync(logPath, "utf8"),
    /** In order, with the containers removed. */
    async end() {
      if (isAlive(dockerd)) {
        const ids = (await docker(["ps", "--all", "--quiet"], { env })).split("\n").filter((id) => id !== "");
        if (ids.length > 0) await tryDocker(["rm", "--force", "--volumes", ...ids], { env });
      }
      await end(dockerd, "SIGTERM");
      await end(containerd, "SIGTERM");
    },
    async remove() {
      if (removed) return;
      removed = true;
      await this.end();
      await kill("everything");
      for (const point of await mountsUnder(home)) await run("umount", ["--lazy", point]);
      await run("ip", ["netns", "delete", namespace]);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** In memory where there is room: databases wait for their disk most of the time, and nothing here has to outlive it. */
async function roomyFolder(): Promise<string> {
  if (!(await exists(MEMORY))) return tmpdir();
  const { bavail, bsize } = await statfs(MEMORY);
  return bavail * bsize > ROOM_BYTES ? MEMORY : tmpdir();
}

function containerdConfig(home: string, socket: string): string {
  return [
    "version = 2",
    `root = "${home}/containerd"`,
    `state = "${home}/containerd-state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    "[grpc]",
    `  address = "${socket}"`,
    "",
  ].join("\n");
}

async function run(program: string, args: string[]): Promise<void> {
  await promisify(execFile)(program, args, { timeout: 120_000 });
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** A socket's file outlives a killed process, so only an answer counts. */
function listens(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
}

const isAlive = (child: ChildProcess | undefined): child is ChildProcess =>
  child !== undefined && child.exitCode === null && child.signalCode === null;

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!isAlive(child)) return;
  const exited = new Promise((done) => child.once("exit", done));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
  await exited;
  clearTimeout(timer);
}

/** Only those of this engine: their command line names its containerd. */
async function shimsOf(containerdSocket: string): Promise<number[]> {
  const shims: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const argv = (await readProc(`/proc/${name}/cmdline`)).split("\0");
    if (/containerd-shim/.test(argv[0] ?? "") && argv.includes(containerdSocket)) shims.push(Number(name));
  }
  return shims;
}

async function childrenOf(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = /^PPid:\s+(\d+)$/m.exec(await readProc(`/proc/${name}/status`))?.[1];
    if (Number(parent) === pid) children.push(Number(name));
  }
  return children;
}

/** A process may end while it is read about. */
async function readProc(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (/ENOENT|ESRCH/.test(String(error))) return "";
    throw error;
  }
}

/** A zombie runs no more, though its entry may wait long for whoever should read its exit code. */
async function runs(pid: number): Promise<boolean> {
  const state = /^State:\s+(\S)/m.exec(await readProc(`/proc/${pid}/status`))?.[1];
  return state !== undefined && state !== "Z" && state !== "X";
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!/ESRCH/.test(String(error))) throw error;
  }
}

/** Innermost first. */
async function mountsUnder(folder: string): Promise<string[]> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  return mounts
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${folder}/`))
    .reverse();
}
