/**
 * What stands before every route: an address that asks for too much is refused before anything is done for it, and
 * strangers begin one at a time, so that those who are known never wait for a crowd.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import type { Deps } from "../deps.ts";
import { type AddressReader, forwardedFor, isPrivateAddress, limitedAddress } from "./client-address.ts";
import { credentialOf, type KnownCallers } from "./known-callers.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { securityHeadersOf } from "./security-headers.ts";
import type { SlowRefusal } from "./slow-refusal.ts";
import type { Turns } from "./turns.ts";

type Bindings = Partial<HttpBindings>;
export type Fetch = (request: Request, bindings: Bindings) => Response | Promise<Response>;

export interface FrontDoor {
  fetch: Fetch;
  start(): void;
  stop(): void;
}

export type FrontDoorDeps = Pick<Deps, "config" | "clock" | "timers" | "random" | "log"> & {
  addresses: AddressReader;
  known: KnownCallers;
  turns: Turns;
  slow: SlowRefusal;
  /** Called for each request that goes no further. */
  onRefusal(): void;
};

const MINUTE_MS = 60_000;
/** Who meets a crowd that is worked off within a second. */
const CROWD_RETRY_S = 2;

export function createFrontDoor(deps: FrontDoorDeps, inside: Fetch): FrontDoor {
  const { config, addresses, known, turns, slow, log } = deps;
  const perAddress = createRateLimiter({ limit: config.limits.requestsPerMinute, windowMs: MINUTE_MS }, deps.clock);
  const refusal = createRefusal(deps);
  const ledger = createLedger();
  let hasWarned = false;
  let cancelReport: (() => void) | undefined;

  const refuse = (address: string, retryAfterSeconds: number): Response => {
    ledger.add(address);
    deps.onRefusal();
    return refusal(retryAfterSeconds);
  };

  /** Without trustedProxies all who come through a proxy are one address, and lock each other out: somebody has to say so. */
  const warnOfProxy = (peer: string, headers: IncomingHttpHeaders): void => {
    if (hasWarned || headers["x-forwarded-for"] === undefined) return;
    if (addresses.isTrusted(peer) || !isPrivateAddress(peer)) return;
    hasWarned = true;
    log.warn({ peer }, "X-Forwarded-For is not believed: if this peer is your proxy, name it in trustedProxies");
  };

  const answer: Fetch = (request, bindings) => {
    const { incoming } = bindings;
    const headers = incoming?.headers ?? {};
    const peer = addresses.read(incoming?.socket.remoteAddress, undefined);
    warnOfProxy(peer, headers);
    const address = limitedAddress(addresses.read(incoming?.socket.remoteAddress, forwardedFor(headers)));
    const retryAfterSeconds = perAddress.refusal(address);
    if (retryAfterSeconds !== undefined) return refuse(address, retryAfterSeconds);
    if (known.isKnown(credentialOf(headers.authorization, headers.cookie))) return inside(request, bindings);
    const place = turns.take(address);
    if (place === "full") return refuse(address, CROWD_RETRY_S);
    if (place === undefined) return inside(request, bindings);
    return place.then(() => inside(request, bindings));
  };

  return {
    fetch: (request, bindings) => slow.pace(answer(request, bindings)),
    start() {
      cancelReport = deps.timers.every(MINUTE_MS, () => {
        const refused = ledger.take();
        if (refused !== undefined) log.warn(refused, "requests were refused at the door");
      });
    },
    stop() {
      cancelReport?.();
      slow.stop();
    },
  };
}

/** The same problem document that routes give, put together by hand: this is answered a thousand times a second. */
function createRefusal({ config, random }: Pick<Deps, "config" | "random">) {
  const headers = {
    ...securityHeadersOf(config),
    "Content-Type": "application/problem+json",
    "Cache-Control": "no-store",
  };
  return (retryAfterSeconds: number): Response => {
    const requestId = random.id();
    const problem = {
      type: "about:blank",
      title: "Rate limited",
      status: 429,
      detail: "Too many requests.",
      code: "rate_limited",
      hint: `Try again in ${retryAfterSeconds} s.`,
      requestId,
    };
    return new Response(JSON.stringify(problem), {
      status: 429,
      headers: { ...headers, "Retry-After": String(retryAfterSeconds), "X-Request-Id": requestId },
    });
  };
}

/** Refusals since the last report. Each one for itself would be a log that grows as fast as the attack. */
function createLedger() {
  const ADDRESSES_MAX = 1_000;
  let requests = 0;
  let addresses = new Map<string, number>();
  return {
    add(address: string): void {
      requests += 1;
      const count = addresses.get(address);
      if (count !== undefined || addresses.size < ADDRESSES_MAX) addresses.set(address, (count ?? 0) + 1);
    },
    take() {
      if (requests === 0) return undefined;
      const [worst] = [...addresses].sort(([, a], [, b]) => b - a);
      const report = { requests, addresses: addresses.size, worst: worst?.[0], ofWorst: worst?.[1] };
      requests = 0;
      addresses = new Map();
      return report;
    },
  };
}
