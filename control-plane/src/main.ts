/** The process: arguments, real dependencies, start, signals, exit codes. Nothing imports it. */
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import type { Server } from "node:http";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type CrashPoint, createCrashPoint, messageOf } from "@dflow/protocol";
import { type Logger, pino } from "pino";
import { type AdminHost, runAdmin } from "./admin/admin.ts";
import { createTerminal } from "./admin/platform.ts";
import { createAgents } from "./agents/create-agents.ts";
import { type App, createApp } from "./app.ts";
import { bootstrap } from "./bootstrap.ts";
import { type Config, loadConfig, parseConfig } from "./config.ts";
import { databaseFile } from "./data-folder.ts";
import { createDatabase } from "./db/database.ts";
import { lockDataDir } from "./db/lock.ts";
import { migrate } from "./db/migrate.ts";
import { openWhenThereIsRoom } from "./db/open-when-there-is-room.ts";
import type { Deps } from "./deps.ts";
import { createEventHub } from "./events/hub.ts";
import { apiDocument } from "./http/openapi.ts";
import { createHttpServer } from "./http/server.ts";
import { createLog } from "./log.ts";
import { createCrashPointEffects, createDiskSync, createPlatform } from "./platform.ts";
import { loadKeys } from "./secrets/key-files.ts";
import { createSeals } from "./secrets/seals.ts";
import { createSigner } from "./secrets/signer.ts";

const USAGE = `Usage: control-plane [serve] --data-dir DIR [--config FILE]
       control-plane bootstrap --data-dir DIR --email ADDRESS --out FILE
       control-plane openapi
       control-plane admin COMMAND … (scripts/dflow-admin)`;

/** Open requests get this long to end after a stop was asked for. */
const STOP_DEADLINE_MS = 10_000;

class UsageError extends Error {}

async function main(args: string[]): Promise<void> {
  if (args[0] === "admin") process.exit(await runAdmin(args.slice(1), adminHost()));
  const { values, positionals } = readArguments(args);
  const [command = "serve", ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`unexpected: ${rest.join(" ")}`);
  switch (command) {
    case "serve":
      return serve(
        loadConfig({
          dataDir: needed("data-dir", values),
          file: values.config,
          defaultWebDir: join(builtDir(), "web"),
          defaultReleaseDir: builtDir(),
        }),
      );
    case "bootstrap":
      return runBootstrap(needed("data-dir", values), needed("email", values), needed("out", values));
    case "openapi":
      return printDocument();
    default:
      throw new UsageError(`unknown command: ${command}`);
  }
}

function readArguments(args: string[]) {
  const option = { type: "string" } as const;
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { "data-dir": option, config: option, email: option, out: option },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function needed(name: string, values: Record<string, string | undefined>): string {
  const value = values[name];
  if (value === undefined || value === "") throw new UsageError(`--${name} is missing`);
  return value;
}

/** Where the bundle lies (dist/), also when the sources run. */
function builtDir(): string {
  return resolve(import.meta.dirname, import.meta.filename.endsWith(".ts") ? "../../dist" : ".");
}

async function serve(config: Config): Promise<void> {
  const log = createLog(config.logLevel);
  process.on("unhandledRejection", (error) => fail(log, error, "unhandled rejection"));
  process.on("uncaughtException", (error) => fail(log, error, "uncaught exception"));

  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const unlock = lockDataDir(config.dataDir);
  const deps = await openWhenThereIsRoom({ log, pause }, () => openDeps(config, log));
  const app = await createApp(deps, createAgents(deps));
  await app.start();
  const server = createHttpServer({ fetch: app.fetch, addresses: app.addresses, limits: config.limits });
  app.attach(server);
  await listen(server, config);
  log.info(
    { listen: config.listen, publicUrl: config.publicUrl, dashboard: config.webDir ?? "none" },
    "control plane is up",
  );

  const stop = (signal: string) => {
    log.info({ signal }, "stopping");
    shutDown(deps, app, server).then(
      () => {
        unlock();
        log.info("stopped");
        process.exit(0);
      },
      (error: unknown) => fail(log, error, "stop"),
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

async function shutDown(deps: Deps, app: App, server: Server): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  const cut = setTimeout(() => server.closeAllConnections(), STOP_DEADLINE_MS);
  await app.stop();
  server.closeIdleConnections();
  await closed;
  clearTimeout(cut);
  await deps.db.destroy();
}

function listen(server: Server, { listen: { host, port } }: Config): Promise<void> {
  return new Promise((done, failed) => {
    server.once("error", (error) => failed(new Error(`listen on ${host}:${port}: ${error.message}`, { cause: error })));
    server.listen(port, host, () => done());
  });
}

async function runBootstrap(dataDir: string, email: string, out: string): Promise<void> {
  const deps = await openDeps(parseConfig({}, { dataDir }), pino({ level: "silent" }));
  try {
    await migrate(deps.db);
    await bootstrap(deps, email, resolve(out));
  } finally {
    await deps.db.destroy();
  }
}

function adminHost(): AdminHost {
  return {
    ...createPlatform(),
    terminal: createTerminal(),
    defaultWebDir: join(builtDir(), "web"),
    open: (dataDir) => openDeps(parseConfig({}, { dataDir }), pino({ level: "silent" })),
  };
}

/** The routes are the document: the application is built and never started, its database never opened. */
async function printDocument(): Promise<void> {
  const config = parseConfig({}, { dataDir: "." });
  const deps: Deps = {
    ...createPlatform(),
    config,
    db: createDatabase(":memory:"),
    hub: createEventHub("openapi"),
    log: pino({ level: "silent" }),
    seals: createSeals({ kid: "none", key: new Uint8Array(32) }),
    signer: { controlPlaneId: "none", sign: () => Promise.reject(new Error("there is no key here")) },
    sessionSecret: "0".repeat(64),
  };
  const app = await createApp(deps, createAgents(deps));
  process.stdout.write(`${JSON.stringify(apiDocument(app.hono), null, 2)}\n`);
}

async function openDeps(config: Config, log: Logger): Promise<Deps> {
  const platform = createPlatform();
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const file = databaseFile(config.dataDir);
  // SQLite gives its own files the mode that this one has.
  closeSync(openSync(file, "a", 0o600));
  chmodSync(file, 0o600);
  const keys = await loadKeys(config.dataDir, platform.random);
  return {
    ...platform,
    config,
    db: createDatabase(file, crashPoint(), createDiskSync()),
    hub: createEventHub(platform.random.id()),
    log,
    seals: createSeals(keys.sealing),
    signer: await createSigner(keys),
    sessionSecret: keys.sessionSecret,
  };
}

/** Only under a test that kills this process. */
function crashPoint(): CrashPoint | undefined {
  const folder = process.env.DFLOW_CRASH_POINTS;
  return folder === undefined ? undefined : createCrashPoint(createCrashPointEffects(folder));
}

function fail(log: Logger, error: unknown, what: string): never {
  log.fatal({ err: error }, what);
  log.flush();
  process.exit(1);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(
    error instanceof UsageError ? `${error.message}\n${USAGE}\n` : `control-plane: ${messageOf(error)}\n`,
  );
  process.exit(error instanceof UsageError ? 2 : 1);
});
