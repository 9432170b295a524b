/** Enrolment over HTTPS, once per agent: the token's secret is a MAC key and never travels. */
import { z } from "zod";
import { idSchema } from "../ids.ts";

export const NONCE_PATH = "/agent/v1/nonce";
export const ENROL_PATH = "/agent/v1/enrol";

const base64url32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes, base64url");

/** `jt1.<token id>.<secret>.<thumbprint of the control plane's key>`; `rk1.` when it gives a known server a new key. */
export const ENROLMENT_TOKEN_PATTERN = /^(jt1|rk1)\.([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** `join`: for a server that is not known yet. `rekey`: for the one server that it was made for. */
export type EnrolmentTokenKind = "join" | "rekey";
const PREFIX: Record<EnrolmentTokenKind, string> = { join: "jt1", rekey: "rk1" };

export interface EnrolmentToken {
  kind: EnrolmentTokenKind;
  tokenId: string;
  secret: string;
  controlPlaneId: string;
}

/** Parts of a token, or `undefined` when it does not have the form of one. */
export function parseEnrolmentToken(text: string): EnrolmentToken | undefined {
  const match = ENROLMENT_TOKEN_PATTERN.exec(text.trim());
  if (match === null) return undefined;
  const [, prefix, tokenId, secret, controlPlaneId] = match;
  if (tokenId === undefined || secret === undefined || controlPlaneId === undefined) return undefined;
  return { kind: prefix === PREFIX.rekey ? "rekey" : "join", tokenId, secret, controlPlaneId };
}

export function formatEnrolmentToken(token: EnrolmentToken): string {
  return `${PREFIX[token.kind]}.${token.tokenId}.${token.secret}.${token.controlPlaneId}`;
}

/** The text that the enrolment MAC covers: HMAC-SHA256(key = SHA-256(secret), kid + "\n" + nonce), base64url. */
export function enrolmentMacInput(kid: string, nonce: string): string {
  return `${kid}\n${nonce}`;
}

/** What an agent says about its server. Sizes in bytes. */
export const agentFactsSchema = z.object({
  hostname: z.string().max(255),
  os: z.string().max(200),
  arch: z.string().max(20),
  kernel: z.string().max(200),
  cpus: z.number().int().nonnegative(),
  memoryBytes: z.number().int().nonnegative(),
  diskBytes: z.number().int().nonnegative().nullable(),
  diskFreeBytes: z.number().int().nonnegative().nullable(),
  dockerVersion: z.string().max(100).nullable(),
  dockerApiVersion: z.string().max(20).nullable(),
  agentVersion: z.string().max(50),
});
export type AgentFacts = z.infer<typeof agentFactsSchema>;

export const nonceRequestSchema = z.object({ tokenId: idSchema });
export const nonceResponseSchema = z.object({ nonce: base64url32 });

/** Body of the enrol request: a JWS (EdDSA) by the agent's new key, public key in the protected header's `jwk`. */
export const enrolRequestSchema = z.object({ jws: z.string().max(16 * 1024) });
export const enrolPayloadSchema = z.object({
  tokenId: idSchema,
  nonce: base64url32,
  mac: base64url32,
  facts: agentFactsSchema,
  /** With a token that re-keys: the server that this machine is, so that no other machine takes its place by mistake. */
  rekeys: idSchema.optional(),
});
export type EnrolPayload = z.infer<typeof enrolPayloadSchema>;

/** Body of the answer: a JWS by the control plane's key, whose thumbprint the token names. */
export const enrolResponseSchema = z.object({ jws: z.string().max(16 * 1024) });
export const enrolAnswerSchema = z.object({
  agentId: idSchema,
  nonce: base64url32,
  serverName: z.string(),
});
export type EnrolAnswer = z.infer<typeof enrolAnswerSchema>;
