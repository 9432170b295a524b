/** Passwords of databases: 32 characters of [A-Za-z0-9], each as likely as any other. */
import type { Random } from "../platform.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH = 32;
/** Bytes from here on are thrown away: 256 is no multiple of 62, and a plain remainder would favour the first letters. */
const LIMIT = Math.floor(256 / ALPHABET.length) * ALPHABET.length;

export function newPassword(random: Pick<Random, "bytes">): string {
  let password = "";
  while (password.length < LENGTH) {
    for (const byte of random.bytes(LENGTH)) {
      if (byte < LIMIT && password.length < LENGTH) password += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  return password;
}
