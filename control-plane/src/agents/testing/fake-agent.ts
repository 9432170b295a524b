/** A scripted agent with real keys: it speaks the link's protocol frame by frame, rightly or wrongly as a test asks. */
import { createHash, createHmac, randomBytes, webcrypto } from "node:crypto";
import {
  type AgentFacts,
  enrolmentMacInput,
  type OutgoingToControlPlane,
  parseEnrolmentToken,
  SUBPROTOCOL,
  type ToAgent,
  toAgentSchema,
  type WelcomePayload,
  welcomePayloadSchema,
} from "@dflow/protocol";
import {
  CompactSign,
  calculateJwkThumbprint,
  compactVerify,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
} from "jose";
import { WebSocket } from "ws";
import type { Challenge } from "../handshake.ts";

export const FACTS: AgentFacts = {
  hostname: "test-host",
  os: "Debian GNU/Linux 13",
  arch: "x64",
  kernel: "6.12.0",
  cpus: 4,
  memoryBytes: 8_000_000_000,
  diskBytes: 100_000_000_000,
  diskFreeBytes: 50_000_000_000,
  dockerVersion: "26.1.5",
  dockerApiVersion: "1.45",
  agentVersion: "0.1.0",
};

export interface FakeKey {
  kid: string;
  jwk: JWK;
  sign(payload: unknown, header?: Record<string, unknown>): Promise<string>;
  /** A compact JWS whose payload stands in it as it is (RFC 7797). */
  signPlain(text: string): Promise<string>;
}

export async function newKey(): Promise<FakeKey> {
  const { publicKey, privateKey } = await generateKeyPair("Ed25519", { extractable: true });
  const jwk = await exportJWK(publicKey);
  return {
    kid: await calculateJwkThumbprint(jwk),
    jwk,
    sign: (payload, header = { alg: "EdDSA", jwk }) =>
      new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
        .setProtectedHeader(header as { alg: string })
        .sign(privateKey),
    async signPlain(text) {
      const header = Buffer.from(JSON.stringify({ alg: "EdDSA", b64: false, crit: ["b64"] })).toString("base64url");
      const signature = await webcrypto.subtle.sign("Ed25519", privateKey, Buffer.from(`${header}.${text}`));
      return `${header}.${text}.${Buffer.from(signature).toString("base64url")}`;
    },
  };
}

export function enrolmentMac(secret: string, kid: string, nonce: string): string {
  const key = createHash("sha256").update(secret).digest();
  return createHmac("sha256", key).update(enrolmentMacInput(kid, nonce)).digest("base64url");
}

export interface HttpAnswer {
  status: number;
  body: Record<string, unknown>;
}

export async function post(url: string, body: unknown): Promise<HttpAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Both requests of an enrolment; `change` may spoil the payload before it is signed. */
export async function enrolBy(
  baseUrl: string,
  tokenText: string,
  key: FakeKey,
  change: (payload: Record<string, unknown>) => Record<string, unknown> = (payload) => payload,
): Promise<HttpAnswer> {
  const token = parseEnrolmentToken(tokenText);
  if (token === undefined) throw new Error(`not a token: ${tokenText}`);
  const { body } = await post(`${baseUrl}/agent/v1/nonce`, { tokenId: token.tokenId });
  const nonce = String(body.nonce);
  const mac = enrolmentMac(token.secret, key.kid, nonce);
  const payload = change({ tokenId: token.tokenId, nonce, mac, facts: FACTS });
  return post(`${baseUrl}/agent/v1/enrol`, { jws: await key.sign(payload) });
}

/** The payload of an answer by the control plane, checked against the thumbprint that the token names. */
export async function openAnswer(jws: unknown, controlPlaneId: string): Promise<Record<string, unknown>> {
  const { jwk } = decodeProtectedHeader(String(jws));
  if (jwk === undefined || (await calculateJwkThumbprint(jwk)) !== controlPlaneId) throw new Error("not its key");
  const { payload } = await compactVerify(String(jws), await importJWK(jwk, "EdDSA"), { algorithms: ["EdDSA"] });
  return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
}

export interface Ended {
  code: number;
  reason: string;
}

/** One socket of a fake agent. Frames that arrive are kept until the test takes them. */
export interface FakeSocket {
  session: number;
  readonly ended: Promise<Ended>;
  /** The next frame of this type; others before it stay for their own `next`. */
  next<T extends ToAgent["type"]>(type: T): Promise<Extract<ToAgent, { type: T }>>;
  /** Frames of this type that nobody took yet. */
  waiting(type: ToAgent["type"]): ToAgent[];
  send(frame: OutgoingToControlPlane | { type: string; data: unknown }): void;
  sendText(text: string): void;
  sendBytes(bytes: Uint8Array): void;
  pong(): void;
  /** The beginning of a message that never ends. */
  sendUnfinished(text: string): void;
  /** Signs the challenge, takes the welcome, keeps its epoch and says `ready`. */
  authenticate(
    agent: FakeIdentity,
    change?: (payload: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<WelcomePayload>;
  /** The same up to the welcome. */
  getWelcome(
    agent: FakeIdentity,
    change?: (payload: Record<string, unknown>) => Record<string, unknown>,
  ): Promise<WelcomePayload>;
  /** Keeps the welcome's epoch and says so. */
  beReady(agent: FakeIdentity, welcome: WelcomePayload): void;
  cut(): void;
  close(): void;
}

export interface FakeIdentity {
  agentId: string;
  key: FakeKey;
  /** What it has on its disk; a copy of this object is a cloned disk. */
  epoch: number;
}

export interface SocketOptions {
  protocol?: string;
  /** The address that it dials from. */
  localAddress?: string;
}

export function openSocket(url: string, options: SocketOptions = {}): Promise<FakeSocket> {
  const { protocol = SUBPROTOCOL, ...dial } = options;
  const ws = new WebSocket(url, [protocol], { perMessageDeflate: false, ...dial });
  const frames: ToAgent[] = [];
  const takers: (() => void)[] = [];
  let seq = 0;
  ws.on("message", (data, isBinary) => {
    if (isBinary) return;
    frames.push(toAgentSchema.parse(JSON.parse(String(data))));
    for (const taker of takers.splice(0)) taker();
  });
  const ended = new Promise<Ended>((resolve) => {
    ws.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
  });

  const socket: FakeSocket = {
    session: 0,
    ended,
    async next(type) {
      const deadline = Date.now() + 5_000;
      for (;;) {
        const index = frames.findIndex((frame) => frame.type === type);
        const [frame] = index === -1 ? [] : frames.splice(index, 1);
        if (frame !== undefined) return frame as never;
        const gone = await Promise.race([
          new Promise<undefined>((resolve) => takers.push(() => resolve(undefined))),
          ended.then((end) => `the socket ended with ${end.code} ${end.reason}`),
          new Promise<string>((resolve) => setTimeout(() => resolve("it did not come"), deadline - Date.now()).unref()),
        ]);
        if (gone !== undefined) throw new Error(`waiting for ${type}: ${gone}`);
      }
    },
    waiting: (type) => frames.filter((frame) => frame.type === type),
    send(frame) {
      seq += 1;
      ws.send(JSON.stringify({ type: frame.type, seq, session: socket.session, data: frame.data }));
    },
    sendText: (text) => ws.send(text),
    sendBytes: (bytes) => ws.send(bytes),
    pong: () => ws.pong(),
    sendUnfinished: (text) => ws.send(text, { fin: false }),
    async authenticate(agent, change) {
      const welcome = await socket.getWelcome(agent, change);
      socket.beReady(agent, welcome);
      return welcome;
    },
    beReady(agent, { epoch }) {
      agent.epoch = epoch;
      socket.send({ type: "ready", data: { epoch } });
    },
    async getWelcome(agent, change = (payload) => payload) {
      const challenge: Challenge = (await socket.next("challenge")).data;
      const agentNonce = randomBytes(32).toString("base64url");
      const { agentId, epoch } = agent;
      const payload = change({ ...challenge, url, agentId, agentNonce, epoch, facts: FACTS });
      socket.send({ type: "auth", data: { jws: await agent.key.sign(payload) } });
      const welcome = await socket.next("welcome");
      const said = welcomePayloadSchema.parse(await openAnswer(welcome.data.jws, challenge.controlPlaneId));
      if (said.agentNonce !== agentNonce) throw new Error("the welcome answers another handshake");
      socket.session = said.session;
      return said;
    },
    cut: () => ws.terminate(),
    close: () => ws.close(1000),
  };
  return new Promise((resolve, reject) => {
    ws.on("open", () => resolve(socket));
    ws.on("error", reject);
  });
}
