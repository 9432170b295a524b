/** A runner on a fake or real Docker with a journal on disk, without link: what most tests of services need. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "@dflow/protocol";
import { dataPaths } from "../src/config.ts";
import type { Clock, Files } from "../src/deps.ts";
import type { Docker } from "../src/docker/docker.ts";
import { ENGINE_FILES } from "../src/engines/all.ts";
import { createJournal, type Outcome } from "../src/journal/journal.ts";
import { createFiles } from "../src/platform.ts";
import { createEnvironments } from "../src/services/environments.ts";
import { createOnceIntents } from "../src/services/once-intents.ts";
import { receiveCommand } from "../src/services/receive-command.ts";
import type { OperationDeps } from "../src/services/run-operation.ts";
import { createRunner } from "../src/services/runner.ts";
import { newId } from "./commands.ts";
import { createMemoryLog } from "./memory-log.ts";

export interface RigOptions {
  clock: Clock;
  docker: Docker;
  folder?: string;
  agentId?: string;
  readyTimeoutMs?: number;
  stopGraceMs?: number;
  concurrency?: number;
  networkRange?: string;
  /** What /proc/net/route says. */
  hostRoutes?: string;
  onDamage?: (error: Error) => void;
}

export type Rig = ReturnType<typeof createRig>;

export function createRig(options: RigOptions) {
  const { clock, docker, agentId = newId() } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "dflow-agent-"));
  const real = createFiles();
  // The routes of the machine that tests run on would decide which ranges come out.
  const hostRoutes = options.hostRoutes ?? "";
  const files: Files = {
    ...real,
    readText: (path) => (path === "/proc/net/route" ? hostRoutes : real.readText(path)),
  };
  const log = createMemoryLog();
  const paths = dataPaths(folder);
  const journal = createJournal({ clock, files, log, onDamage: options.onDamage ?? (() => undefined) }, paths.journal);
  const waiting = new Map<string, (outcome: Outcome) => void>();
  const networkRange = options.networkRange ?? "10.218.0.0/16";
  const deps: OperationDeps = {
    clock,
    docker,
    files,
    journal,
    log,
    agentId,
    onceIntents: createOnceIntents(files, paths.onceIntents),
    engines: ENGINE_FILES,
    environments: createEnvironments({ docker, files, journal, agentId, networkRange }),
    servicesDir: paths.services,
    readyTimeoutMs: options.readyTimeoutMs ?? 60_000,
    pullTimeoutMs: 60_000,
    stopGraceMs: options.stopGraceMs,
  };
  const outcomeOf = (operationId: string) => journal.operations.get(operationId)?.outcome;
  const runner = createRunner(
    deps,
    { concurrency: options.concurrency ?? 4, dockerPatienceMs: 1_000 },
    {
      linesStored: () => undefined,
      finished(operationId) {
        const outcome = outcomeOf(operationId);
        if (outcome !== undefined) waiting.get(operationId)?.(outcome);
      },
    },
  );
  const receive = (command: Command) => {
    const { ack, accepted } = receiveCommand({ ...deps }, command);
    if (accepted !== undefined) runner.submit(accepted);
    return ack;
  };
  const outcome = (operationId: string): Promise<Outcome> => {
    const known = outcomeOf(operationId);
    return known === undefined ? new Promise((resolve) => waiting.set(operationId, resolve)) : Promise.resolve(known);
  };
  return {
    agentId,
    folder,
    deps,
    log,
    journal,
    runner,
    receive,
    outcome,
    /** Accepted and run to its end. */
    run(command: Command): Promise<Outcome> {
      const ack = receive(command);
      if (ack.outcome !== "accepted") throw new Error(`${ack.outcome}: ${ack.failure?.message}`);
      return outcome(command.operationId);
    },
    lines: (operationId: string) =>
      journal.lines.read(operationId, 0, 10_000).map(({ level, text }) => `${level} ${text}`),
    /** Another agent process on the same folder and Docker, as after kill -9: the first one is not told. */
    reborn: (part: Partial<RigOptions> = {}) => createRig({ ...options, ...part, folder, agentId }),
    async dispose() {
      // One that was "killed" hangs in a call that never ends.
      await Promise.race([runner.stop(), new Promise((resolve) => setTimeout(resolve, 50))]);
      journal.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
