/** Stops a database that came up as another one than its volume should hold, whatever else happens to the operation. */
import { isAppError } from "@dflow/protocol";
import type { Clock } from "../deps.ts";
import type { Docker } from "../docker/docker.ts";
import { sleep } from "../waiting.ts";

const ATTEMPTS = 5;
const RETRY_MS = 2_000;

/** False when Docker would not. No signal: a cancel must not leave it serving; each call ends by itself. */
export async function stopForeign(
  { clock, docker }: { clock: Clock; docker: Docker },
  container: { id: string; name: string },
  graceMs: number,
  onFailure: (text: string) => void,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await docker.setRestartPolicy(container.id, "no");
      await docker.stopContainer(container.id, graceMs);
      return true;
    } catch (error) {
      if (!isAppError(error)) throw error;
      onFailure(`Container ${container.name} could not be stopped: ${error.message}`);
      if (attempt === ATTEMPTS) return false;
      await sleep(clock, RETRY_MS);
    }
  }
}
