/**
 * What has to become of a frame, by the protocol's description (protocol/src/wire/frames.ts, its comment; close-codes.ts).
 * It knows nothing of how either side is written. Pure.
 */
import { envelopeOf, isId, type Shape, TO_AGENT, TO_CONTROL_PLANE } from "./shapes.ts";

export const MALFORMED = 4400;
export const NOT_PROVED = 4401;
export const TOO_BIG = 1009;
/** Both are going, one of them for now. */
export const GOING_AWAY = 1001;

const JSON_MAX_BYTES = 262_144;
const PRE_AUTH_MAX_BYTES = 8_192;
const LOG_PAYLOAD_MAX_BYTES = 65_536;
const LOG_HEADER_BYTES = 14;

export type Verdict =
  | { is: "closed"; code: number }
  /** Counted and taken. */
  | { is: "taken"; seq: number; type: string; data: unknown }
  /** Counted, and answered: by `error`, or by a rejecting `ack` where it names an operation. */
  | { is: "unknown"; seq: number; operationId?: string }
  /** Of no effect: seen before. */
  | { is: "dropped" }
  /** Broken, and under a number that was seen before: both rules hold. */
  | { is: "dropped or closed"; code: number };

const closed = (code: number): Verdict => ({ is: "closed", code });

export interface Heard {
  lastSeq: number;
  /** 0 until there is one. */
  session: number;
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

function judgeEnvelope(text: string, { lastSeq, session }: Heard, shapes: Readonly<Record<string, Shape>>): Verdict {
  if (Buffer.byteLength(text) > JSON_MAX_BYTES) return closed(TOO_BIG);
  const envelope = envelopeOf(parsed(text));
  if (envelope === undefined) return closed(MALFORMED);
  const { type, seq, data } = envelope;
  const shape = Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  const isWhole = shape === undefined || shape(data);
  const isCommand = type === "command" && shapes === TO_AGENT;
  if (seq <= lastSeq) return isWhole || isCommand ? { is: "dropped" } : { is: "dropped or closed", code: MALFORMED };
  if (seq > lastSeq + 1 || envelope.session !== session) return closed(MALFORMED);
  if (shape !== undefined && isWhole) return { is: "taken", seq, type, data };
  // A command of a kind that only a newer control plane has is no reason to part.
  if (shape !== undefined && !isCommand) return closed(MALFORMED);
  const operationId = isCommand ? (data as { operationId?: unknown } | undefined | null)?.operationId : undefined;
  return { is: "unknown", seq, ...(isId(operationId) ? { operationId: operationId as string } : {}) };
}

export type AgentPhase = "challenge" | "welcome" | "online";

/** A text that reaches an agent. `challenge` and `welcome` are judged by form and moment only, not by what they prove. */
export function judgeTextToAgent(text: string, heard: Heard, phase: AgentPhase): Verdict {
  const verdict = judgeEnvelope(text, heard, TO_AGENT);
  if (phase === "online") {
    if (verdict.is !== "taken") return verdict;
    if (verdict.type === "drain") return closed(GOING_AWAY);
    return verdict.type === "challenge" || verdict.type === "welcome" ? closed(MALFORMED) : verdict;
  }
  if (verdict.is === "unknown") return closed(MALFORMED);
  if (verdict.is !== "taken" || verdict.type === "error" || verdict.type === phase) return verdict;
  return closed(MALFORMED);
}

export type ControlPlanePhase = "challenged" | "authenticating" | "welcomed" | "online";

/** A text that reaches a control plane. What `auth` and `ready` prove is not judged here. */
export function judgeTextToControlPlane(text: string, heard: Heard, phase: ControlPlanePhase): Verdict {
  const isProved = phase === "welcomed" || phase === "online";
  if (!isProved && Buffer.byteLength(text) > PRE_AUTH_MAX_BYTES) return closed(TOO_BIG);
  const verdict = judgeEnvelope(text, heard, TO_CONTROL_PLANE);
  if (verdict.is !== "taken") return verdict;
  const { type } = verdict;
  if (phase === "online") return type === "auth" || type === "ready" ? closed(MALFORMED) : verdict;
  if ((phase === "challenged" && type === "auth") || (phase === "welcomed" && type === "ready")) return verdict;
  return closed(NOT_PROVED);
}

/** Bytes that reach a control plane: nothing but log data, and only in a session. */
export function judgeBytesToControlPlane(bytes: Uint8Array, phase: ControlPlanePhase): Verdict {
  const isLogData =
    bytes.length >= LOG_HEADER_BYTES &&
    bytes.length <= LOG_HEADER_BYTES + LOG_PAYLOAD_MAX_BYTES &&
    bytes[0] === 1 &&
    ((bytes[1] ?? 0) & ~3) === 0 &&
    Buffer.from(bytes).readBigUInt64BE(6) <= 9_007_199_254_740_991n;
  return isLogData && phase === "online"
    ? { is: "taken", seq: 0, type: "log data", data: undefined }
    : closed(MALFORMED);
}

/** What contradicts a verdict, in words; `ended` is the code of the close that followed at once, if any. */
export function contradiction(verdict: Verdict, ended: number | undefined): string | undefined {
  const was = ended === undefined ? "kept open" : `closed with ${ended}`;
  const wanted = "code" in verdict ? `${verdict.is} with ${verdict.code}` : verdict.is;
  const isRight =
    verdict.is === "closed"
      ? ended === verdict.code
      : ended === undefined || (verdict.is === "dropped or closed" && ended === verdict.code);
  return isRight ? undefined : `had to be ${wanted}, and was ${was}`;
}
