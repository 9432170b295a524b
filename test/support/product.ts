/** The whole product for a test: both bundles as real processes on free ports, in a folder of their own. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ImageMap, Operation, Problem, Service } from "@dflow/protocol";
import { AGENT_NODE_FLAGS } from "../../scripts/agent-flags.ts";
import { CONTROL_PLANE_NODE_FLAGS } from "../../scripts/control-plane-flags.ts";
import { tryDocker as runDocker } from "./docker-engine.ts";
import type { LinkProxy } from "./link-proxy.ts";
import type { OwnEngine } from "./own-engine.ts";
import { until } from "./until.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** An image for each way that a deploy can fail, beside the versions that could be had. */
const FAILING: ImageMap[string] = {
  "18-never-ready": { image: "dflow-test/never-ready:1", standIn: true },
  "18-exits": { image: "dflow-test/exits:1", standIn: true },
  "18-absent": { image: "127.0.0.1:9/nobody/postgres:18" },
};

export interface Answer<T> {
  status: number;
  body: T;
}

export interface Process {
  readonly name: string;
  readonly pid: number | undefined;
  start(): void;
  /** kill -9, and the wait for its end. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  /** False before the start and once the process has ended, however it did. */
  isAlive(): boolean;
  /** How it ended without being told to; undefined while it runs, and after `kill` and `stop`. */
  endedByItself(): string | undefined;
  log(): string;
}

export interface Product {
  url: string;
  login: { email: string; password: string; apiKey: string; workspaceId: string };
  serverId: string;
  home: string;
  /** What the docker client needs in its environment to reach this product's engine. */
  dockerEnv: Record<string, string>;
  controlPlane: Process;
  agent: Process;
  /** Any request with the admin's API key; throws on a status other than 2xx. */
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  /** The same without judging the status; `key` replaces the admin's. */
  ask<T = Record<string, unknown>>(method: string, path: string, body?: unknown, key?: string): Promise<Answer<T>>;
  /** From now on requests take turns with so many keys: the API allows each of them a number of requests a minute. */
  spreadOver(count: number): Promise<void>;
  environment(name?: string): Promise<string>;
  createService(environmentId: string, name: string, extra?: Record<string, unknown>): Promise<Service>;
  /** Posts an action and waits for the operation's end. */
  run(serviceId: string, action: "deploy" | "restart" | "stop" | "check", body?: unknown): Promise<Operation>;
  ended(operationId: string, timeoutMs?: number): Promise<Operation>;
  log(operationId: string): Promise<string[]>;
  service(serviceId: string): Promise<Service>;
  stop(): Promise<void>;
}

export interface ProductOptions {
  agentConfig?: Record<string, unknown>;
  controlPlaneConfig?: Record<string, unknown>;
  images?: ImageMap[string];
  /** Both processes have crash points; each has its folder, `<home>/crash-<name>` (test/crash). */
  crashPoints?: boolean;
  /** Instead of the machine's engine. */
  engine?: Pick<OwnEngine, "socketPath" | "env">;
  /** Between agent and control plane; it is aimed here. */
  link?: Pick<LinkProxy, "url" | "aim">;
  /** Before anything is written into the product's folder, and after all that was in it has ended. */
  home?: { prepare(home: string): void; release(): void };
}

/** The newest Postgres version that this machine has an image of. */
export function imageMap(): ImageMap {
  const path = process.env.DFLOW_TEST_IMAGE_MAP;
  if (path === undefined) throw new Error("DFLOW_TEST_IMAGE_MAP is not set: run the tests by `npm test`");
  return JSON.parse(readFileSync(path, "utf8")) as ImageMap;
}

export function docker(...args: string[]): string {
  return dockerOf({}, ...args);
}

/** The same with an engine of the test's own. */
export function dockerOf(dockerEnv: Record<string, string>, ...args: string[]): string {
  const env = { ...process.env, ...dockerEnv };
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  return execFileSync("docker", args, { encoding: "utf8", stdio, env, maxBuffer: 32 << 20 });
}

/** `docker …` with what it printed and its exit code, for what is expected to fail. Never blocks this process. */
export async function tryDocker(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; output: string }> {
  const { code, stdout, stderr } = await runDocker(args, { env });
  return { code, output: `${stdout}${stderr}` };
}

/** psql in a container of its own on an environment's network. */
export function psql(
  environmentId: string,
  uri: string,
  sql: string,
  dockerEnv: Record<string, string> = {},
): Promise<{ code: number | null; output: string }> {
  const args = [
    ...["run", "--rm", "--network", `dflow-env-${environmentId}`, "--entrypoint", "psql"],
    ...["-e", "PGCONNECT_TIMEOUT=5", clientImage(), "-X", "-A", "-t", "-w", "-c", sql, uri],
  ];
  return tryDocker(args, dockerEnv);
}

export function clientImage(): string {
  const versions = imageMap().postgres ?? {};
  return versions["18"]?.image ?? versions["17"]?.image ?? "postgres:18-trixie";
}

export function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolvePort(address.port) : reject(new Error("no port")),
      );
    });
  });
}

/** `name` is the bundle's; `logName` tells two processes of it apart. */
export function createProcess(
  name: string,
  args: string[],
  home: string,
  logName: string = name,
  env: Record<string, string> = {},
): Process {
  const logPath = join(home, `${logName}.log`);
  let child: ChildProcess | undefined;
  let told = false;
  const isAlive = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const gone = async (signal: NodeJS.Signals): Promise<void> => {
    const current = child;
    told = true;
    if (current === undefined || !isAlive()) return;
    const exited = new Promise<void>((done) => current.once("exit", () => done()));
    current.kill(signal);
    const timer = setTimeout(() => current.kill("SIGKILL"), 15_000);
    await exited;
    clearTimeout(timer);
  };
  return {
    name,
    get pid() {
      return child?.pid;
    },
    start() {
      told = false;
      const nodeFlags = name === "agent" ? AGENT_NODE_FLAGS : CONTROL_PLANE_NODE_FLAGS;
      const log = openSync(logPath, "a", 0o600);
      child = spawn(process.execPath, [...nodeFlags, join(ROOT, `dist/${name}.mjs`), ...args], {
        stdio: ["ignore", log, log],
        cwd: home,
        env: { ...process.env, ...env },
      });
    },
    kill: () => gone("SIGKILL"),
    stop: () => gone("SIGTERM"),
    isAlive,
    endedByItself() {
      if (told || child === undefined || isAlive()) return undefined;
      return child.signalCode ?? `exit code ${child.exitCode}`;
    },
    log: () => readFileSync(logPath, "utf8"),
  };
}

export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const home = mkdtempSync(join(tmpdir(), "dflow-test-"));
  options.home?.prepare(home);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  options.link?.aim(port);
  const map: ImageMap = { postgres: { ...imageMap().postgres, ...FAILING, ...options.images } };
  writeFileSync(join(home, "images.json"), JSON.stringify(map));
  writeFileSync(
    join(home, "control-plane.json"),
    JSON.stringify({
      listen: { host: "127.0.0.1", port },
      // An agent signs the address that it dials, so that one has to be the control plane's own.
      ...(options.link === undefined ? {} : { publicUrl: options.link.url }),
      webDir: join(ROOT, "dist/web"),
      imageMap: join(home, "images.json"),
      heartbeatMs: 1_000,
      linkDeadlineMs: 5_000,
      ...options.controlPlaneConfig,
    }),
  );
  const data = join(home, "control-plane");
  const loginFile = join(home, "admin.json");
  await bundle("control-plane", ["bootstrap", "--data-dir", data, "--email", "admin@example.test", "--out", loginFile]);
  const login = JSON.parse(readFileSync(loginFile, "utf8")) as Product["login"];
  const crashEnv = (name: string): Record<string, string> => {
    if (options.crashPoints !== true) return {};
    const folder = join(home, `crash-${name}`);
    mkdirSync(folder);
    return { DFLOW_CRASH_POINTS: folder };
  };
  const controlPlane = createProcess(
    "control-plane",
    ["serve", "--data-dir", data, "--config", join(home, "control-plane.json")],
    home,
    "control-plane",
    crashEnv("control-plane"),
  );
  controlPlane.start();

  const keys = [login.apiKey];
  let asked = 0;
  const ask: Product["ask"] = async <T>(method: string, path: string, body?: unknown, given?: string) => {
    asked += 1;
    const key = given ?? keys[asked % keys.length];
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as T };
  };
  const call: Product["call"] = async <T>(method: string, path: string, body?: unknown) => {
    const answer = await ask<T>(method, path, body);
    if (answer.status >= 300) {
      const problem = answer.body as unknown as Problem;
      throw new Error(
        `${method} ${path}: ${answer.status} ${problem.code}: ${problem.detail} ${JSON.stringify(problem.errors ?? "")}`,
      );
    }
    return answer.body;
  };

  await until("control plane ready", async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok);
  const agentDirectory = join(home, "agent");
  const token = await call<{ token: string }>("POST", `/workspaces/${login.workspaceId}/enrolment-tokens`, {
    serverName: "test-server",
  });
  writeFileSync(join(home, "token"), token.token, { mode: 0o600 });
  await bundle("agent", [
    "enrol",
    "--url",
    options.link?.url ?? url,
    "--data-dir",
    agentDirectory,
    "--token-file",
    join(home, "token"),
  ]);
  writeFileSync(
    join(agentDirectory, "config.json"),
    JSON.stringify({
      readyTimeoutMs: 60_000,
      observeMs: 1_000,
      ...(options.engine === undefined ? {} : { dockerSocket: options.engine.socketPath }),
      ...options.agentConfig,
    }),
  );
  const { agentId: serverId } = JSON.parse(readFileSync(join(agentDirectory, "agent.json"), "utf8")) as {
    agentId: string;
  };
  const agent = createProcess("agent", ["run", "--data-dir", agentDirectory], home, "agent", crashEnv("agent"));
  agent.start();
  await until("agent online", async () => (await call("GET", `/servers/${serverId}`)).link === "online");

  const ended: Product["ended"] = (operationId, timeoutMs = 120_000) =>
    until(
      `end of operation ${operationId}`,
      async () => {
        const operation = await call<Operation>("GET", `/operations/${operationId}`).catch((error: Error) => {
          // The control plane may be down for a moment in a test that kills it.
          if (/fetch failed|ECONNREFUSED|other side closed/.test(`${error.message} ${String(error.cause)}`))
            return undefined;
          throw error;
        });
        return operation?.endedAt ? operation : undefined;
      },
      timeoutMs,
    );

  return {
    url,
    login,
    serverId,
    home,
    dockerEnv: options.engine?.env ?? {},
    controlPlane,
    agent,
    ask,
    call,
    ended,
    async spreadOver(count) {
      const path = `/workspaces/${login.workspaceId}/api-keys`;
      while (keys.length < count) {
        const body = { name: `key ${keys.length}`, role: "admin", expiresInDays: 1 };
        keys.push((await call<{ key: string }>("POST", path, body)).key);
      }
    },
    async environment(name = "production") {
      const application = await call("POST", `/workspaces/${login.workspaceId}/applications`, { name: `App ${name}` });
      const environment = await call("POST", `/applications/${application.id}/environments`, { name, serverId });
      return String(environment.id);
    },
    createService: (environmentId, name, extra = {}) =>
      call<Service>("POST", `/environments/${environmentId}/services`, {
        type: "database",
        engine: "postgres",
        ...defaultVersion(),
        name,
        ...extra,
      }),
    async run(serviceId, action, body) {
      const operation = await call<Operation>("POST", `/services/${serviceId}/${action}`, body);
      return ended(operation.id);
    },
    async log(operationId) {
      const log = await call<{ lines: { text: string }[] }>("GET", `/operations/${operationId}/log`);
      return log.lines.map((line) => line.text);
    },
    service: (serviceId) => call<Service>("GET", `/services/${serviceId}`),
    async stop() {
      await agent.stop();
      await controlPlane.stop();
      try {
        removeObjects(serverId, options.engine?.env ?? {});
      } finally {
        options.home?.release();
        rmSync(home, { recursive: true, force: true });
      }
    },
  };
}

/** Nothing when the catalogue's default can be had here, else the newest version that can. */
function defaultVersion(): { version?: string } {
  const versions = Object.keys(imageMap().postgres ?? {});
  if (versions.length === 0 || versions.includes("18")) return {};
  const newest = versions.sort().at(-1);
  return newest === undefined ? {} : { version: newest };
}

/** Not synchronous: a link proxy of this process has to go on meanwhile. */
function bundle(name: string, args: string[]): Promise<void> {
  return new Promise((done, failed) => {
    execFile(process.execPath, [join(ROOT, `dist/${name}.mjs`), ...args], { timeout: 60_000 }, (error, out, err) => {
      if (error === null) done();
      else failed(new Error(`${name} ${args[0]}: exit ${error.code}: ${out}${err}`));
    });
  });
}

/** Everything in Docker that carries an agent's label, by kind. */
export function objectsOf(
  agentId: string,
  dockerEnv: Record<string, string> = {},
): { containers: string[]; volumes: string[]; networks: string[] } {
  const run = (...args: string[]) => dockerOf(dockerEnv, ...args);
  const filter = ["--filter", `label=sh.dflow.agent=${agentId}`];
  const lines = (text: string) => text.split("\n").filter(Boolean);
  return {
    containers: lines(run("ps", "-a", "--format", "{{.Names}}", ...filter)),
    volumes: lines(run("volume", "ls", "-q", ...filter)),
    networks: lines(run("network", "ls", "--format", "{{.Name}}", ...filter)),
  };
}

function removeObjects(agentId: string, dockerEnv: Record<string, string>): void {
  const { containers, volumes, networks } = objectsOf(agentId, dockerEnv);
  if (containers.length > 0) dockerOf(dockerEnv, "rm", "-f", "-v", ...containers);
  if (volumes.length > 0) dockerOf(dockerEnv, "volume", "rm", "-f", ...volumes);
  if (networks.length > 0) dockerOf(dockerEnv, "network", "rm", ...networks);
}
