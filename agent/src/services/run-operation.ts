/** One operation from its look at Docker to its outcome: plan, steps, and what has to be undone when it fails. */
import {
  AppError,
  type ConvergentKind,
  type Failure,
  isAppError,
  messageOf,
  type ServiceSpec,
  type Timings,
} from "@dflow/protocol";
import type { Log } from "../deps.ts";
import type { Engine } from "../engines/engine.ts";
import type { KeptCommand, OperationRecord, Outcome } from "../journal/journal.ts";
import { stampNow } from "../journal/stamp.ts";
import { within } from "../waiting.ts";
import { readLastLines } from "./container-output.ts";
import { blueprint, serviceFolders } from "./container-spec.ts";
import { dockerAnswers } from "./docker-answers.ts";
import { type Found, lookAtService } from "./look.ts";
import { isJob, LABEL, type Ownership, serviceLabel, volumeName } from "./naming.ts";
import type { OnceIntents } from "./once-intents.ts";
import type { OperationLog } from "./operation-log.ts";
import { plan, STEP_WORDS, type Wanted } from "./plan.ts";
import { type Course, executeStep, type Making, type StepDeps } from "./steps.ts";

export interface OperationDeps extends StepDeps {
  log: Log;
  agentId: string;
  onceIntents: OnceIntents;
  engines: Readonly<Record<ServiceSpec["engine"], Engine>>;
  /** Replaces the engines' own grace. */
  stopGraceMs?: number;
}

/** The agent itself is ending: the operation has no outcome and goes on at its next start. */
export class AgentStopping extends Error {
  override name = "AgentStopping";
}

const DEFAULT_GRACE_MS = 120_000;
const CLEANUP_MS = 300_000;

export type ConvergentCommand = Extract<KeptCommand, { kind: ConvergentKind }>;

/** Throws `AgentStopping`, and nothing else. */
export async function runOperation(
  deps: OperationDeps,
  record: OperationRecord,
  command: ConvergentCommand,
  log: OperationLog,
  signal: AbortSignal,
  onStep: (step: string) => void,
): Promise<Omit<Outcome, "lineCount">> {
  const { clock } = deps;
  const beganMs = clock.monotonicMs();
  const course = createCourse(deps, command, log, signal);
  if (record.startedAt !== undefined) {
    log.add("warn", "The agent was restarted in the middle of this operation. It looks again and goes on.");
  }
  let failure: unknown;
  try {
    await walk(deps, record, command, course, onStep);
  } catch (error) {
    if (signal.reason instanceof AgentStopping && !isMismatch(error)) throw signal.reason;
    failure = signal.aborted && !isMismatch(error) ? signal.reason : error;
    onStep("cleaning up");
    await untilDockerIsBack(deps, command, course);
    await cleanUp(deps, command, course, failure);
  }
  const timings = timingsOf(course, clock.monotonicMs() - beganMs);
  const endedAt = stampNow(clock);
  if (failure === undefined) {
    log.add("info", `Done in ${(timings.totalMs / 1_000).toFixed(1)} s`);
    return { state: "succeeded", timings, endedAt };
  }
  const described = describeFailure(deps.log, command, failure);
  log.add("error", described.message);
  return { state: described.code === "cancelled" ? "cancelled" : "failed", failure: described, timings, endedAt };
}

async function walk(
  deps: OperationDeps,
  record: OperationRecord,
  command: ConvergentCommand,
  course: Course,
  onStep: (step: string) => void,
): Promise<void> {
  const { docker, journal, agentId, clock } = deps;
  const { serviceId, generation, operationId } = command;
  const service = journal.services.get(serviceId);
  const spec = course.making?.spec;
  const environmentId = spec?.environmentId ?? service?.environmentId;
  onStep("looking at Docker");
  course.found = await lookAtService(
    docker,
    { agentId, serviceId, generation, environmentId, volumeId: spec?.volumeId, image: spec?.image },
    course.signal,
  );
  const volume = spec === undefined ? undefined : volumeName(spec.volumeId);
  const wanted: Wanted = {
    kind: command.kind,
    operationId,
    serviceId,
    generation,
    environmentId,
    volume,
    serviceName: spec?.name,
    outgoing: spec?.outgoing === true,
    specHash: course.making?.blueprint.labels[LABEL.spec],
    ...(command.kind === "delete" ? { deleteData: command.deleteData } : {}),
    ...(record.startedAt === undefined ? {} : { startedBefore: record.containerStartedAt }),
  };
  const names = [...course.found.volumes.map(({ name }) => name), ...(volume === undefined ? [] : [volume])];
  const records = names.map((name) => journal.volumes.get(name)).filter((one) => one !== undefined);
  const networks = environmentId === undefined ? undefined : journal.networks.get(environmentId);
  const known = {
    service,
    volumes: new Map(records.map((one) => [one.name, one])),
    outgoing: networks?.outgoing.includes(serviceId) === true,
  };
  const steps = plan(wanted, course.found, known);
  if (record.startedAt === undefined) {
    const containerStartedAt = course.found.containers[0]?.startedAt ?? "";
    journal.operations.change(operationId, { startedAt: stampNow(clock), containerStartedAt });
  }
  if (command.kind === "stop") journal.services.change(serviceId, { desired: "stopped" });
  if (command.kind === "restart") journal.services.change(serviceId, { desired: "running" });
  for (const step of steps) {
    course.signal.throwIfAborted();
    onStep(STEP_WORDS[step.type]);
    await executeStep(deps, course, step);
  }
  if (command.kind === "deploy" || command.kind === "restart") {
    // Also a restart has proven a database, which may be all that a new journal knows of it.
    journal.services.change(serviceId, { desired: "running", everDeployed: true });
  }
  if (command.kind === "delete") journal.services.change(serviceId, { desired: "absent", deleted: true });
}

function createCourse(deps: OperationDeps, command: ConvergentCommand, log: OperationLog, signal: AbortSignal): Course {
  const { agentId, engines, journal, servicesDir } = deps;
  const kept = journal.services.get(command.serviceId)?.spec;
  const spec = "spec" in command ? command.spec : kept;
  const owner: Ownership = {
    agentId,
    workspaceId: spec?.workspaceId ?? "",
    environmentId: spec?.environmentId ?? "",
    serviceId: command.serviceId,
    generation: command.generation,
    operationId: command.operationId,
  };
  let making: Making | undefined;
  if ("spec" in command) {
    const engine = engines[command.spec.engine];
    const folders = serviceFolders(servicesDir, command.serviceId);
    making = {
      spec: command.spec,
      engine,
      blueprint: blueprint(command.spec, engine, folders, owner, deps.stopGraceMs),
    };
  }
  const engineGraceMs = spec === undefined ? DEFAULT_GRACE_MS : engines[spec.engine].container(spec).stopGraceMs;
  const nothing: Found = {
    containers: [],
    jobs: [],
    image: undefined,
    volumes: [],
    network: undefined,
    outgoing: undefined,
  };
  return {
    owner,
    making,
    stopGraceMs: deps.stopGraceMs ?? engineGraceMs,
    found: nothing,
    log,
    signal,
    outputSeen: false,
    pullMs: 0,
    engineMs: 0,
  };
}

/**
 * While Docker is away nothing can be removed or looked at. Only what may have made something waits, and an agent that
 * stops meanwhile goes on with the operation at its next start.
 */
async function untilDockerIsBack(deps: OperationDeps, command: ConvergentCommand, { making, log, signal }: Course) {
  const hasBegun = deps.journal.operations.get(command.operationId)?.startedAt !== undefined;
  if (making === undefined || !hasBegun) return;
  const stopping = new AbortController();
  const onAbort = () => {
    if (signal.reason instanceof AgentStopping) stopping.abort(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  const onWait = () => log.add("warn", "Docker does not answer; cleaning up waits until it does");
  await dockerAnswers(deps, { patienceMs: CLEANUP_MS, signal: stopping.signal, onWait });
  signal.removeEventListener("abort", onAbort);
  stopping.signal.throwIfAborted();
}

/** Removes only what this operation created, found by its label, so that it also holds after a restart of the agent. */
async function cleanUp(
  deps: OperationDeps,
  command: ConvergentCommand,
  course: Course,
  failure: unknown,
): Promise<void> {
  const { log } = course;
  if (command.kind === "restart" && course.container !== undefined && !isMismatch(failure)) {
    await attempt(log, "restore the restart policy", () =>
      deps.docker.setRestartPolicy(course.container?.id ?? "", "unless-stopped"),
    );
  }
  await attempt(log, "clean up", () =>
    within(deps.clock, CLEANUP_MS, "clean up", (signal) => removeOwn(deps, command, { ...course, signal })),
  );
  if (command.kind === "restart" || command.kind === "stop") {
    await attempt(log, "see what runs now", () => sayWhatRuns(deps, command, log));
  }
  if (isMismatch(failure)) {
    await attempt(log, "note that it is stopped", async () =>
      deps.journal.services.change(command.serviceId, { desired: "stopped" }),
    );
  }
}

async function removeOwn(deps: OperationDeps, command: ConvergentCommand, course: Course): Promise<void> {
  const { docker, journal, agentId } = deps;
  const { log, signal, making } = course;
  if (making === undefined) return;
  const { environmentId, volumeId } = making.spec;
  const isOwn = ({ labels }: { labels: Record<string, string> }) =>
    labels[LABEL.operation] === command.operationId && labels[LABEL.agent] === agentId;
  const { serviceId, generation } = command;
  const found = await lookAtService(docker, { agentId, serviceId, generation, environmentId, volumeId }, signal);
  // Its record went with a journal: what this operation made may have become a database since.
  if (command.kind === "deploy" && found.volumes.some(({ name }) => journal.volumes.get(name) === undefined)) {
    log.add("info", "Nothing was removed: it is not written down what the data volume holds");
    return;
  }
  for (const container of found.containers.filter(isOwn)) {
    if (!course.outputSeen) await readLastLines(docker, container.id, (line) => log.add("output", line), signal);
    if (command.kind === "restart") await docker.stopContainer(container.id, course.stopGraceMs, signal);
    await docker.removeContainer(container.id, signal);
    log.add("info", `Container ${container.name}: removed, because this operation created it`);
  }
  let kept = found.volumes.filter((volume) => !isOwn(volume)).length;
  for (const { name } of found.volumes.filter(isOwn)) {
    const record = journal.volumes.get(name);
    if (record === undefined || record.ready !== undefined) {
      const why = record === undefined ? "nothing is written down of what it holds" : "it holds a finished database";
      log.add("info", `Volume ${name}: kept, ${why}`);
      kept += 1;
      continue;
    }
    await docker.removeVolume(name, signal);
    journal.volumes.remove(name);
    log.add("info", `Volume ${name}: removed, because this operation created it and it never became ready`);
  }
  // A deploy that has come to nothing needs its address no more, and whoever leaves last takes the network along. A
  // restart's service stays, and so does its address.
  const isOver = command.kind === "deploy" && kept === 0 && found.containers.every(isOwn);
  if (isOver && found.network !== undefined) {
    for (const { name, what } of await deps.environments.leave(environmentId, serviceId, signal)) {
      log.add("info", `Network ${name}: ${what}`);
    }
    return;
  }
  // The next Restart makes it again; a container that is still in it keeps it.
  if (found.outgoing === undefined) return;
  for (const { name, what } of await deps.environments.outgoing.leave(environmentId, serviceId, signal)) {
    log.add("info", `Network ${name}: ${what}`);
  }
}

/** A restart or stop that ended half-way has left the database in one of two states; the reader has to know in which. */
async function sayWhatRuns({ docker, agentId }: OperationDeps, { serviceId, kind }: KeptCommand, log: OperationLog) {
  const containers = (await docker.listContainers(serviceLabel(serviceId))).filter(
    (one) => one.labels[LABEL.agent] === agentId && !isJob(one),
  );
  const running = containers.find(({ state }) => state === "running" || state === "restarting");
  if (running === undefined) return log.add("warn", "The database is not running now. Restart starts it.");
  const more = kind === "stop" ? "; a stop that Docker has begun still goes on" : "";
  log.add("warn", `Container ${running.name} is running now${more}.`);
}

/** Cleaning up goes on after a failure of its own; what could not be done stands in the log. */
async function attempt(log: OperationLog, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.add("error", `Could not ${what}: ${messageOf(error)}`);
  }
}

function isMismatch(failure: unknown): boolean {
  return isAppError(failure) && failure.code === "identity_mismatch";
}

function timingsOf({ pullMs, engineMs }: Course, totalMs: number): Timings {
  const rounded = { totalMs: Math.round(totalMs), pullMs: Math.round(pullMs), engineMs: Math.round(engineMs) };
  return { ...rounded, ownMs: Math.max(0, rounded.totalMs - rounded.pullMs - rounded.engineMs) };
}

/** What is not one of our own failures is a bug of ours: the stack goes to the agent's log, the sentence to the user. */
export function describeFailure(log: Log, { operationId, kind }: KeptCommand, failure: unknown): Failure {
  if (isAppError(failure)) {
    const message = failure.message.slice(0, 4_000);
    return { code: failure.code, message, ...(failure.hint === undefined ? {} : { hint: failure.hint }) };
  }
  log.error({ operationId, kind, err: failure }, "an operation failed by a bug");
  const cause = failure instanceof AppError ? failure : undefined;
  return {
    code: cause?.code ?? "internal",
    message: `internal error of the agent: ${messageOf(failure)}`.slice(0, 4_000),
  };
}
