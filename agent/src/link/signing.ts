/** Keys and signatures (EdDSA): the only importer of jose. */
import { createHash, createHmac } from "node:crypto";
import { AppError, enrolmentMacInput, messageOf } from "@dflow/protocol";
import {
  type CompactJWSHeaderParameters,
  CompactSign,
  calculateJwkThumbprint,
  compactVerify,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from "jose";
import type { Files } from "../deps.ts";

const ALGORITHM = "EdDSA";

export interface AgentKey {
  /** RFC 7638 thumbprint of the public key: the agent's name for it. */
  kid: string;
  /** Compact JWS; the header names the key by `kid`, or carries the public key itself. */
  sign(payload: object, header: "kid" | "jwk"): Promise<string>;
}

/** Reads the agent's key, or makes it: on disk, for root only, before anything is signed with it. */
export async function loadOrMakeKey(files: Files, path: string): Promise<AgentKey> {
  const text = files.readText(path);
  if (text !== undefined) return keyOf(asJwk(path, parseJson(path, text)));
  const jwk = await newJwk();
  files.writeDurably(path, JSON.stringify(jwk), 0o600);
  return keyOf(jwk);
}

export interface NewKey {
  key: AgentKey;
  /** As a key's file holds it. */
  text: string;
}

/**
 * The key that a re-key by this token makes: on disk before anything is signed with it, and the same one when the token
 * is tried again. What another token has left there is not used: a copy of the folder may have it too.
 */
export async function loadOrMakeNewKey(files: Files, path: string, tokenId: string): Promise<NewKey> {
  const text = files.readText(path);
  const kept = text === undefined ? undefined : parseNewKey(path, text);
  const jwk = kept?.tokenId === tokenId ? kept.jwk : await newJwk();
  if (jwk !== kept?.jwk) files.writeDurably(path, JSON.stringify({ tokenId, jwk }), 0o600);
  return { key: await keyOf(jwk), text: JSON.stringify(jwk) };
}

function parseNewKey(path: string, text: string): { tokenId: string; jwk: JWK } {
  const { tokenId, jwk } = parseJson(path, text) as { tokenId?: unknown; jwk?: unknown };
  return { tokenId: String(tokenId), jwk: asJwk(path, jwk) };
}

async function newJwk(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { crv: "Ed25519", extractable: true });
  return exportJWK(privateKey);
}

export async function loadKey(files: Files, path: string): Promise<AgentKey | undefined> {
  const text = files.readText(path);
  return text === undefined ? undefined : keyOf(asJwk(path, parseJson(path, text)));
}

async function keyOf(jwk: JWK): Promise<AgentKey> {
  const { d: _secret, ...publicJwk } = jwk;
  const key = await importJWK(jwk, ALGORITHM);
  const kid = await calculateJwkThumbprint(publicJwk);
  return {
    kid,
    sign(payload, header) {
      const named: CompactJWSHeaderParameters =
        header === "kid" ? { alg: ALGORITHM, kid } : { alg: ALGORITHM, jwk: publicJwk };
      return new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader(named).sign(key);
    },
  };
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("invalid_input", `${path} is not a key`, { cause: error });
  }
}

function asJwk(path: string, value: unknown): JWK {
  const jwk = value as JWK | null | undefined;
  if (jwk?.kty === "OKP" && jwk.crv === "Ed25519" && typeof jwk.d === "string") return jwk;
  throw new AppError("invalid_input", `${path} is not an Ed25519 key`);
}

/** The payload of a JWS that the control plane signed: its key is in the header, and must be the one that we know it by. */
export async function openSigned(jws: string, controlPlaneId: string): Promise<unknown> {
  try {
    const { payload } = await compactVerify(
      jws,
      async ({ jwk }) => {
        if (jwk === undefined || (await calculateJwkThumbprint(jwk)) !== controlPlaneId) {
          throw new Error("it is signed by another key");
        }
        return importJWK(jwk, ALGORITHM);
      },
      { algorithms: [ALGORITHM] },
    );
    return JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch (error) {
    throw new AppError("unauthenticated", `the answer is not this agent's control plane's: ${messageOf(error)}`, {
      hint: "Something between this server and the control plane answers in its place, or it has a new key.",
      cause: error,
    });
  }
}

/** Proves the token's secret without sending it. */
export function enrolmentMac(secret: string, kid: string, nonce: string): string {
  const key = createHash("sha256").update(secret).digest();
  return createHmac("sha256", key).update(enrolmentMacInput(kid, nonce)).digest("base64url");
}
