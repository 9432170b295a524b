/** Whether a change that a browser sends comes from our own pages. */
import type { Config } from "../config.ts";
import { isLoopbackHost } from "../config.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

export function isSafeMethod(method: string): boolean {
  return SAFE_METHODS.has(method);
}

/**
 * The public address is ours. So is any loopback address under which the browser sees us while we listen on loopback
 * (localhost, or a port forwarded by SSH): then Origin and Host name the same place, and no foreign page has such a host.
 */
export function isOwnOrigin(
  config: Pick<Config, "publicUrl" | "listen">,
  origin: string,
  host: string | undefined,
): boolean {
  if (origin === config.publicUrl) return true;
  if (!isLoopbackHost(config.listen.host) || !URL.canParse(origin)) return false;
  const url = new URL(origin);
  return url.protocol === "http:" && url.host === host && isLoopbackHost(url.hostname);
}

/** What a browser says of a request by itself, out of a page's reach. Programs say nothing. */
export function isForeignFetch(secFetchSite: string | null): boolean {
  return secFetchSite !== null && secFetchSite !== "same-origin" && secFetchSite !== "none";
}
