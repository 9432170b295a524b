/** The text of an API key and how it is recognised: only its SHA-256 is kept. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Conn } from "../db/database.ts";
import { diskFull } from "../db/disk-full.ts";
import type { Clock, Random } from "../platform.ts";
import type { Principal } from "./principal.ts";

const PREFIX = "dfk_";
const SHOWN_CHARACTERS = 10;
/** `last_used_at` is written at most this often, so that reading does not become writing. */
const LAST_USED_STEP_MS = 60_000;

export interface NewApiKey {
  /** Shown once. */
  text: string;
  prefix: string;
  hash: string;
}

export function newApiKey(random: Random): NewApiKey {
  const text = PREFIX + random.bytes(32).toString("base64url");
  return { text, prefix: text.slice(0, SHOWN_CHARACTERS), hash: secretHash(text) };
}

/** SHA-256, hex. Enough for secrets of 256 random bits; never for passwords. */
export function secretHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The key that an Authorization header names, or undefined when it is unknown or expired. */
export async function principalOfApiKey(
  db: Conn,
  clock: Clock,
  header: string,
): Promise<Extract<Principal, { kind: "api_key" }> | undefined> {
  const text = /^Bearer +(\S+)$/i.exec(header)?.[1];
  if (text === undefined || !text.startsWith(PREFIX) || text.length > 200) return undefined;
  const hash = secretHash(text);
  const row = await db.selectFrom("api_key").selectAll().where("key_hash", "=", hash).executeTakeFirst();
  if (row === undefined || !timingSafeEqual(Buffer.from(row.key_hash, "hex"), Buffer.from(hash, "hex")))
    return undefined;
  const now = clock.now();
  if (row.expires_at <= now) return undefined;
  if (row.last_used_at === null || now - row.last_used_at > LAST_USED_STEP_MS) {
    await noteUse(db, row.id, now);
  }
  return {
    kind: "api_key",
    id: row.id,
    name: row.name,
    workspaceId: row.workspace_id,
    role: row.role,
    endsAt: row.expires_at,
  };
}

/** For people to read. A full disk must not take what can still be shown from whoever asks with a key. */
async function noteUse(db: Conn, id: string, at: number): Promise<void> {
  try {
    await db.updateTable("api_key").set({ last_used_at: at }).where("id", "=", id).execute();
  } catch (error) {
    if (diskFull(error) === undefined) throw error;
  }
}
