/** Waits on an injected clock, each with an end: sleep, deadline, one at a time. */
import { AppError } from "@dflow/protocol";
import type { Clock } from "./deps.ts";

/** Resolves after the delay; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Runs `work` under a deadline. What it started is told to end by the signal it is given. */
export async function within<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  const onOuter = () => controller.abort(outer?.reason);
  if (outer?.aborted) onOuter();
  outer?.addEventListener("abort", onOuter, { once: true });
  const cancel = clock.after(limitMs, () =>
    controller.abort(new AppError("timed_out", `${what}: no answer within ${describeMs(limitMs)}`)),
  );
  const ended = new Promise<never>((_, reject) => {
    if (controller.signal.aborted) reject(controller.signal.reason);
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
  });
  try {
    return await Promise.race([work(controller.signal), ended]);
  } finally {
    cancel();
    outer?.removeEventListener("abort", onOuter);
  }
}

/** "350 ms", "12 s", "5 min": how people say a duration. */
export function describeMs(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 120_000) return `${Number((durationMs / 1_000).toFixed(1))} s`;
  return `${Math.round(durationMs / 60_000)} min`;
}

/** Lets one caller at a time through, in the order of arrival. */
export type OneAtATime = <T>(work: () => Promise<T>) => Promise<T>;

export function createOneAtATime(): OneAtATime {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work, work);
    // The next caller waits for the end of this one, not for its success.
    last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  };
}
