/** The border of the link: text that arrived becomes a known frame, or what to answer instead. Pure. */
import { judgeSequence, LINK_LIMITS, type ToControlPlane, toControlPlaneSchema } from "@dflow/protocol";
import { z } from "zod";

const envelopeSchema = z.object({
  type: z.string().max(64),
  seq: z.number().int().positive(),
  session: z.number().int().nonnegative(),
  data: z.unknown(),
});

const KNOWN_TYPES: ReadonlySet<string> = new Set(toControlPlaneSchema.options.map((option) => option.shape.type.value));

export type FrameVerdict =
  | { verdict: "frame"; frame: ToControlPlane }
  /** Seen before: nothing to do. */
  | { verdict: "repeated" }
  /** A type of a newer agent: counted, answered with `error` and otherwise ignored. */
  | { verdict: "unknown"; type: string; seq: number }
  | { verdict: "too_big" }
  | { verdict: "bad"; reason: string };

/** `lastSeq` and `session` are what this socket has come to. */
export function readFrame(text: string, lastSeq: number, session: number): FrameVerdict {
  // A text's UTF-8 is never shorter than its length, so most frames are not measured twice.
  if (text.length > LINK_LIMITS.jsonBytes || Buffer.byteLength(text) > LINK_LIMITS.jsonBytes) {
    return { verdict: "too_big" };
  }
  const json = parseJson(text);
  if (json === undefined) return { verdict: "bad", reason: "not JSON" };
  const envelope = envelopeSchema.safeParse(json);
  if (!envelope.success) return { verdict: "bad", reason: "not a frame" };
  const { type, seq } = envelope.data;
  const order = judgeSequence(lastSeq, seq);
  if (order === "drop") return { verdict: "repeated" };
  if (order === "gap") return { verdict: "bad", reason: `frame ${seq} after ${lastSeq}` };
  if (envelope.data.session !== session) return { verdict: "bad", reason: "frame of another session" };
  if (!KNOWN_TYPES.has(type)) return { verdict: "unknown", type, seq };
  const frame = toControlPlaneSchema.safeParse(json);
  if (!frame.success) {
    const [issue] = frame.error.issues;
    return { verdict: "bad", reason: `${type}: ${issue?.path.join(".")}: ${issue?.message}`.slice(0, 100) };
  }
  return { verdict: "frame", frame: frame.data };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What is wrong with it interests nobody: the socket ends, and the close frame says so.
    return undefined;
  }
}
