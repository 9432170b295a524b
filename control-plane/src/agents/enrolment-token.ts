/** Makes an enrolment token: the text that is shown once, and what of it the row may keep. Pure but for what comes in. */
import { createHash } from "node:crypto";
import { type EnrolmentTokenKind, formatEnrolmentToken } from "@dflow/protocol";

/** How long a token can be used after it was made. */
export const ENROLMENT_TOKEN_LIFE_MS = 30 * 60_000;

export interface NewEnrolmentToken {
  /** `jt1.<id>.<secret>.<thumbprint of the control plane's key>`, or `rk1.…` for a re-key: shown once, kept nowhere. */
  text: string;
  row: { id: string; mac_key: string; created_at: number; expires_at: number };
}

export interface EnrolmentTokenParts {
  kind: EnrolmentTokenKind;
  /** UUIDv7, the row's id. */
  id: string;
  /** 32 random bytes. */
  secret: Uint8Array;
  /** RFC 7638 thumbprint of the control plane's key. */
  controlPlaneId: string;
  /** Milliseconds UTC. */
  now: number;
}

export function newEnrolmentToken(parts: EnrolmentTokenParts): NewEnrolmentToken {
  if (parts.secret.length !== 32) throw new RangeError(`an enrolment secret has 32 bytes, not ${parts.secret.length}`);
  const secret = Buffer.from(parts.secret).toString("base64url");
  return {
    text: formatEnrolmentToken({ kind: parts.kind, tokenId: parts.id, secret, controlPlaneId: parts.controlPlaneId }),
    row: {
      id: parts.id,
      mac_key: enrolmentMacKey(secret),
      created_at: parts.now,
      expires_at: parts.now + ENROLMENT_TOKEN_LIFE_MS,
    },
  };
}

/**
 * The key of the enrolment MAC, base64url: SHA-256 of the secret as it stands in the token. The row keeps this and not
 * the secret, so a read of the database does not give back the text of a token.
 */
export function enrolmentMacKey(secretText: string): string {
  return createHash("sha256").update(secretText).digest("base64url");
}
