/** Parses what the control plane sends, once, at the border. Unknown things are told apart from broken ones. Pure. */
import { idSchema, LINK_LIMITS, type ToAgent, toAgentSchema } from "@dflow/protocol";
import { z } from "zod";

export type Received =
  | { verdict: "frame"; seq: number; session: number; frame: ToAgent }
  | { verdict: "unsupported"; seq: number; session: number; type: string; operationId?: string; reason: string }
  | { verdict: "malformed"; reason: string };

const envelopeSchema = z.object({
  type: z.string().max(64),
  seq: z.number().int().positive(),
  session: z.number().int().nonnegative(),
  data: z.unknown(),
});
const operationSchema = z.object({ operationId: idSchema });

export function readFrame(text: string): Received {
  if (text.length > LINK_LIMITS.jsonBytes) return { verdict: "malformed", reason: "frame over the limit" };
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
  // Never the value itself: it may be a secret.
  const reason = `${type}: ${issue?.path.join(".") ?? ""} ${issue?.code ?? "is not valid"}`;
  const operationId = operationSchema.safeParse(data).data?.operationId;
  const isKnown = toAgentSchema.options.some((option) => option.shape.type.value === type);
  // A newer control plane may know frames and commands that we do not; that is no reason to part.
  if (isKnown && type !== "command") return { verdict: "malformed", reason };
  return { verdict: "unsupported", seq, session, type, reason, ...(operationId === undefined ? {} : { operationId }) };
}
