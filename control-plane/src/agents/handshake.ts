/** Who is on the other end of a socket: what a signed `auth` must say, and the session number that it gets. */
import { AGENT_SOCKET_PATH, type AuthPayload, authPayloadSchema, CLOSE } from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import { publicJwkSchema, readUnverified, verifyByKey } from "./signatures.ts";
import { serverForAuth, takeSession } from "./store.ts";

export interface Challenge {
  connectionId: string;
  nonce: string;
  controlPlaneId: string;
}

export interface Peer {
  /** Host names with port under which this socket's listener is ours. */
  hosts: readonly string[];
  address: string;
}

export interface Authenticated {
  serverId: string;
  workspaceId: string;
  session: number;
  revision: number;
  agentNonce: string;
  connectedAt: number;
}

/** Why a handshake ended. The reason goes into the close frame and the log; it names nothing secret. */
export class HandshakeRefused extends Error {
  readonly closeCode: number;

  constructor(closeCode: number, reason: string) {
    super(reason);
    this.name = "HandshakeRefused";
    this.closeCode = closeCode;
  }
}

/** What is wrong with a payload whose signature is good, or `undefined`. */
export function authProblem(payload: AuthPayload, challenge: Challenge, hosts: readonly string[]): string | undefined {
  if (payload.controlPlaneId !== challenge.controlPlaneId) return "signed for another control plane";
  if (payload.connectionId !== challenge.connectionId || payload.nonce !== challenge.nonce) {
    return "signed for another challenge";
  }
  if (!URL.canParse(payload.url)) return "signed for an address that is not a URL";
  const url = new URL(payload.url);
  if (url.protocol !== "ws:" && url.protocol !== "wss:") return "signed for an address that is no websocket's";
  if (!url.pathname.endsWith(AGENT_SOCKET_PATH) || !hosts.includes(url.host)) {
    return `signed for another address (${url.host.slice(0, 80)})`;
  }
  return undefined;
}

/** The hosts under which agents may have dialled us: the public address, and this listener by its own names. */
export function ownHosts(publicUrl: string, listenHost: string, port: number): string[] {
  const bare = listenHost.replace(/^\[|\]$/g, "");
  const names = [bare.includes(":") ? `[${bare}]` : bare, "127.0.0.1", "localhost", "[::1]"];
  return [new URL(publicUrl).host, ...names.map((name) => new URL(`ws://${name}:${port}`).host)];
}

/** Verifies `auth` and opens the next session of its server. Throws HandshakeRefused. */
export async function authenticate(
  deps: Pick<Deps, "db" | "clock">,
  jws: string,
  challenge: Challenge,
  peer: Peer,
): Promise<Authenticated> {
  const payload = await verified(deps, jws, challenge, peer);
  const connectedAt = deps.clock.now();
  const taken = await takeSession(deps.db, payload.agentId, {
    facts: payload.facts,
    peerAddress: peer.address,
    connectedAt,
  });
  if (taken === undefined) throw revoked();
  return { serverId: payload.agentId, agentNonce: payload.agentNonce, connectedAt, ...taken };
}

async function verified(deps: Pick<Deps, "db">, jws: string, challenge: Challenge, peer: Peer): Promise<AuthPayload> {
  const claimed = authPayloadSchema.safeParse(await attempt(() => readUnverified(jws)));
  if (!claimed.success) throw unauthenticated("the signed message does not have the form of one");
  const server = await serverForAuth(deps.db, claimed.data.agentId);
  if (server === undefined) throw unauthenticated("no such agent");
  const jwk = publicJwkSchema.parse(JSON.parse(server.agent_jwk));
  const payload = authPayloadSchema.parse(await attempt(() => verifyByKey(jws, jwk)));
  // Until here the sender's word decided whose key to check with. RFC 7797 lets one text be two messages, so the name in
  // the message that was signed has to be that very one: else an agent could take the session of any other server.
  if (payload.agentId !== claimed.data.agentId) throw unauthenticated("signed for another agent");
  const problem = authProblem(payload, challenge, peer.hosts);
  if (problem !== undefined) throw unauthenticated(problem);
  // Only the holder of the key learns that it was removed: for all others "no such agent" and this look the same.
  if (server.deleted_at !== null) throw revoked();
  return payload;
}

async function attempt<T>(read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw Object.assign(unauthenticated("its signature does not match"), { cause });
  }
}

function unauthenticated(reason: string): HandshakeRefused {
  return new HandshakeRefused(CLOSE.unauthenticated, reason);
}

function revoked(): HandshakeRefused {
  return new HandshakeRefused(CLOSE.revoked, "this server was removed");
}
