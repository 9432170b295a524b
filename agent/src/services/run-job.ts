/**
 * One operation of class `once`: its work is done by a job container, which is found again by its name.
 * INVARIANTS: the intent is on disk, twice, before the container is made; it is made at most once, ever; it is removed only after
 * the outcome is on disk; where it is gone before its end was seen, the outcome is unknown and nothing is run again.
 */
import { AppError, type Failure, isAppError, messageOf, type OnceKind } from "@dflow/protocol";
import type { FoundContainer } from "../docker/docker.ts";
import type { KeptCommand, OperationRecord, Outcome } from "../journal/journal.ts";
import { ageMs, stampNow } from "../journal/stamp.ts";
import { checkOwned } from "../policy/policy.ts";
import { sleep, within } from "../waiting.ts";
import { readLastLines } from "./container-output.ts";
import { jobName, LABEL } from "./naming.ts";
import { nextJobStep } from "./next-job-step.ts";
import type { OperationLog } from "./operation-log.ts";
import { prepareJob } from "./prepare-job.ts";
import { AgentStopping, describeFailure, type OperationDeps } from "./run-operation.ts";

export type OnceCommand = Extract<KeptCommand, { kind: OnceKind }>;

const POLL_MS = 250;
const RETRY_MS = 1_000;
/** A dump tool asks the database to end its query, and goes. */
const GRACE_MS = 5_000;
const END_MS = 300_000;
const OUTPUT_MS = 20_000;
const REMOVE_MS = 60_000;
const WORDS_LINES = 3;

const STEP_WORDS: Record<OnceKind, string> = { check: "reading the whole database" };

/** `failure` is there unless it succeeded. */
interface End {
  state: "succeeded" | "failed" | "cancelled" | "unknown";
  failure?: Failure;
}

interface Job {
  deps: OperationDeps;
  command: OnceCommand;
  log: OperationLog;
  name: string;
  /** Ends the work: a cancel, the deadline, the end of the agent. */
  signal: AbortSignal;
  /** Ends this run of the agent only; the work goes on in its container. */
  stopping: AbortSignal;
  onStep(step: string): void;
  intended: boolean;
  /** Monotonic. Until then the end of a job that was told to end is waited for, while Docker is away. */
  endMs?: number;
}

/** Throws `AgentStopping`, and nothing else. */
export async function runJob(
  deps: OperationDeps,
  record: OperationRecord,
  command: OnceCommand,
  log: OperationLog,
  signal: AbortSignal,
  onStep: (step: string) => void,
): Promise<Omit<Outcome, "lineCount">> {
  const { clock } = deps;
  const beganMs = clock.monotonicMs();
  const name = jobName(command.operationId);
  const intended = record.intendedAt !== undefined || deps.onceIntents.has(command.operationId);
  const job: Job = { deps, command, log, name, signal, stopping: endOfAgent(signal), onStep, intended };
  if (intended) log.add("warn", `This operation was begun before. Looking for its job container ${name}.`);
  const end = await carryOut(job).catch((error) => {
    if (job.stopping.aborted) throw job.stopping.reason;
    return endOfError(job, error);
  });
  const startedAt = deps.journal.operations.get(command.operationId)?.startedAt;
  const totalMs = startedAt === undefined ? Math.round(clock.monotonicMs() - beganMs) : ageMs(clock, startedAt);
  if (end.failure === undefined) log.add("info", `Done in ${(totalMs / 1_000).toFixed(1)} s`);
  else log.add("error", end.failure.message);
  return { ...end, timings: { totalMs, pullMs: 0, engineMs: totalMs, ownMs: 0 }, endedAt: stampNow(clock) };
}

async function carryOut(job: Job): Promise<End> {
  const { deps, command, log, signal, stopping, name, onStep } = job;
  let waits = false;
  for (;;) {
    onStep(signal.aborted ? "ending the job" : waits ? STEP_WORDS[command.kind] : "looking for the job container");
    const container = await look(job);
    if (container === "unseen") return unknown(`Docker does not answer, so nobody sees whether container ${name} runs`);
    switch (nextJobStep(job.intended, container)) {
      case "create":
        signal.throwIfAborted();
        await create(job);
        break;
      case "start":
        signal.throwIfAborted();
        await start(job, container as FoundContainer);
        break;
      case "wait":
        if (!waits) log.add("info", `Container ${name}: runs`);
        waits = true;
        if (signal.aborted) await stop(job);
        else await sleep(deps.clock, POLL_MS, signal).catch(() => undefined);
        break;
      case "collect":
        return collect(job, container as FoundContainer);
      case "unknown":
        return unknown(`container ${name} is gone, and how it ended was not seen`);
    }
    stopping.throwIfAborted();
  }
}

/** Once something was intended, a Docker that is away is waited for: until the work has to end, and some minutes more. */
async function look(job: Job): Promise<FoundContainer | undefined | "unseen"> {
  const { deps, command, name, signal, stopping } = job;
  for (;;) {
    try {
      const container = await deps.docker.findContainer(name, stopping);
      if (container === undefined) return undefined;
      checkOwned("container", name, container.labels, deps.agentId);
      if (container.labels[LABEL.operation] === command.operationId) return container;
      throw new AppError("policy_refused", `container ${name} carries the label of another operation`);
    } catch (error) {
      if (stopping.aborted || !job.intended || !isAppError(error) || error.code === "policy_refused") throw error;
    }
    const nowMs = deps.clock.monotonicMs();
    if (signal.aborted) job.endMs ??= nowMs + END_MS;
    if (job.endMs !== undefined && nowMs >= job.endMs) return "unseen";
    await sleep(deps.clock, RETRY_MS, stopping);
  }
}

async function create(job: Job): Promise<void> {
  const { deps, command, log, signal, name } = job;
  const spec = await prepareJob(deps, command, log, signal);
  signal.throwIfAborted();
  const now = stampNow(deps.clock);
  deps.journal.operations.change(command.operationId, { startedAt: now, intendedAt: now });
  job.intended = true;
  deps.onceIntents.add(command.operationId);
  // Without the signal: Docker would go on with it behind the back of whoever cleans up. What fails here has not run, as
  // only a start makes it run.
  await deps.docker.createJob(spec);
  log.add("info", `Container ${name}: created from the service's own image, without data, ports or a way out`);
}

async function start(job: Job, container: FoundContainer): Promise<void> {
  const { deps, name, stopping } = job;
  try {
    await deps.docker.startContainer(container.id);
  } catch (error) {
    if (!isAppError(error)) throw error;
    const now = await look(job);
    // Docker has answered, and it has not run.
    if (error.code !== "docker_unavailable" && now !== "unseen" && now?.state === "created") throw error;
    job.log.add("warn", `Container ${name}: Docker did not say whether it was started; looking again`);
    await sleep(deps.clock, RETRY_MS, stopping);
  }
}

async function stop({ deps, log, name, stopping }: Job): Promise<void> {
  try {
    await deps.docker.stopContainer(name, GRACE_MS, stopping);
    log.add("info", `Container ${name}: ended`);
  } catch (error) {
    if (stopping.aborted || !isAppError(error)) throw error;
    log.add("warn", `Container ${name} could not be ended yet: ${error.message}`);
    await sleep(deps.clock, RETRY_MS, stopping);
  }
}

/** What it did counts, also where it was told to end: one that was done by then has succeeded. */
async function collect(job: Job, container: FoundContainer): Promise<End> {
  const { log, signal, name } = job;
  const words = await outputOf(job, container.id);
  log.add("info", `Container ${name}: exited with code ${container.exitCode}`);
  if (container.exitCode === 0 && !container.oomKilled) return { state: "succeeded" };
  if (signal.aborted) return endOfError(job, signal.reason);
  if (container.oomKilled) {
    return failed({ code: "out_of_memory", message: "the job ran out of memory before it was done" });
  }
  const said = words.length === 0 ? `it ended with code ${container.exitCode} and said nothing` : words.join("\n");
  return failed({
    code: "check_failed",
    message: said.slice(0, 4_000),
    hint: "The database runs on. These are the words of its own dump tool.",
  });
}

async function outputOf({ deps, log, stopping }: Job, containerId: string): Promise<string[]> {
  const words: string[] = [];
  const onLine = (text: string) => {
    log.add("output", text);
    if (text.trim() !== "") words.push(text);
  };
  try {
    await within(
      deps.clock,
      OUTPUT_MS,
      "read the job's output",
      (signal) => readLastLines(deps.docker, containerId, onLine, signal),
      stopping,
    );
  } catch (error) {
    if (stopping.aborted) throw stopping.reason;
    log.add("warn", `The job's output cannot be read: ${messageOf(error)}`);
  }
  return words.slice(-WORDS_LINES);
}

function endOfError({ deps, command, intended }: Job, error: unknown): End {
  const failure = describeFailure(deps.log, command, error);
  // A bug of ours says nothing of a container that may run.
  if (intended && failure.code === "internal") return { state: "unknown", failure };
  return { state: failure.code === "cancelled" ? "cancelled" : "failed", failure };
}

const failed = (failure: Failure): End => ({ state: "failed", failure });
const unknown = (seen: string): End => ({
  state: "unknown",
  failure: {
    code: "outcome_unknown",
    message: `Whether this was carried out is not known: ${seen}.`,
    hint: "It is not run again by itself. Look at what it was to do, settle it, and start it anew if needed.",
  },
});

/** Aborts only when the agent itself ends. */
function endOfAgent(signal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const onAbort = () => {
    if (signal.reason instanceof AgentStopping) controller.abort(signal.reason);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

/** After the outcome is on disk. What cannot be removed now goes at the next start, or when Docker is back. */
export async function removeJob({ agentId, clock, docker, log }: OperationDeps, operationId: string): Promise<void> {
  const name = jobName(operationId);
  try {
    await within(clock, REMOVE_MS, `remove container ${name}`, async (signal) => {
      const container = await docker.findContainer(name, signal);
      if (container?.labels[LABEL.agent] === agentId) await docker.removeContainer(container.id, signal);
    });
  } catch (error) {
    log.warn({ operationId, reason: messageOf(error) }, "a job container could not be removed yet");
  }
}

/** Removes the job containers of operations that are over, which a kill or a Docker that was away has left. */
export async function sweepJobs(deps: OperationDeps, signal: AbortSignal): Promise<void> {
  const { agentId, docker, journal, log } = deps;
  try {
    for (const { id, name, labels } of await docker.listContainers(LABEL.job, signal)) {
      if (labels[LABEL.agent] !== agentId) continue;
      // One without a record may be asked for again: its command is then taken up by it.
      if (journal.operations.get(labels[LABEL.operation] ?? "")?.outcome === undefined) continue;
      await docker.removeContainer(id, signal);
      log.info({ container: name }, "a job container of an operation that is over was removed");
    }
  } catch (error) {
    if (!signal.aborted) log.warn({ reason: messageOf(error) }, "job containers could not be swept; it is tried again");
  }
}
