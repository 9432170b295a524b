/** Which of the images that this agent pulled may go. Pure. */
import type { ImageRecord } from "../journal/journal.ts";

export const KEEP_UNUSED_MS = 7 * 86_400_000;

export interface ImageSight {
  /** What the reference means in Docker now. */
  presentId: string | undefined;
  /** Ids of what containers, anybody's, and services of this agent use. */
  usedIds: ReadonlySet<string>;
  /** Age of `unusedSince`. */
  unusedMs: number | undefined;
}

/** `forget` is about the record only: the image is not there, or the name means another one, which we did not pull. */
export type ImageVerdict = "keep" | "forget" | "mark_used" | "mark_unused" | "remove";

export function judgeImage({ imageId }: ImageRecord, { presentId, usedIds, unusedMs }: ImageSight): ImageVerdict {
  if (presentId !== imageId) return "forget";
  if (usedIds.has(imageId)) return unusedMs === undefined ? "keep" : "mark_used";
  if (unusedMs === undefined) return "mark_unused";
  return unusedMs >= KEEP_UNUSED_MS ? "remove" : "keep";
}
