/** Waits for a Docker engine that is away: after a reboot, or because it is being restarted in the middle of an operation. */
import { isAppError } from "@dflow/protocol";
import type { Clock } from "../deps.ts";
import type { Docker } from "../docker/docker.ts";
import { sleep } from "../waiting.ts";

const RETRY_MS = 1_000;

export interface DockerAnswersRequest {
  patienceMs: number;
  signal: AbortSignal;
  /** Once, when the first question stays without an answer. */
  onWait?(): void;
}

/** Returns when it answers, when the patience is over, or on abort: whoever asks it next hears how it is. */
export async function dockerAnswers(
  { clock, docker }: { clock: Clock; docker: Pick<Docker, "version"> },
  { patienceMs, signal, onWait }: DockerAnswersRequest,
): Promise<void> {
  const untilMs = clock.monotonicMs() + patienceMs;
  for (let told = false; ; told = true) {
    try {
      await docker.version(signal);
      return;
    } catch (error) {
      if (signal.aborted || !isAppError(error) || clock.monotonicMs() >= untilMs) return;
      if (!told) onWait?.();
      await sleep(clock, RETRY_MS, signal).catch(() => undefined);
    }
  }
}
