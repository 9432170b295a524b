/** `dflow-admin`: the commands for who is at the host. Exit codes: 0 done, 1 refused, failed or (doctor) found wrong, 2 usage. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { AppError, messageOf } from "@dflow/protocol";
import { loadConfig } from "../config.ts";
import { databaseFile } from "../data-folder.ts";
import { isMigrated } from "../db/migrate.ts";
import type { Deps } from "../deps.ts";
import type { Platform } from "../platform.ts";
import { backup } from "./backup.ts";
import { createKey } from "./create-key.ts";
import { diagnose, isWrong } from "./diagnose.ts";
import { gatherFacts } from "./gather-facts.ts";
import type { Terminal } from "./platform.ts";
import { passwordProblem, resetPassword } from "./reset-password.ts";
import { restore } from "./restore.ts";
import { writeSecretFile } from "./secret-file.ts";

export const ADMIN_USAGE = `Usage: dflow-admin reset-password --email ADDRESS [--out FILE]
       dflow-admin create-key --workspace ID-OR-NAME --name NAME --role ROLE --out FILE [--days N]
       dflow-admin backup --out FOLDER
       dflow-admin restore --from FOLDER --data-dir DIR [--replace]
       dflow-admin doctor [--config FILE]
Each takes --data-dir DIR, the control plane's data folder.
Exit codes: 0 done, 1 refused or failed (doctor: something is wrong), 2 wrong arguments.`;

export interface AdminHost extends Platform {
  terminal: Terminal;
  defaultWebDir: string;
  /** Opens the database and the keys of a folder that has them. */
  open(dataDir: string): Promise<Deps>;
}

class UsageError extends Error {}

type Values = Record<string, string | boolean | undefined>;
type Command = (host: AdminHost, values: Values) => Promise<number>;

const COMMANDS: Record<string, { options: string[]; run: Command }> = {
  "reset-password": { options: ["email", "out"], run: runResetPassword },
  "create-key": { options: ["workspace", "name", "role", "out", "days"], run: runCreateKey },
  backup: { options: ["out"], run: runBackup },
  restore: { options: ["from", "replace"], run: runRestore },
  doctor: { options: ["config"], run: runDoctor },
};

export async function runAdmin([name = "", ...args]: string[], host: AdminHost): Promise<number> {
  const { terminal } = host;
  try {
    if (name === "--help" || name === "help") {
      terminal.say(ADMIN_USAGE);
      return 0;
    }
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) throw new UsageError(name === "" ? "no command" : `unknown command: ${name}`);
    return await command.run(host, readArguments(args, command.options));
  } catch (error) {
    terminal.complain(
      error instanceof UsageError ? `${error.message}\n${ADMIN_USAGE}` : `dflow-admin: ${messageOf(error)}`,
    );
    if (error instanceof AppError && error.hint !== undefined) terminal.complain(error.hint);
    return error instanceof UsageError ? 2 : 1;
  }
}

function readArguments(args: string[], names: string[]): Values {
  const options = Object.fromEntries(
    ["data-dir", ...names].map((name) => [name, { type: name === "replace" ? "boolean" : "string" } as const]),
  );
  try {
    return parseArgs({ args, options }).values as Values;
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function needed(name: string, values: Values): string {
  const value = given(name, values);
  if (value === undefined) throw new UsageError(`--${name} is missing`);
  return value;
}

function given(name: string, values: Values): string | undefined {
  const value = values[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

async function runResetPassword(host: AdminHost, values: Values): Promise<number> {
  const email = needed("email", values);
  const out = given("out", values);
  if (out === undefined && !host.terminal.canAsk) {
    throw new UsageError("--out is missing: without a terminal to ask at, the new password goes to a file");
  }
  return withDeps(host, values, async (deps) => {
    const password = out === undefined ? await askPassword(host.terminal) : host.random.bytes(21).toString("base64url");
    const done = await resetPassword(deps, { email, password }, () => {
      if (out !== undefined) writeSecretFile(resolve(out), `${password}\n`);
    });
    const where = out === undefined ? "" : ` It stands in ${resolve(out)}.`;
    host.terminal.say(`${done.email} has a new password; ${done.endedSessions} of their sessions ended.${where}`);
    return 0;
  });
}

async function askPassword(terminal: Terminal): Promise<string> {
  const first = await terminal.askHidden("New password: ");
  if (first === undefined) throw new AppError("cancelled", "Nothing was changed.");
  const problem = passwordProblem(first);
  if (problem !== undefined) throw new AppError("invalid_input", problem);
  if ((await terminal.askHidden("The same again: ")) !== first) {
    throw new AppError("invalid_input", "The two are not the same. Nothing was changed.");
  }
  return first;
}

async function runCreateKey(host: AdminHost, values: Values): Promise<number> {
  const days = given("days", values);
  const request = {
    workspace: needed("workspace", values),
    name: needed("name", values),
    role: needed("role", values),
    expiresInDays: days === undefined ? undefined : Number(days),
  };
  const out = resolve(needed("out", values));
  return withDeps(host, values, async (deps) => {
    const made = await createKey(deps, request, (key) => writeSecretFile(out, `${key}\n`));
    host.terminal.say(
      `The key “${request.name}” (${request.role} of ${made.workspaceName}, until ${made.expiresAt}) stands in ${out}.`,
    );
    return 0;
  });
}

async function runBackup(host: AdminHost, values: Values): Promise<number> {
  const out = resolve(needed("out", values));
  const dataDir = presentDataDir(values);
  const manifest = await backup(host, { dataDir, out });
  const bytes = manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0);
  host.terminal.say(`Backed up to ${out}: ${manifest.files.length} files, ${bytes} bytes, as of ${manifest.takenAt}.`);
  host.terminal.say("It holds the keys to every stored secret: keep it where you would keep those.");
  return 0;
}

async function runRestore(host: AdminHost, values: Values): Promise<number> {
  const dataDir = resolve(needed("data-dir", values));
  const request = { from: resolve(needed("from", values)), dataDir, replace: values.replace === true };
  const { manifest, keptIn } = await restore(host, request);
  host.terminal.say(`Restored the state of ${manifest.takenAt} (version ${manifest.version}) into ${dataDir}.`);
  if (keptIn !== undefined) host.terminal.say(`What was there before lies in ${keptIn}.`);
  return 0;
}

async function runDoctor(host: AdminHost, values: Values): Promise<number> {
  const dataDir = resolve(needed("data-dir", values));
  const config = loadConfig({ dataDir, file: given("config", values), defaultWebDir: host.defaultWebDir });
  const findings = diagnose(await gatherFacts(host, config));
  for (const { level, about, text, todo } of findings) {
    host.terminal.say(`${level.padEnd(7)} ${about}: ${text}`);
    if (todo !== undefined) host.terminal.say(`        → ${todo}`);
  }
  const wrong = findings.filter(isWrong).length;
  const warnings = findings.filter(({ level }) => level === "warning").length;
  host.terminal.say(`${findings.length} checks, ${wrong} wrong, ${warnings} to look at.`);
  return wrong > 0 ? 1 : 0;
}

/** Opening a folder makes what it lacks, so one that is not a control plane's is refused first. */
function presentDataDir(values: Values): string {
  const dataDir = resolve(needed("data-dir", values));
  if (existsSync(databaseFile(dataDir))) return dataDir;
  throw new AppError("not_found", `${dataDir} holds no control plane: ${databaseFile(dataDir)} is missing.`, {
    hint: "Name the data folder with --data-dir; quickstart's is .dflow/control-plane.",
  });
}

/** Works beside a running control plane. */
async function withDeps(host: AdminHost, values: Values, work: (deps: Deps) => Promise<number>): Promise<number> {
  const deps = await host.open(presentDataDir(values));
  try {
    if (!(await isMigrated(deps.db))) {
      throw new AppError("invalid_input", "The database is of an older version.", {
        hint: "Start this version's control plane once: it brings the database up to date.",
      });
    }
    return await work(deps);
  } finally {
    await deps.db.destroy();
  }
}
