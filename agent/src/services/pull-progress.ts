/** Turns the registry's hundreds of progress events into a few lines a layer that a person can read. Pure but for its memory. */
import type { PullEvent } from "../docker/docker.ts";

const SAID_ONCE = new Set(["Pulling fs layer", "Download complete", "Already exists", "Pull complete"]);
const SILENT = new Set(["Waiting", "Verifying Checksum", "Extracting", ""]);
/** A line a quarter of a layer, and only of layers that take time. */
const QUARTERS = 4;
const WORTH_A_LINE_BYTES = 4 * 1024 * 1024;

export function createPullProgress(say: (line: string) => void): (event: PullEvent) => void {
  const quarters = new Map<string, number>();
  return ({ layer, status, currentBytes, totalBytes }) => {
    if (layer === undefined) return say(status);
    if (SILENT.has(status)) return;
    if (SAID_ONCE.has(status)) return say(`${layer}: ${status}`);
    if (status === "Downloading") {
      if (currentBytes === undefined || totalBytes === undefined || totalBytes < WORTH_A_LINE_BYTES) return;
      const quarter = Math.floor((currentBytes / totalBytes) * QUARTERS);
      if (quarter <= (quarters.get(layer) ?? 0)) return;
      quarters.set(layer, quarter);
      return say(`${layer}: Downloading ${mebibytes(currentBytes)} of ${mebibytes(totalBytes)} MiB`);
    }
    // "Pulling from library/postgres" carries the tag in the layer's place.
    say(`${layer}: ${status}`);
  };
}

const mebibytes = (bytes: number) => (bytes / 1024 / 1024).toFixed(1);
