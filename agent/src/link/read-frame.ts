/** Parses what the control plane sends, once, at the border. Unknown things are told apart from broken ones. Pure. */
import { idSchema, LINK_LIMITS, type ToAgent, toAgentSchema } from "@dflow/protocol";
import { z } from "zod";

export type Received =
  | { verdict: "frame"; seq: number; session: number; frame: ToAgent }
  | { verdict: "unsupported"; seq: number; session: number; type: string; operationId?: string; reason: string }
  | { verdict: "malformed"; reason: string }
  | { verdict: "too_big" };

const envelopeSchema = z.object({
  type: z.string().max(64),
  seq: z.number().int().positive(),
  session: z.number().int().nonnegative(),
  data: z.unknown(),
});
/** The reason has to find room in a close frame's log line and in the message of an `error`. */
const PLACE_MAX = 100;
const operationSchema = z.object({ operationId: idSchema });

export function readFrame(text: string): Received {
  // A text's UTF-8 is never shorter than its length, so most frames are not measured twice.
  if (text.length > LINK_LIMITS.jsonBytes || Buffer.byteLength(text) > LINK_LIMITS.jsonBytes) {
    return { verdict: "too_big" };
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return { verdict: "malformed", reason: "not JSON" };
    throw error;
  }
  const envelope = envelopeSchema.safeParse(json);
  if (!envelope.success) return { verdict: "malformed", reason: "not a frame" };
  const { type, seq, session, data } = envelope.data;
  const parsed = toAgentSchema.safeParse(json);
  if (parsed.success) return { verdict: "frame", seq, session, frame: parsed.data };
  const [issue] = parsed.error.issues;
  // Never the value itself: it may be a secret. Names of fields can be as long as a frame.
  const place = issue?.path.join(".").slice(0, PLACE_MAX) ?? "";
  const reason = `${type}: ${place} ${issue?.code ?? "is not valid"}`;
  // What else names an operation only wants to talk about it: it may be under way.
  const operationId = type === "command" ? operationSchema.safeParse(data).data?.operationId : undefined;
  const isKnown = toAgentSchema.options.some((option) => option.shape.type.value === type);
  // A newer control plane may know frames and commands that we do not; that is no reason to part.
  if (isKnown && type !== "command") return { verdict: "malformed", reason };
  return { verdict: "unsupported", seq, session, type, reason, ...(operationId === undefined ? {} : { operationId }) };
}
