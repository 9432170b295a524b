import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffMs, linkBackoff } from "../backoff.ts";
import { formatEnrolmentToken, parseEnrolmentToken } from "./enrol.ts";
import { toAgentSchema, toControlPlaneSchema } from "./frames.ts";
import { decodeLogData, encodeLogData } from "./log-data.ts";
import { judgeSequence } from "./sequence.ts";

const id = "01a208c8-f173-7a56-8c78-cbdd8ca14c54";

describe("log data", () => {
  it("comes back as it went", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        fc.boolean(),
        fc.boolean(),
        fc.uint8Array({ maxLength: 200 }),
        (streamId, offset, stderr, gap, payload) => {
          expect(decodeLogData(encodeLogData({ streamId, offset, stderr, gap, payload }))).toEqual({
            ...{ streamId, offset, stderr, gap, payload },
          });
        },
      ),
    );
  });

  it("is undefined for bytes that are not a frame, and never throws", () => {
    expect(decodeLogData(new Uint8Array(13))).toBeUndefined();
    expect(decodeLogData(new Uint8Array(14))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeLogData(bytes);
      }),
    );
  });
});

describe("frames", () => {
  it("hold no index of a log's line that could not be counted on from", () => {
    const progress = (from: number) => ({
      ...{ type: "progress", seq: 1, session: 1 },
      data: { operationId: id, from, lines: [{ ageMs: 0, level: "info", text: "x" }] },
    });
    expect(toControlPlaneSchema.safeParse(progress(2 ** 48)).success).toBe(true);
    expect(toControlPlaneSchema.safeParse(progress(Number.MAX_SAFE_INTEGER)).success).toBe(false);
  });

  it("hold no age that a date could not", () => {
    const beat = (observedAgeMs: number) => ({
      ...{ type: "heartbeat", seq: 1, session: 1 },
      data: { observedAgeMs, dockerOk: true, running: [], streams: 0, rssBytes: 1 },
    });
    const result = (endedAgeMs: number) => ({
      ...{ type: "result", seq: 1, session: 1 },
      data: { operationId: id, state: "succeeded", lineCount: 0, endedAgeMs },
    });
    for (const frame of [beat, result]) {
      expect(toControlPlaneSchema.safeParse(frame(50 * 366 * 24 * 3_600_000)).success).toBe(true);
      expect(toControlPlaneSchema.safeParse(frame(Number.MAX_SAFE_INTEGER)).success).toBe(false);
    }
  });

  it("are refused when the type is unknown or a counter is missing", () => {
    expect(toAgentSchema.safeParse({ type: "format_disk", seq: 1, session: 1, data: {} }).success).toBe(false);
    expect(toAgentSchema.safeParse({ type: "cancel", session: 1, data: { operationId: id } }).success).toBe(false);
    expect(toAgentSchema.safeParse({ type: "cancel", seq: 1, session: 1, data: { operationId: id } }).success).toBe(
      true,
    );
  });

  it("lose unknown fields, so that a newer peer can say more", () => {
    const parsed = toControlPlaneSchema.parse({
      ...{ type: "ack", seq: 1, session: 1 },
      data: { operationId: id, outcome: "accepted", mood: "good" },
    });
    expect(parsed.data).toEqual({ operationId: id, outcome: "accepted" });
  });
});

describe("sequence", () => {
  it("accepts the next, drops what came already, and names a gap", () => {
    expect([judgeSequence(0, 1), judgeSequence(3, 3), judgeSequence(3, 2), judgeSequence(3, 5)]).toEqual([
      ...["accept", "drop", "drop", "gap"],
    ]);
  });
});

describe("enrolment token", () => {
  const token = { kind: "join", tokenId: id, secret: "s".repeat(43), controlPlaneId: "k".repeat(43) } as const;

  it("comes back as it went, with the white space of a pasted line, whatever it is for", () => {
    for (const one of [token, { ...token, kind: "rekey" } as const]) {
      expect(parseEnrolmentToken(` ${formatEnrolmentToken(one)}\n`)).toEqual(one);
    }
  });

  it.each(["", "jt1", `jt2.${id}.${token.secret}.${token.controlPlaneId}`, `jt1.${id}.${token.secret}`])(
    "is not %j",
    (text) => {
      expect(parseEnrolmentToken(text)).toBeUndefined();
    },
  );
});

describe("backoff", () => {
  const MINUTE_MS = 60_000;

  it("is spread over the whole window, grows to the cap and is never zero", () => {
    const limits = { baseMs: 1_000, capMs: 60_000 };
    fc.assert(
      fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999999, noNaN: true }), (attempt, random) => {
        const delay = backoffMs(attempt, () => random, limits);
        expect(delay).toBeGreaterThanOrEqual(50);
        expect(delay).toBeLessThanOrEqual(limits.capMs);
      }),
    );
    expect([0, 3, 20].map((attempt) => backoffMs(attempt, () => 0.5, limits))).toEqual([500, 4_000, 30_000]);
  });

  it.each([
    [0, 15_000],
    [5 * MINUTE_MS - 1, 15_000],
    [5 * MINUTE_MS, 60_000],
    [60 * MINUTE_MS - 1, 60_000],
    [60 * MINUTE_MS, 5 * MINUTE_MS],
    [1e12, 5 * MINUTE_MS],
  ])("of an agent that is away for %i ms ends at %i ms", (awayMs, capMs) => {
    expect(linkBackoff(awayMs).capMs).toBe(capMs);
  });
});
