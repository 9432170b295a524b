/**
 * Breaks one rule at a time in a copy of the sources and looks whether the simulator notices: a simulator that nothing can
 * make fail proves nothing. `npm run simulate:mutations -- --seeds N` (2,000); ends with {"mutations","noticed","seeds"}.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

interface Mutation {
  rule: string;
  file: string;
  from: string;
  to: string;
}

const MUTATIONS: Mutation[] = [
  {
    rule: "what is not acknowledged goes out again with each session",
    file: "control-plane/src/agents/outbox.ts",
    from: "rows.filter((row) => row.sent_session === session)",
    to: "rows.filter((row) => row.sent_session !== null)",
  },
  {
    rule: "an operation that has ended stays as it ended",
    file: "protocol/src/states.ts",
    from: "return OPERATION_NEXT[from].includes(to);",
    to: "return from !== to;",
  },
  {
    rule: "a gap in the count of frames ends the socket",
    file: "protocol/src/wire/sequence.ts",
    from: 'return seq <= last ? "drop" : "gap";',
    to: 'return seq <= last ? "drop" : "accept";',
  },
  {
    rule: "an agent takes up what an earlier run left",
    file: "agent/src/agent.ts",
    from: "      runner.resume();\n",
    to: "",
  },
  {
    rule: "an agent ends a socket on which nothing is heard",
    file: "agent/src/link/connection.ts",
    from: 'enter("ready", deadlineMs, () => drop(',
    to: 'enter("ready", deadlineMs, () => void (',
  },
  {
    rule: "a new session begins with all that is seen",
    file: "agent/src/agent.ts",
    from: '    connection.send({ type: "state", data: { full: true, services: observer.report() } });\n',
    to: "",
  },
  {
    rule: "results go out again until they are acknowledged",
    file: "agent/src/link/delivery.ts",
    from: "for (const { operationId } of journal.operations.undelivered()) restart(operationId);",
    to: "",
  },
  {
    rule: "log lines are on disk before the outcome that counts them",
    file: "agent/src/services/runner.ts",
    from: "    operationLog.flush();\n    journal.operations.change",
    to: "    journal.operations.change",
  },
  {
    rule: "a command that came before is a duplicate",
    file: "agent/src/services/receive-command.ts",
    from: 'if (journal.operations.get(operationId) !== undefined) return { ack: { operationId, outcome: "duplicate" } };',
    to: "",
  },
  {
    rule: "a command is in the journal before it is acknowledged",
    file: "agent/src/services/receive-command.ts",
    from: "      journal.operations.put(record);\n",
    to: "",
  },
  {
    rule: "how long something waited is not asked of the wall clock",
    file: "agent/src/journal/stamp.ts",
    from: "clock.bootId() === stamp.bootId",
    to: "stamp.bootId === undefined",
  },
  {
    rule: "an older socket's end is not taken for the newer one's",
    file: "agent/src/link/connection.ts",
    from: "if (isCurrent()) onClosed(attempt, code, reason);",
    to: "if (current !== undefined) onClosed(current, code, reason);",
  },
  {
    rule: "operations that nobody works on are asked for",
    file: "control-plane/src/agents/stale-operations.ts",
    from: "if (count >= MISSES_BEFORE_ASKING) asked.push(id);",
    to: "if (count < 0) asked.push(id);",
  },
  {
    rule: "a job that may have run is not made again",
    file: "agent/src/services/next-job-step.ts",
    from: 'return intended ? "unknown" : "create";',
    to: 'return "create";',
  },
  {
    rule: "a job that has ended is not started again",
    file: "agent/src/services/next-job-step.ts",
    from: '      return "collect";',
    to: '      return "start";',
  },
  {
    rule: "what an agent looks at is reported",
    file: "agent/src/observe/observer.ts",
    from: "    if (entries.length + goneEntries.length > 0) events.changed",
    to: "    if (entries.length + goneEntries.length > 1) events.changed",
  },
];

const ROOT = resolve(import.meta.dirname, "../..");
const SOURCES = ["agent", "control-plane", "protocol", "test"];

/** The sources once more, with the packages that are installed. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "dflow-mutations-"));
  const wanted = (path: string) => !/node_modules|\/dist(\/|$)|\/web(\/|$)/.test(path.slice(ROOT.length));
  for (const name of SOURCES) cpSync(join(ROOT, name), join(copy, name), { recursive: true, filter: wanted });
  cpSync(join(ROOT, "package.json"), join(copy, "package.json"));
  mkdirSync(join(copy, "node_modules/@dflow"), { recursive: true });
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (name !== "@dflow") symlinkSync(join(ROOT, "node_modules", name), join(copy, "node_modules", name));
  }
  for (const name of ["agent", "control-plane", "protocol"]) {
    symlinkSync(join(copy, name), join(copy, "node_modules/@dflow", name));
    const own = join(ROOT, name, "node_modules");
    try {
      readdirSync(own);
      symlinkSync(own, join(copy, name, "node_modules"));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
  }
  return copy;
}

/** The first seed that is wrong, or undefined. */
function firstFailure(copy: string, seeds: number): Promise<string | undefined> {
  return new Promise((done, failed) => {
    const args = ["test/simulate/main.ts", "--seeds", String(seeds), "--from", "1", "--first"];
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
    });
    child.once("error", failed);
    child.once("close", (code) => {
      if (code === 0) done(undefined);
      else if (output.startsWith("seed ")) done(output.split("\n").slice(0, 2).join(" ").slice(0, 200));
      else failed(new Error(`the simulator ended with ${code}: ${output.slice(-500)}`));
    });
  });
}

const { values } = parseArgs({ options: { seeds: { type: "string", default: "2000" }, only: { type: "string" } } });
const seeds = Number(values.seeds);
const chosen = MUTATIONS.filter(({ rule }) => rule.includes(values.only ?? ""));
const copy = copyTree();
let noticed = 0;
try {
  for (const { rule, file, from, to } of chosen) {
    const path = join(copy, file);
    const text = readFileSync(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`${file} does not hold once: ${from}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
    const failure = await firstFailure(copy, seeds);
    writeFileSync(path, text);
    if (failure !== undefined) noticed += 1;
    console.log(`${failure === undefined ? "NOT NOTICED" : "noticed    "} ${rule}: ${failure ?? ""}`);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(JSON.stringify({ mutations: chosen.length, noticed, seeds }));
process.exitCode = noticed === chosen.length ? 0 : 1;
