/** Checks what agents signed, Ed25519 only: the one file of this room that knows jose. Our own key signs in secrets/. */
import { AppError } from "@dflow/protocol";
import { calculateJwkThumbprint, compactVerify, decodeProtectedHeader, importJWK } from "jose";
import { z } from "zod";

/** The one algorithm of the link. A list of one: a header has nothing to choose from. */
const ALGORITHM = "EdDSA";

/** A public key as it is stored and compared: anything else that a header's `jwk` holds is dropped. */
export const publicJwkSchema = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type PublicJwk = z.infer<typeof publicJwkSchema>;

export interface SelfSigned {
  payload: unknown;
  jwk: PublicJwk;
  /** RFC 7638 thumbprint of `jwk`. */
  kid: string;
}

/** Checks a JWS by the key in its own header: it proves that the sender holds that key, not who the sender is. */
export async function verifySelfSigned(jws: string): Promise<SelfSigned> {
  const jwk = publicJwkSchema.safeParse(headerOf(jws).jwk);
  if (!jwk.success) throw refused("its header names no Ed25519 key");
  return { payload: await verifyByKey(jws, jwk.data), jwk: jwk.data, kid: await calculateJwkThumbprint(jwk.data) };
}

/** The payload of a JWS that must be signed by this very key; whatever key its header names is not looked at. */
export async function verifyByKey(jws: string, jwk: PublicJwk): Promise<unknown> {
  const verified = await importJWK(jwk, ALGORITHM)
    .then((key) => compactVerify(jws, key, { algorithms: [ALGORITHM] }))
    .catch((cause: unknown) => {
      throw refused("its signature does not match", cause);
    });
  return parseJson(verified.payload);
}

/** The payload before any check: only to find out whose key to verify with. */
export function readUnverified(jws: string): unknown {
  return parseJson(Buffer.from(jws.split(".")[1] ?? "", "base64url"));
}

function headerOf(jws: string): Record<string, unknown> {
  try {
    return { ...decodeProtectedHeader(jws) };
  } catch (cause) {
    throw refused("it has no readable header", cause);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw refused("its payload is not JSON", cause);
  }
}

function refused(why: string, cause?: unknown): AppError {
  return new AppError("token_invalid", `The signed message is refused: ${why}.`, { cause });
}
