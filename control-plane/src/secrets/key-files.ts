/** The control plane's keys: made at first start, one 0600 file each, never in the database and never replaced. */
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from "jose";
import { z } from "zod";
import type { Random } from "../platform.ts";

export interface Keys {
  /** Ed25519, private part included. */
  signing: JWK;
  /** RFC 7638 thumbprint of the signing key: the name under which agents know this control plane. */
  controlPlaneId: string;
  sealing: { kid: string; key: Uint8Array };
  /** Signs the cookies of sessions. */
  sessionSecret: string;
}

const signingFile = z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() });
const sealingFile = z.object({ kid: z.string().min(1), key: z.string() });
const sessionFile = z.object({ secret: z.string().min(43) });

export async function loadKeys(dataDir: string, random: Random): Promise<Keys> {
  const folder = join(dataDir, "keys");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);

  const signing = await loadOrMake(join(folder, "signing.json"), signingFile, random, async () => {
    const pair = await generateKeyPair("Ed25519", { extractable: true });
    return signingFile.parse(await exportJWK(pair.privateKey));
  });
  const sealing = await loadOrMake(join(folder, "sealing.json"), sealingFile, random, async () => ({
    kid: random.id(),
    key: random.bytes(32).toString("base64url"),
  }));
  const session = await loadOrMake(join(folder, "session.json"), sessionFile, random, async () => ({
    secret: random.bytes(32).toString("base64url"),
  }));

  const key = Buffer.from(sealing.key, "base64url");
  if (key.length !== 32) throw new Error(`${join(folder, "sealing.json")}: the sealing key has not 32 bytes`);
  return {
    signing,
    controlPlaneId: await calculateJwkThumbprint(signing),
    sealing: { kid: sealing.kid, key },
    sessionSecret: session.secret,
  };
}

async function loadOrMake<T>(file: string, schema: z.ZodType<T>, random: Random, make: () => Promise<T>): Promise<T> {
  if (!existsSync(file)) writeOnce(file, JSON.stringify(await make()), random);
  const parsed = schema.safeParse(parseJson(readFileSync(file, "utf8")));
  if (!parsed.success) throw new Error(`${file}: this is not the key file it should be; restore it from a backup`);
  return parsed.data;
}

/** `undefined` for what is not JSON. The parser's own error would quote the text, which may be the key. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Two processes may start at once: the file appears whole, and the one that was first stays. */
function writeOnce(file: string, text: string, random: Random): void {
  const draft = `${file}.${random.id()}`;
  writeFileSync(draft, text, { mode: 0o600, flag: "wx", flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
