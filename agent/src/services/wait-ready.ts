/** Waits until the engine itself answers, and hands on what the container says meanwhile. */
import type { Readable } from "node:stream";
import { AppError, isAppError } from "@dflow/protocol";
import type { Clock } from "../deps.ts";
import type { CommandOutcome, Docker, FoundContainer } from "../docker/docker.ts";
import type { Engine, Probed } from "../engines/engine.ts";
import { createLineReader } from "../logs/lines.ts";
import { describeMs, sleep } from "../waiting.ts";

const POLL_MS = 250;
/** The last words of a container that ended are on their way for a moment. */
const LAST_WORDS_MS = 1_000;

export interface ReadyRequest {
  container: { id: string; name: string };
  engine: Engine;
  serviceName: string;
  timeoutMs: number;
  /** Seconds since 1970 of the container's start: older lines are of an earlier run. */
  since: string;
  signal: AbortSignal;
  onOutput(line: string): void;
}

export async function waitReady(deps: { docker: Docker; clock: Clock }, request: ReadyRequest): Promise<Probed> {
  const { clock } = deps;
  const output = await followOutput(deps, request);
  try {
    return await pollUntilReady(deps, request);
  } catch (error) {
    await Promise.race([output.ended, sleep(clock, LAST_WORDS_MS)]);
    throw error;
  } finally {
    output.stop();
  }
}

async function pollUntilReady(deps: { docker: Docker; clock: Clock }, request: ReadyRequest): Promise<Probed> {
  const { docker, clock } = deps;
  const { container, engine, serviceName, timeoutMs, signal } = request;
  const { command, user } = engine.probe({ name: serviceName });
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  let startedAt: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    const outcome = await probe(docker, container.id, command, user, signal);
    const probed = outcome === undefined ? undefined : engine.readProbe(outcome);
    if (probed !== undefined) return probed;
    const found = await docker.findContainer(container.id, signal);
    startedAt ??= found?.startedAt;
    throwIfEnded(container.name, found, startedAt);
    if (clock.monotonicMs() >= deadlineMs) {
      throw new AppError("not_ready", `${serviceName} did not answer within ${describeMs(timeoutMs)}`, {
        hint: "The container's own log, above, says what it was doing.",
      });
    }
    await sleep(clock, POLL_MS, signal);
  }
}

/** A command that could not be run is no answer; an engine that does not answer at all is a failure. */
async function probe(
  docker: Docker,
  id: string,
  command: string[],
  user: string,
  signal: AbortSignal,
): Promise<CommandOutcome | undefined> {
  try {
    return await docker.runInside(id, command, user, signal);
  } catch (error) {
    if (isAppError(error) && error.code === "docker_failed") return undefined;
    throw error;
  }
}

/** A container that Docker has started again in between has ended as well. */
function throwIfEnded(name: string, found: FoundContainer | undefined, startedAt: string | undefined): void {
  if (found === undefined) throw new AppError("container_exited", `container ${name} was removed while it started`);
  if (found.state === "running" && found.startedAt === startedAt) return;
  if (found.oomKilled) {
    throw new AppError("out_of_memory", `container ${name} ran out of memory (exit code ${found.exitCode})`, {
      hint: "A limit is set when a service is made (memoryBytes): make it anew with a larger one. Without a limit the server has too little.",
    });
  }
  throw new AppError("container_exited", `container ${name} exited with code ${found.exitCode} before it was ready`, {
    hint: "The container's own log, above, says why.",
  });
}

/** Copies the container's log while it starts. Not being able to is no reason to fail the start. */
async function followOutput(
  { docker }: { docker: Docker },
  { container, since, signal, onOutput }: ReadyRequest,
): Promise<{ ended: Promise<void>; stop(): void }> {
  let stream: Readable | undefined;
  try {
    stream = await docker.openLogs(container.id, { follow: true, tail: null, since, timestamps: false }, signal);
  } catch (error) {
    if (signal.aborted || !isAppError(error)) throw error;
    onOutput(`(the container's log cannot be read: ${error.message})`);
  }
  const followed = stream;
  if (followed === undefined) return { ended: Promise.resolve(), stop: () => undefined };
  const reader = createLineReader(({ text }) => {
    if (text.trim() !== "") onOutput(text);
  });
  followed.on("data", (chunk: Buffer) => reader.feed(chunk));
  const ended = new Promise<void>((resolve) => {
    // Destroying the stream below ends it with an error, which says nothing new.
    followed.on("error", () => resolve());
    followed.on("close", resolve);
    followed.on("end", () => {
      reader.end();
      resolve();
    });
  });
  return { ended, stop: () => followed.destroy() };
}
