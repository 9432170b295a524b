/** Opens what cannot be opened on a full disk, as soon as it can: a server whose disk was full has its agent back by itself. */
import { isAppError } from "@dflow/protocol";
import type { Clock, Log } from "../deps.ts";
import { sleep } from "../waiting.ts";

const RETRY_MS = 1_000;
const TELL_EVERY = 60;

/** Tries again on `disk_full`, for as long as it takes; says so at first and once a minute. Any other error is thrown. */
export async function whenThereIsRoom<T>({ clock, log }: { clock: Clock; log: Log }, open: () => T): Promise<T> {
  for (let tried = 0; ; tried += 1) {
    try {
      return open();
    } catch (error) {
      if (!isAppError(error) || error.code !== "disk_full") throw error;
      if (tried % TELL_EVERY === 0) log.error({ err: error, hint: error.hint }, "the agent waits for room on its disk");
      await sleep(clock, RETRY_MS);
    }
  }
}
