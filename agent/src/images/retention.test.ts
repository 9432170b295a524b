import { expect, test } from "vitest";
import { type ImageVerdict, judgeImage, KEEP_UNUSED_MS } from "./retention.ts";

const record = { reference: "postgres:17", imageId: "ours", pulledAt: { bootId: "b", monotonicMs: 0, wallMs: 0 } };
const DAY_MS = 86_400_000;

const TABLE: [what: string, present: string | undefined, used: string[], unusedMs: number | undefined, ImageVerdict][] =
  [
    ["in use", "ours", ["ours"], undefined, "keep"],
    ["in use again", "ours", ["ours", "other"], 6 * DAY_MS, "mark_used"],
    ["in use again, after a long time", "ours", ["ours"], 99 * DAY_MS, "mark_used"],
    ["unused since now", "ours", ["other"], undefined, "mark_unused"],
    ["unused for a while", "ours", [], KEEP_UNUSED_MS - 1, "keep"],
    ["unused for seven days", "ours", [], KEEP_UNUSED_MS, "remove"],
    ["removed by somebody", undefined, [], 99 * DAY_MS, "forget"],
    ["under a name that means another image now", "theirs", [], 99 * DAY_MS, "forget"],
    ["under a name that means another image now, which is used", "theirs", ["theirs"], undefined, "forget"],
  ];

test.each(TABLE)("an image that is %s", (_what, presentId, used, unusedMs, verdict) => {
  expect(judgeImage(record, { presentId, usedIds: new Set(used), unusedMs })).toBe(verdict);
});
