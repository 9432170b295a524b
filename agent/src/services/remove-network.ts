/** Removes a network that nobody should need any more. Docker itself says whether somebody still does. */
import { isAppError } from "@dflow/protocol";
import type { Docker } from "../docker/docker.ts";

export type NetworkRemoval = { outcome: "removed" | "absent" } | { outcome: "in_use"; words: string };

/** That somebody else's container is in it is an answer and no failure; whoever comes next finds it again. */
export async function removeNetwork(
  docker: Pick<Docker, "removeNetwork">,
  id: string,
  signal?: AbortSignal,
): Promise<NetworkRemoval> {
  try {
    return { outcome: (await docker.removeNetwork(id, signal)) ? "removed" : "absent" };
  } catch (error) {
    if (!isAppError(error) || error.code !== "docker_failed") throw error;
    return { outcome: "in_use", words: error.message };
  }
}
