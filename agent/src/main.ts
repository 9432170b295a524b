/** The process: arguments, configuration, the real world, signals and exit codes. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AppError, createCrashPoint, isAppError, messageOf, type RoomEffects, whenThereIsRoom } from "@dflow/protocol";
import { pino } from "pino";
import { type AgentDeps, createAgent } from "./agent.ts";
import { type Config, dataPaths, loadEnrolment, loadSettings } from "./config.ts";
import { createDockerode } from "./docker/dockerode.ts";
import { lockFolder } from "./journal/database.ts";
import { enrol } from "./link/enrol.ts";
import { readLinkState } from "./link/link-state.ts";
import { loadKey } from "./link/signing.ts";
import { dialWebSocket } from "./link/web-socket.ts";
import { createLog } from "./log.ts";
import {
  createClock,
  createCrashPointEffects,
  createFiles,
  createHost,
  createProcesses,
  createRandom,
} from "./platform.ts";
import { checkBody } from "./policy/policy.ts";
import { sleep, within } from "./waiting.ts";

const AGENT_VERSION = "0.1.0";
const STOP_DEADLINE_MS = 15_000;
const FACTS_MS = 3_000;

const EXIT = { failed: 1, usage: 2, locked: 3, notEnrolled: 4, notOnline: 5 } as const;

const USAGE = `dFlow agent ${AGENT_VERSION}

  agent enrol --url URL --data-dir DIR [--token-file FILE]   make this server known, or give it the new key of a re-key;
                                                             the token comes from the file or from standard input
  agent run --data-dir DIR                                   connect and work
  agent status --data-dir DIR                                say whether this server is online; code 0 only when it is
  agent version`;

const clock = () => createClock();

interface Arguments {
  command: string;
  url?: string;
  dataDir?: string;
  tokenFile?: string;
}

function parseArguments(argv: string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      url: { type: "string" },
      "data-dir": { type: "string" },
      "token-file": { type: "string" },
    },
  });
  const [command = "", ...rest] = positionals;
  // A token would stand in the process list; the usage says where it belongs.
  if (rest.length > 0) throw new AppError("invalid_input", "too many arguments");
  return { command, url: values.url, dataDir: values["data-dir"], tokenFile: values["token-file"] };
}

function required(value: string | undefined, option: string): string {
  if (value === undefined || value === "") throw new AppError("invalid_input", `${option} is missing`);
  return value;
}

async function runEnrol(args: Arguments): Promise<number> {
  const dataDir = resolve(required(args.dataDir, "--data-dir"));
  const files = createFiles();
  const settings = loadSettings(files, dataDir);
  const realClock = clock();
  const host = createHost(dataDir, () => process.memoryUsage.rss());
  const docker = createDockerode({ socketPath: settings.dockerSocket, clock: realClock, inspectBody: () => undefined });
  const { enrolment, outcome } = await enrol(
    {
      clock: realClock,
      files,
      fetch,
      facts: async () => {
        const version = await within(realClock, FACTS_MS, "ask Docker", () => docker.version()).catch((error) => {
          if (!isAppError(error)) throw error;
          process.stderr.write(`warning: ${error.message}\n`);
          return undefined;
        });
        return {
          ...host.facts(),
          dockerVersion: version?.version ?? null,
          dockerApiVersion: version?.apiVersion ?? null,
          agentVersion: AGENT_VERSION,
        };
      },
    },
    {
      url: required(args.url, "--url"),
      dataDir,
      tokenGiven: args.tokenFile !== undefined || !process.stdin.isTTY,
      readToken: () => readToken(args.tokenFile),
    },
  );
  const { agentId, serverName, controlPlaneUrl } = enrolment;
  const who = `"${serverName}" at ${controlPlaneUrl} (agent ${agentId})`;
  const words = {
    enrolled: `Enrolled as ${who}.`,
    already: `This server is enrolled already: ${who}.`,
    rekeyed: `Re-keyed ${who}. Restart the agent: one that runs goes on with the old key, which is refused.`,
  };
  process.stdout.write(`${words[outcome]}\n`);
  return 0;
}

async function readToken(file: string | undefined): Promise<string> {
  try {
    // 0 is standard input, read to its end.
    return readFileSync(file ?? 0, "utf8");
  } catch (error) {
    throw new AppError("token_invalid", `the token cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function runAgent(args: Arguments): Promise<number> {
  const dataDir = resolve(required(args.dataDir, "--data-dir"));
  const files = createFiles();
  const settings = loadSettings(files, dataDir);
  const enrolment = loadEnrolment(files, dataDir);
  const paths = dataPaths(dataDir);
  const key = await loadKey(files, paths.key);
  if (enrolment === undefined || key === undefined) {
    process.stderr.write(
      `error: ${dataDir} is not enrolled\n  hint: run first: agent enrol --url … --data-dir ${dataDir}\n`,
    );
    return EXIT.notEnrolled;
  }
  const log = createLog(settings.logLevel, pino.destination({ dest: 1, sync: true }));
  const realClock = clock();
  const room: RoomEffects = {
    pause: (ms) => sleep(realClock, ms),
    tell: (full) => log.error({ err: full, hint: full.hint }, "the agent waits for room on its disk"),
  };
  const lock = await whenThereIsRoom(room, () => lockFolder(paths.lock));
  const config: Config = Object.freeze({ dataDir, settings, enrolment });
  const scope = { agentId: enrolment.agentId, servicesDir: paths.services };
  const crashFolder = process.env.DFLOW_CRASH_POINTS;
  const deps: AgentDeps = {
    clock: realClock,
    random: createRandom(),
    files,
    host: createHost(dataDir, () => process.memoryUsage.rss()),
    log,
    docker: createDockerode({
      socketPath: settings.dockerSocket,
      clock: realClock,
      inspectBody: (body, kind) => checkBody(kind, body, scope),
    }),
    dial: dialWebSocket,
    key,
    agentVersion: AGENT_VERSION,
    process: createProcesses(),
    die: () => process.exit(EXIT.failed),
    crashPoint: crashFolder === undefined ? undefined : createCrashPoint(createCrashPointEffects(crashFolder)),
  };
  const agent = await whenThereIsRoom(room, () => createAgent(config, deps));
  const onFatal = (error: unknown) => {
    log.error({ err: error }, "the agent ends by a bug; it goes on at its next start");
    process.exit(EXIT.failed);
  };
  process.on("unhandledRejection", onFatal);
  process.on("uncaughtException", onFatal);
  const signal = new Promise<void>((stop) => {
    process.once("SIGTERM", () => stop());
    process.once("SIGINT", () => stop());
  });
  agent.start();
  await signal;
  log.info({}, "stopping");
  realClock.after(STOP_DEADLINE_MS, () => process.exit(EXIT.failed));
  await agent.stop();
  lock.release();
  return 0;
}

function showStatus(args: Arguments): number {
  const dataDir = resolve(required(args.dataDir, "--data-dir"));
  const files = createFiles();
  const enrolment = loadEnrolment(files, dataDir);
  if (enrolment === undefined) {
    process.stderr.write(`${dataDir} is not enrolled\n`);
    return EXIT.notEnrolled;
  }
  const { state, since } = readLinkState(files, dataPaths(dataDir).link, createProcesses());
  const line = `"${enrolment.serverName}" at ${enrolment.controlPlaneUrl}: ${state}${since === undefined ? "" : ` since ${since}`}\n`;
  (state === "online" ? process.stdout : process.stderr).write(line);
  return state === "online" ? 0 : EXIT.notOnline;
}

async function main(argv: string[]): Promise<number> {
  const args = parseArguments(argv);
  switch (args.command) {
    case "enrol":
      return runEnrol(args);
    case "run":
      return runAgent(args);
    case "status":
      return showStatus(args);
    case "version":
      process.stdout.write(`${AGENT_VERSION}\n`);
      return 0;
    default:
      process.stderr.write(`${USAGE}\n`);
      return EXIT.usage;
  }
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  const hint = isAppError(error) && error.hint !== undefined ? `\n  hint: ${error.hint}` : "";
  process.stderr.write(`error: ${messageOf(error)}${hint}\n`);
  const isUsage =
    (isAppError(error) && error.code === "invalid_input") || (error instanceof TypeError && "code" in error);
  process.exit(isAppError(error) && error.code === "service_busy" ? EXIT.locked : isUsage ? EXIT.usage : EXIT.failed);
}
