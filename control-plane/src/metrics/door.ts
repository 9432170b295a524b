/** Who may read /metrics: an API key of role admin, or a program on this very machine. Pure. */
import { isLoopbackHost } from "../config.ts";

/** What a proxy adds, in any of its spellings: the request then came from elsewhere. */
const FORWARDED_HEADERS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/**
 * Without a key only where nothing can stand in between: the peer is this machine, no header of a proxy is there, the
 * name that was asked for is loopback (not one that a browser was led to by DNS), and the control plane itself has no
 * public address. With one, a proxy that adds no header would look just like a program on this machine.
 */
export function isFromThisMachine(
  remoteAddress: string | undefined,
  header: (name: string) => string | undefined,
  publicUrl: string,
): boolean {
  if (remoteAddress === undefined || !isLoopbackHost(remoteAddress)) return false;
  if (FORWARDED_HEADERS.some((name) => header(name) !== undefined)) return false;
  return isLoopbackHost(new URL(publicUrl).hostname) && isLoopbackHost(hostName(header("host") ?? ""));
}

function hostName(host: string): string {
  const url = `http://${host}`;
  return URL.canParse(url) ? new URL(url).hostname : "";
}
