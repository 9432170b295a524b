/**
 * Which session cookies and API keys were right a moment ago. It gives no right: every request is still looked up. It
 * says only who need not wait with strangers.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../platform.ts";

export interface KnownCallers {
  /** The credential of a request that was just found to be right. */
  vouch(credential: string): void;
  /** It asks for too much: it waits with strangers from here on. */
  forget(credential: string): void;
  isKnown(credential: string | undefined): boolean;
  size(): number;
}

/** More callers than this in ten minutes are more than one process serves. */
const MAX = 5_000;
const LIFE_MS = 10 * 60_000;
/** Nothing that we gave out is longer. */
const CREDENTIAL_MAX = 4_096;

export function createKnownCallers({ monotonicMs }: Pick<Clock, "monotonicMs">): KnownCallers {
  // Insertion order is age order: the oldest is always first.
  const vouchedAt = new Map<string, number>();
  /** Credentials themselves are not kept in memory for longer than their request. */
  const keyOf = (credential: string) => createHash("sha256").update(credential).digest("base64url");
  return {
    vouch(credential) {
      if (credential.length > CREDENTIAL_MAX) return;
      const now = monotonicMs();
      const key = keyOf(credential);
      vouchedAt.delete(key);
      vouchedAt.set(key, now);
      for (const [oldest, at] of vouchedAt) {
        if (vouchedAt.size <= MAX && now - at < LIFE_MS) break;
        vouchedAt.delete(oldest);
      }
    },
    forget(credential) {
      vouchedAt.delete(keyOf(credential));
    },
    isKnown(credential) {
      if (credential === undefined || credential.length > CREDENTIAL_MAX) return false;
      const at = vouchedAt.get(keyOf(credential));
      return at !== undefined && monotonicMs() - at < LIFE_MS;
    },
    size: () => vouchedAt.size,
  };
}

const SESSION_COOKIE = /(?:^|;\s*)((?:__Secure-)?dflow\.session_token=[^;]+)/;

/** What a request shows of who it is from: its key, else the cookie of its session. */
export function credentialOf(
  authorization: string | null | undefined,
  cookie: string | null | undefined,
): string | undefined {
  return authorization ?? SESSION_COOKIE.exec(cookie ?? "")?.[1];
}
