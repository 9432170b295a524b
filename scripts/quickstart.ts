/** The story of a quickstart (run by scripts/quickstart): engine, images, build, control plane, agent, demo. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { AGENT_NODE_FLAGS } from "./agent-flags.ts";
import { CONTROL_PLANE_NODE_FLAGS } from "./control-plane-flags.ts";

const ROOT = resolve(import.meta.dirname, "..");
const ADMIN_EMAIL = "admin@dflow.local";
const READY_MS = 30_000;
const ONLINE_MS = 60_000;
const DEPLOY_MS = 10 * 60_000;

interface Login {
  email: string;
  password: string;
  apiKey: string;
  workspaceId: string;
}

type Json = Record<string, unknown>;

const { values: flags } = parseArgs({
  options: {
    demo: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    stop: { type: "boolean", default: false },
    reset: { type: "boolean", default: false },
    port: { type: "string" },
  },
});

const home = resolve(process.env.DFLOW_HOME ?? join(ROOT, ".dflow"));
const paths = {
  home,
  controlPlane: join(home, "control-plane"),
  agent: join(home, "agent"),
  logs: join(home, "logs"),
  run: join(home, "run"),
  login: join(home, "admin.json"),
  config: join(home, "control-plane.json"),
  imageMap: join(home, "image-map.json"),
  token: join(home, "run", "enrolment-token"),
};

/** People read this on stderr, so that `--json` leaves stdout to the one line. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

class QuickstartError extends Error {}

function script(name: string, ...args: string[]): void {
  const result = spawnSync("bash", [join(ROOT, name), ...args], { stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new QuickstartError(`${name} failed with exit code ${result.status ?? "none"}.`);
}

function docker(...args: string[]): string {
  return execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 16 << 20 });
}

async function until<T>(what: string, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new QuickstartError(`${what} did not happen within ${timeoutMs / 1000} s.`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

// Our two processes. A pid file names a process of ours only if its command line still names our bundle and folder.

type ProcessName = "control-plane" | "agent";

function runningPid(name: ProcessName): number | undefined {
  const file = join(paths.run, `${name}.pid`);
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, "utf8"));
  try {
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return commandLine.includes(`${name}.mjs`) && commandLine.includes(home) ? pid : undefined;
  } catch {
    return undefined; // no such process: the machine was restarted or it was killed
  }
}

function start(name: ProcessName, args: string[]): void {
  const nodeFlags = name === "agent" ? AGENT_NODE_FLAGS : CONTROL_PLANE_NODE_FLAGS;
  const log = openSync(join(paths.logs, `${name}.log`), "a", 0o600);
  const child = spawn(process.execPath, [...nodeFlags, join(ROOT, "dist", `${name}.mjs`), ...args], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: home,
  });
  if (child.pid === undefined) throw new QuickstartError(`The ${name} could not be started.`);
  writeFileSync(join(paths.run, `${name}.pid`), String(child.pid));
  writeFileSync(join(paths.run, `${name}.build`), currentBuild());
  child.unref();
}

/** After an update the running process is of an older build: it is ended, so that the new one starts. */
async function stopIfOutdated(name: ProcessName): Promise<void> {
  const file = join(paths.run, `${name}.build`);
  const started = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (runningPid(name) === undefined || started === currentBuild()) return;
  say(`The ${name} is of an older build; it is restarted.`);
  await stop(name);
}

function currentBuild(): string {
  return readFileSync(join(ROOT, "dist/.sources"), "utf8");
}

/** Runs a subcommand that ends by itself; what it prints is for the person. */
function once(name: ProcessName, args: string[]): void {
  const result = spawnSync(process.execPath, [join(ROOT, "dist", `${name}.mjs`), ...args], { stdio: ["ignore", 2, 2] });
  if (result.status !== 0)
    throw new QuickstartError(`${name} ${args[0]} ended with exit code ${result.status ?? "none"}.`);
}

async function stop(name: ProcessName): Promise<boolean> {
  const pid = runningPid(name);
  if (pid === undefined) return false;
  process.kill(pid, "SIGTERM");
  const ended = await until(`The end of the ${name}`, 15_000, async () =>
    runningPid(name) === undefined ? true : undefined,
  ).catch(() => false);
  if (!ended) process.kill(pid, "SIGKILL");
  rmSync(join(paths.run, `${name}.pid`), { force: true });
  return true;
}

/** What runs between two requests stops this process; a connection that is kept may be closed by then. */
const UNKEPT = { connection: "close" };

// The API, as any program would use it.

function api(url: string, login: Login) {
  return async (method: string, path: string, body?: Json): Promise<Json> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${login.apiKey}`,
        ...UNKEPT,
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const answer = (await response.json()) as Json;
    if (!response.ok) {
      throw new QuickstartError(`${method} ${path}: ${answer.detail} ${answer.hint ?? ""}`.trim());
    }
    return answer;
  };
}
type Api = ReturnType<typeof api>;

async function items(call: Api, path: string): Promise<Json[]> {
  return (await call("GET", path)).items as Json[];
}

function chosenPort(): number {
  const before = existsSync(paths.config)
    ? (JSON.parse(readFileSync(paths.config, "utf8")) as { listen?: { port?: number } }).listen?.port
    : undefined;
  const port = flags.port === undefined ? (before ?? 3100) : Number(flags.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new QuickstartError("--port takes 1 to 65535.");
  return port;
}

async function ensureControlPlane(port: number): Promise<{ url: string; login: Login }> {
  const url = `http://127.0.0.1:${port}`;
  once("control-plane", ["bootstrap", "--data-dir", paths.controlPlane, "--email", ADMIN_EMAIL, "--out", paths.login]);
  const login = JSON.parse(readFileSync(paths.login, "utf8")) as Login;
  const config = {
    listen: { host: "127.0.0.1", port },
    webDir: join(ROOT, "dist/web"),
    ...(existsSync(paths.imageMap) && { imageMap: paths.imageMap }),
  };
  writeFileSync(paths.config, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  await stopIfOutdated("control-plane");
  if (runningPid("control-plane") === undefined) {
    say(`Starting the control plane on ${url} …`);
    start("control-plane", ["serve", "--data-dir", paths.controlPlane, "--config", paths.config]);
  }
  await until("The control plane's readiness", READY_MS, async () => {
    if (runningPid("control-plane") === undefined) {
      throw new QuickstartError(`The control plane ended at once; its log: ${join(paths.logs, "control-plane.log")}`);
    }
    const response = await fetch(`${url}/readyz`, { headers: UNKEPT, signal: AbortSignal.timeout(2_000) }).catch(
      () => undefined,
    );
    return response?.ok ? true : undefined;
  });
  return { url, login };
}

async function ensureAgent(url: string, login: Login, call: Api): Promise<string> {
  if (!existsSync(join(paths.agent, "agent.json"))) {
    say("Adding this server …");
    const created = await call("POST", `/workspaces/${login.workspaceId}/enrolment-tokens`, {
      serverName: "this-server",
    });
    writeFileSync(paths.token, String(created.token), { mode: 0o600 });
    try {
      once("agent", ["enrol", "--url", url, "--data-dir", paths.agent, "--token-file", paths.token]);
    } finally {
      rmSync(paths.token, { force: true });
    }
  }
  await stopIfOutdated("agent");
  if (runningPid("agent") === undefined) {
    say("Starting the agent …");
    start("agent", ["run", "--data-dir", paths.agent]);
  }
  const agentId = agentIdentity();
  return until("The server's coming online", ONLINE_MS, async () => {
    if (runningPid("agent") === undefined) {
      throw new QuickstartError(`The agent ended at once; its log: ${join(paths.logs, "agent.log")}`);
    }
    const server = (await items(call, `/workspaces/${login.workspaceId}/servers`)).find(({ id }) => id === agentId);
    return server?.link === "online" ? agentId : undefined;
  });
}

function agentIdentity(): string {
  return (JSON.parse(readFileSync(join(paths.agent, "agent.json"), "utf8")) as { agentId: string }).agentId;
}

async function demo(url: string, login: Login, serverId: string, call: Api): Promise<void> {
  const applications = await items(call, `/workspaces/${login.workspaceId}/applications`);
  const application =
    applications.find(({ name }) => name === "Demo") ??
    (await call("POST", `/workspaces/${login.workspaceId}/applications`, { name: "Demo" }));
  const known = (application.environments as Json[] | undefined)?.find(({ name }) => name === "production");
  const environment =
    known ?? (await call("POST", `/applications/${application.id}/environments`, { name: "production", serverId }));
  const services = await items(call, `/environments/${environment.id}/services`);
  const service =
    services.find(({ name }) => name === "demo-db") ??
    (await call("POST", `/environments/${environment.id}/services`, {
      type: "database",
      engine: "postgres",
      name: "demo-db",
    }));
  if (service.deployedAt === null) {
    say("Deploying Postgres …");
    const open = service.openOperation as Json | null;
    const operation = open ?? (await call("POST", `/services/${service.id}/deploy`));
    const ended = await until("The deployment's end", DEPLOY_MS, async () => {
      const now = await call("GET", `/operations/${operation.id}`);
      return now.endedAt === null ? undefined : now;
    });
    if (ended.state !== "succeeded") {
      const error = ended.error as Json | null;
      throw new QuickstartError(`The deployment ended as ${ended.state}: ${error?.message ?? ""} ${error?.hint ?? ""}`);
    }
  }
  const credentials = await call("GET", `/services/${service.id}/credentials`);
  const current = await call("GET", `/services/${service.id}`);
  say(`Asking ${service.name} from a client container in its environment …`);
  const version = askVersion(String(credentials.uri), String(environment.id), String(current.image));
  say(`\nselect version()\n  ${version}\n\nThe service's page: ${url}/services/${service.id}`);
}

/** The uri goes in by standard input: neither argv nor the environment of any process shows the password. */
function askVersion(uri: string, environmentId: string, image: string): string {
  const client = `
    umask 077
    IFS= read -r uri
    rest="\${uri#*://}"; login="\${rest%%@*}"; place="\${rest#*@}"
    printf '*:*:*:*:%s\\n' "\${login#*:}" > /tmp/pgpass
    PGPASSFILE=/tmp/pgpass exec psql -X -A -t -w -c 'select version()' "\${uri%%://*}://\${login%%:*}@$place"`;
  const result = spawnSync(
    "docker",
    ["run", "--rm", "-i", "--network", `dflow-env-${environmentId}`, "--entrypoint", "sh", image, "-c", client],
    { input: `${uri}\n`, encoding: "utf8", timeout: 60_000 },
  );
  if (result.status !== 0) throw new QuickstartError(`The client could not ask the database: ${result.stderr}`);
  return result.stdout.trim();
}

async function reset(): Promise<void> {
  const agentId = existsSync(join(paths.agent, "agent.json")) ? agentIdentity() : undefined;
  if (process.stdin.isTTY) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    const answer = await terminal.question(
      `This removes every database that this agent runs, with its data, and the files in ${home}.\nType yes to go on: `,
    );
    terminal.close();
    if (answer.trim() !== "yes") {
      say("Nothing was removed.");
      return;
    }
  }
  await stop("agent");
  await stop("control-plane");
  if (agentId !== undefined) {
    script("scripts/docker-engine");
    const label = `label=sh.dflow.agent=${agentId}`;
    const containers = docker("ps", "-aq", "--filter", label).split("\n").filter(Boolean);
    if (containers.length > 0) docker("rm", "-f", "-v", ...containers);
    const volumes = docker("volume", "ls", "-q", "--filter", label).split("\n").filter(Boolean);
    if (volumes.length > 0) docker("volume", "rm", ...volumes);
    const networks = docker("network", "ls", "-q", "--filter", label).split("\n").filter(Boolean);
    if (networks.length > 0) docker("network", "rm", ...networks);
    say(`Removed ${containers.length} containers, ${volumes.length} volumes, ${networks.length} networks.`);
  }
  for (const path of [
    paths.controlPlane,
    paths.agent,
    paths.logs,
    paths.run,
    paths.login,
    paths.config,
    paths.imageMap,
  ]) {
    rmSync(path, { recursive: true, force: true });
  }
  say(`Removed our files in ${home}.`);
}

async function main(): Promise<void> {
  if (flags.stop) {
    const ended = [await stop("agent"), await stop("control-plane")].some(Boolean);
    say(
      ended
        ? "Control plane and agent have ended. Databases keep running."
        : "Nothing of ours was running. Databases keep running.",
    );
    return;
  }
  if (flags.reset) return reset();

  const port = chosenPort();
  for (const directory of [paths.home, paths.logs, paths.run]) mkdirSync(directory, { recursive: true, mode: 0o700 });
  script("scripts/docker-engine");
  script("scripts/build");
  script("test/images/build", "--map", paths.imageMap, "postgres", "18");
  const { url, login } = await ensureControlPlane(port);
  const call = api(url, login);
  const serverId = await ensureAgent(url, login, call);
  if (flags.demo) await demo(url, login, serverId, call);
  say(
    `\ndFlow runs at ${url}\n  sign in as  ${login.email}\n  password    ${login.password}\n  (kept in ${paths.login})`,
  );
  if (flags.json) {
    const { email, password, apiKey, workspaceId } = login;
    process.stdout.write(`${JSON.stringify({ url, email, password, apiKey, workspaceId, serverId })}\n`);
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof QuickstartError)) throw error;
  say(`\nquickstart: ${error.message}`);
  process.exitCode = 1;
}
