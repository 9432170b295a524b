/** Removes the images that this agent pulled and that nobody has used for a week: at start and every day. */
import { messageOf } from "@dflow/protocol";
import type { Clock, Log } from "../deps.ts";
import type { Docker } from "../docker/docker.ts";
import type { ImageRecord, Journal } from "../journal/journal.ts";
import { ageMs, stampNow } from "../journal/stamp.ts";
import { judgeImage } from "./retention.ts";

export interface ImageSweepDeps {
  clock: Clock;
  docker: Docker;
  journal: Pick<Journal, "images" | "services">;
  log: Log;
}

export interface ImageSweep {
  start(): void;
  stop(): void;
}

const EVERY_MS = 86_400_000;
/** Docker may be away for a while. */
const RETRY_MS = 3_600_000;

export function createImageSweep(deps: ImageSweepDeps): ImageSweep {
  const controller = new AbortController();
  let cancel = () => {};
  const run = async () => {
    let nextMs = EVERY_MS;
    try {
      await sweepImages(deps, controller.signal);
    } catch (error) {
      if (controller.signal.aborted) return;
      deps.log.warn({ reason: messageOf(error) }, "unused images could not be looked for; it is tried again later");
      nextMs = RETRY_MS;
    }
    if (!controller.signal.aborted) cancel = deps.clock.after(nextMs, () => void run());
  };
  return {
    start: () => void run(),
    stop() {
      cancel();
      controller.abort(new Error("the agent stops"));
    },
  };
}

/** Idempotent. A name that the agent did not pull is never touched, whatever uses it. */
export async function sweepImages(deps: ImageSweepDeps, signal: AbortSignal): Promise<void> {
  const { clock, docker, journal } = deps;
  const records = journal.images.all();
  if (records.length === 0) return;
  const usedIds = await docker.imagesInUse(signal);
  // By id: a service may name the same image in another way.
  for (const reference of referred(journal)) {
    const image = await docker.findImage(reference, signal);
    if (image !== undefined) usedIds.add(image.id);
  }
  for (const record of records) {
    const presentId = (await docker.findImage(record.reference, signal))?.id;
    const unusedMs = record.unusedSince === undefined ? undefined : ageMs(clock, record.unusedSince);
    switch (judgeImage(record, { presentId, usedIds, unusedMs })) {
      case "keep":
        break;
      case "forget":
        journal.images.remove(record.reference);
        break;
      case "mark_used":
        journal.images.markUsed(record.reference);
        break;
      case "mark_unused":
        journal.images.put({ ...record, unusedSince: stampNow(clock) });
        break;
      case "remove":
        await remove(deps, record, signal);
    }
  }
}

async function remove(
  { docker, journal, log }: ImageSweepDeps,
  { reference, imageId }: ImageRecord,
  signal: AbortSignal,
) {
  // A command that was accepted since the look may be about to use it.
  if (referred(journal).has(reference)) return;
  const outcome = await docker.removeImage(reference, signal);
  if (outcome === "in_use") {
    log.info({ reference, imageId }, "an unused image was kept, because Docker says that it is in use");
    return;
  }
  journal.images.remove(reference);
  log.info({ reference, imageId, outcome }, "an image that nobody used for 7 days was removed");
}

/** Also of services that never came up: their next deploy wants it. */
function referred({ services }: Pick<Journal, "services">): Set<string> {
  const live = services.all().filter(({ deleted }) => !deleted);
  return new Set(live.flatMap(({ spec }) => (spec === undefined ? [] : [spec.image])));
}
