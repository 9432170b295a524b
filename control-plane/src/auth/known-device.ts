/**
 * The mark that a browser keeps after a sign-in: it says "somebody signed in to this account here before" and gives no
 * right whatever. While others try an account's password, it tells its owner's browser from them.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

export const DEVICE_COOKIE = "dflow.device";
const LIFE_SECONDS = 180 * 24 * 3600;
const ID = /^[A-Za-z0-9_-]{22}$/;

/** `id` is 16 random bytes in base64url. The mark names the account only to who holds the secret. */
export function deviceMark(secret: string, email: string, id: string): string {
  const mac = createHmac("sha256", secret).update(`device\n${id}\n${email.toLowerCase()}`).digest("base64url");
  return `${id}.${mac}`;
}

/** The device's id, when the request's cookies hold a mark of this account. */
export function deviceOf(secret: string, email: string, cookieHeader: string | null): string | undefined {
  for (const pair of (cookieHeader ?? "").split(";")) {
    const [name, value = ""] = pair.trim().split("=", 2);
    if (name !== DEVICE_COOKIE) continue;
    const [id = ""] = value.split(".", 1);
    if (!ID.test(id)) continue;
    const expected = Buffer.from(deviceMark(secret, email, id));
    const given = Buffer.from(value);
    if (given.length === expected.length && timingSafeEqual(given, expected)) return id;
  }
  return undefined;
}

/** Sent back to the sign-in and to nothing else. */
export function deviceCookie(mark: string, secure: boolean): string {
  const attributes = `Max-Age=${LIFE_SECONDS}; Path=/api/auth/sign-in; HttpOnly; SameSite=Strict`;
  return `${DEVICE_COOKIE}=${mark}; ${attributes}${secure ? "; Secure" : ""}`;
}
