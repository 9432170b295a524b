/** Who is on the other end of a socket: what a signed `auth` must say, and the session that it is admitted to. */
import { AGENT_SOCKET_PATH, type AuthPayload, authPayloadSchema, CLOSE } from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import { type Admission, admit, type Quarantine } from "./admission.ts";
import type { ConnectionOrder } from "./connection-order.ts";
import { publicJwkSchema, readUnverified, verifyByKey } from "./signatures.ts";
import { serverForAuth } from "./store.ts";

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
  session: number;
  /** Of the key that it proved. */
  kid: string;
  agentNonce: string;
  /** The one that its `ready` has to name. */
  epoch: number;
}

export interface AuthenticateDeps extends Pick<Deps, "db" | "clock" | "random" | "log"> {
  order: ConnectionOrder;
  /** Two machines use this server's identity, as this handshake has shown. Called after the commit. */
  quarantined(serverId: string, quarantine: Quarantine): void;
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

/** Verifies `auth` and takes the next session number of its server. Throws HandshakeRefused. */
export async function authenticate(
  deps: AuthenticateDeps,
  jws: string,
  challenge: Challenge & { place: number },
  peer: Peer,
): Promise<Authenticated> {
  const { payload, kid } = await verified(deps, jws, challenge, peer);
  const { agentId: serverId, agentNonce, epoch: offered, facts } = payload;
  const applicant = { serverId, kid, offered, facts, peerAddress: peer.address, place: challenge.place };
  const admission = await deps.db.transaction().execute((trx) => admit(trx, deps, deps.order, applicant));
  if (admission.verdict === "quarantined" && admission.begun !== undefined) {
    const { address } = peer;
    deps.log.error({ serverId, offered, address }, "two machines use one server's identity: it is quarantined");
    deps.quarantined(serverId, admission.begun);
  }
  if (admission.verdict !== "admitted") throw notAdmitted(admission.verdict);
  if (admission.restored) {
    deps.log.warn({ serverId, offered }, "an agent has counted on: this control plane was restored from a backup");
  }
  return { serverId, kid, agentNonce, session: admission.session, epoch: admission.epoch };
}

interface Verified {
  payload: AuthPayload;
  /** Of the key that its signature was checked with. */
  kid: string;
}

async function verified(deps: Pick<Deps, "db">, jws: string, challenge: Challenge, peer: Peer): Promise<Verified> {
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
  if (server.deleted_at !== null) throw notAdmitted("removed");
  return { payload, kid: server.agent_kid };
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

/** Why a session did not begin, in the words of the close frame. */
export function notAdmitted(why: Exclude<Admission["verdict"], "admitted">): HandshakeRefused {
  switch (why) {
    case "removed":
      return new HandshakeRefused(CLOSE.revoked, "this server was removed");
    case "quarantined":
      return new HandshakeRefused(CLOSE.identityConflict, IDENTITY_CONFLICT);
    case "key_replaced":
      return new HandshakeRefused(CLOSE.unauthenticated, KEY_REPLACED);
    case "overtaken":
      return new HandshakeRefused(CLOSE.superseded, "a newer connection of this agent has overtaken this one");
  }
}

export const IDENTITY_CONFLICT = "identity conflict: another machine uses this server's key; re-key the one to keep";
export const KEY_REPLACED = "this key was replaced by another machine's";
