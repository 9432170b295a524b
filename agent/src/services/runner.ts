/**
 * Runs operations.
 * INVARIANTS: one service never runs two at once, in the order they came; different services side by side up to the
 * limit; an operation that was accepted gets exactly one outcome, also across restarts of the agent.
 */
import { AppError, isOnce, messageOf } from "@dflow/protocol";
import type { KeptCommand, OperationRecord, Outcome } from "../journal/journal.ts";
import { ageMs, stampNow } from "../journal/stamp.ts";
import { sleep } from "../waiting.ts";
import { dockerAnswers } from "./docker-answers.ts";
import { createOperationLog, DISK_RETRY_MS, isDiskFull, type OperationLog } from "./operation-log.ts";
import { removeJob, runJob } from "./run-job.ts";
import { AgentStopping, type OperationDeps, runOperation } from "./run-operation.ts";

export interface RunnerEvents {
  /** New lines of its log are on disk. */
  linesStored(operationId: string): void;
  /** Its outcome is on disk. */
  finished(operationId: string): void;
}

export interface Runner {
  /** Takes up a command that is in the journal. */
  submit(record: OperationRecord): void;
  /** Takes up what an earlier run of the agent left. */
  resume(): void;
  cancel(operationId: string): void;
  /** Work of the agent's own on a service, in the same order as operations. */
  alone(serviceId: string, work: (signal: AbortSignal) => Promise<void>): void;
  isBusy(serviceId: string): boolean;
  running(): { operationId: string; step: string }[];
  /** Ends what runs without an outcome, to be resumed at the next start. Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

export interface RunnerOptions {
  concurrency: number;
  /** How long an operation that begins waits for a Docker engine that does not answer. */
  dockerPatienceMs: number;
}

interface Task {
  serviceId: string;
  operationId: string | undefined;
  controller: AbortController;
  step: string;
  run(task: Task): Promise<void>;
}

/** An operation of the same service needs its turn now. */
class TakenOver extends Error {
  override name = "TakenOver";
}

export function createRunner(deps: OperationDeps, options: RunnerOptions, events: RunnerEvents): Runner {
  const { clock, journal, log } = deps;
  const waiting: Task[] = [];
  const active = new Map<Task, Promise<void>>();
  let stopping = false;

  /** The agent's own work, which may wait for slow databases, never keeps a user's operation waiting. */
  const hasRoom = ({ operationId }: Task) => {
    const alike = [...active.keys()].filter((one) => (one.operationId === undefined) === (operationId === undefined));
    return alike.length < options.concurrency;
  };

  const startNext = () => {
    while (!stopping) {
      const busy = new Set([...active.keys()].map((task) => task.serviceId));
      const at = waiting.findIndex((task) => !busy.has(task.serviceId) && hasRoom(task));
      const [task] = at === -1 ? [] : waiting.splice(at, 1);
      if (task === undefined) return;
      const ended = task.run(task).finally(() => {
        active.delete(task);
        startNext();
      });
      active.set(task, ended);
    }
  };

  const enqueue = (task: Omit<Task, "controller" | "step">) => {
    if (stopping) return;
    waiting.push({ ...task, controller: new AbortController(), step: "waiting for its turn" });
    startNext();
  };

  const finish = (operationId: string, outcome: Omit<Outcome, "lineCount">, operationLog: OperationLog) => {
    operationLog.flush();
    journal.operations.change(operationId, { outcome: { ...outcome, lineCount: operationLog.count() } });
    log.info({ operationId, state: outcome.state, code: outcome.failure?.code }, "operation ended");
    events.finished(operationId);
  };

  /** Without room on the disk an operation stays open: a result goes nowhere before it is written down. */
  const finishWhenPossible = async (...args: Parameters<typeof finish>) => {
    for (let told = false; ; told = true) {
      try {
        return finish(...args);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        const [operationId] = args;
        if (!told) log.error({ operationId, err: error }, "an operation's end cannot be written down yet");
        await sleep(clock, DISK_RETRY_MS);
        if (stopping) throw new AgentStopping("the agent stops");
      }
    }
  };

  const logOf = (operationId: string) =>
    createOperationLog({ clock, journal, onStored: events.linesStored }, operationId);

  const runCommand = async (operationId: string, command: KeptCommand, task: Task) => {
    const record = journal.operations.get(operationId);
    if (record === undefined || record.outcome !== undefined) return;
    const operationLog = logOf(operationId);
    const { signal } = task.controller;
    // One that had begun before the agent's restart goes on, even if only to clean up what it had made.
    const isNew = record.startedAt === undefined;
    if (isNew && (signal.aborted || ageMs(clock, record.receivedAt) > command.startWithinMs)) {
      return finishWhenPossible(operationId, notStarted(signal), operationLog);
    }
    const cancelLimit = clock.after(command.runMs, () =>
      task.controller.abort(new AppError("timed_out", `the operation was ended after its ${command.runMs} ms`)),
    );
    try {
      task.step = "waiting for Docker";
      // After a reboot the agent may be up before Docker. When it stays away, the operation itself says so.
      await dockerAnswers(deps, { patienceMs: options.dockerPatienceMs, signal });
      const onStep = (step: string) => {
        task.step = step;
      };
      if (isOnce(command)) {
        await finishWhenPossible(
          operationId,
          await runJob(deps, record, command, operationLog, signal, onStep),
          operationLog,
        );
        // Not before: it is what a new run of the agent would take the outcome from.
        await removeJob(deps, operationId);
        return;
      }
      const outcome = await runOperation(deps, record, command, operationLog, signal, onStep);
      await finishWhenPossible(operationId, outcome, operationLog);
    } catch (error) {
      if (error instanceof AgentStopping) {
        operationLog.close();
        log.info({ operationId }, "the agent stops; the operation goes on at its next start");
        return;
      }
      log.error({ operationId, err: error }, "an operation failed by a bug");
      const message = `internal error of the agent: ${messageOf(error)}`.slice(0, 4_000);
      const failure = { code: "internal" as const, message };
      await finishWhenPossible(operationId, { state: "failed", failure, endedAt: stampNow(clock) }, operationLog);
    } finally {
      cancelLimit();
    }
  };

  const notStarted = (signal: AbortSignal): Omit<Outcome, "lineCount"> => {
    const endedAt = stampNow(clock);
    if (signal.aborted) {
      return { state: "cancelled", endedAt, failure: { code: "cancelled", message: "cancelled before it began" } };
    }
    const failure = { code: "expired" as const, message: "it could not begin in time and was dropped" };
    return { state: "expired", endedAt, failure };
  };

  const submit = ({ operationId, command }: OperationRecord) => {
    if (command === undefined) return;
    const { serviceId } = command;
    for (const task of [...waiting, ...active.keys()]) {
      if (task.serviceId === serviceId && task.operationId === undefined) task.controller.abort(new TakenOver());
    }
    enqueue({ serviceId, operationId, run: (task) => runCommand(operationId, command, task) });
  };

  const abortOnRequest = (operationId: string) => {
    const task = [...waiting, ...active.keys()].find((one) => one.operationId === operationId);
    task?.controller.abort(new AppError("cancelled", "cancelled on request"));
    return task;
  };

  return {
    submit,

    resume() {
      for (const record of journal.operations.unfinished()) {
        submit(record);
        if (record.cancelled) abortOnRequest(record.operationId);
      }
    },

    cancel(operationId) {
      const task = abortOnRequest(operationId);
      if (task === undefined) return;
      const queued = waiting.indexOf(task);
      const hasBegun = journal.operations.get(operationId)?.startedAt !== undefined;
      try {
        if (queued === -1 || hasBegun) return void journal.operations.change(operationId, { cancelled: true });
        finish(operationId, notStarted(task.controller.signal), logOf(operationId));
      } catch (error) {
        // It ends all the same, when its turn comes.
        if (isDiskFull(error)) return;
        throw error;
      }
      waiting.splice(queued, 1);
    },

    alone(serviceId, work) {
      const run = (task: Task) =>
        work(task.controller.signal).catch((error) => {
          if (!task.controller.signal.aborted) log.warn({ serviceId, err: error }, "work on a service failed");
        });
      enqueue({ serviceId, operationId: undefined, run });
    },

    isBusy: (serviceId) => [...waiting, ...active.keys()].some((task) => task.serviceId === serviceId),

    running: () =>
      [...active.keys()].flatMap(({ operationId, step }) => (operationId === undefined ? [] : [{ operationId, step }])),

    async stop() {
      stopping = true;
      waiting.length = 0;
      for (const { controller } of active.keys()) controller.abort(new AgentStopping("the agent stops"));
      await Promise.allSettled(active.values());
    },
  };
}
