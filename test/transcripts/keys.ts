/** Keys of nobody, for transcripts only: with fixed keys a signature is the same text each time (Ed25519, RFC 8032). */
import type { FixedKeys } from "../simulate/template.ts";

export const TRANSCRIPT_KEYS: FixedKeys = {
  controlPlane: {
    kty: "OKP",
    crv: "Ed25519",
    x: "HqiZJAIOG6cyNljQfhvvRZD3ez0FS4pIdnbiMnuMyBY",
    d: "wO76MvMZ6pEH4lsAG6qT5l7B3CvTnCNl0Gx4y8qtwBQ",
  },
  agent: {
    kty: "OKP",
    crv: "Ed25519",
    x: "PF_QXNTBAGJ3oW_FWloF1iiqEIZ4tywPErfAKgk3XOU",
    d: "4gch6eBNY0eMxhwVZej9k1oB6F9lU8mLolZjqRVnjoo",
  },
};
