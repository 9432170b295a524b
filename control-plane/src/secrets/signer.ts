/** Signs with the control plane's own key: what agents check before they believe an answer. */
import { CompactSign, importJWK, type JWK } from "jose";

export interface Signer {
  /** RFC 7638 thumbprint of the key: the name under which agents know this control plane. */
  controlPlaneId: string;
  /** The payload as compact JWS (EdDSA) over its JSON. The public key stands in the protected header as `jwk`. */
  sign(payload: unknown): Promise<string>;
}

export async function createSigner(keys: { signing: JWK; controlPlaneId: string }): Promise<Signer> {
  const key = await importJWK(keys.signing, "EdDSA");
  const { kty, crv, x } = keys.signing;
  return {
    controlPlaneId: keys.controlPlaneId,
    sign(payload) {
      return new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
        .setProtectedHeader({ alg: "EdDSA", kid: keys.controlPlaneId, jwk: { kty, crv, x } as JWK })
        .sign(key);
    },
  };
}
