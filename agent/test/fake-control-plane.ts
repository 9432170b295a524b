/** A control plane small enough to read: real HTTP, real websocket, real signatures; it remembers all that it hears. */
import { createHash, createHmac, randomBytes, randomUUIDv7 } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  AGENT_SOCKET_PATH,
  authPayloadSchema,
  type Command,
  decodeLogData,
  ENROL_PATH,
  enrolmentMacInput,
  enrolPayloadSchema,
  formatEnrolmentToken,
  type LogData,
  type LogLine,
  NONCE_PATH,
  type OutgoingToAgent,
  type Result,
  SUBPROTOCOL,
  type ToControlPlane,
  toControlPlaneSchema,
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
import { type WebSocket, WebSocketServer } from "ws";

export interface FakeControlPlaneOptions {
  heartbeatMs?: number;
  deadlineMs?: number;
  /** False: results and log lines are not acknowledged. */
  acknowledge?: boolean;
}

export type FakeControlPlane = Awaited<ReturnType<typeof startFakeControlPlane>>;

const nonce = () => randomBytes(32).toString("base64url");

export async function startFakeControlPlane(options: FakeControlPlaneOptions = {}) {
  const { heartbeatMs = 5_000, deadlineMs = 15_000 } = options;
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(publicKey);
  const controlPlaneId = await calculateJwkThumbprint(jwk);
  const sign = (payload: object) =>
    new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg: "EdDSA", jwk }).sign(privateKey);

  const token = { kind: "join" as const, tokenId: randomUUIDv7(), secret: nonce(), controlPlaneId };
  const agents = new Map<string, { agentId: string; jwk: JWK }>();
  const nonces = new Set<string>();
  const state = { acknowledge: options.acknowledge ?? true, dropEnrolAnswers: 0, session: 0, offered: [] as number[] };
  const frames: ToControlPlane[] = [];
  const logData: LogData[] = [];
  const logs = new Map<string, LogLine[]>();
  const listeners = new Set<() => void>();
  let socket: WebSocket | undefined;
  let seq = 0;
  let url = "";

  const heard = () => {
    for (const listener of [...listeners]) listener();
  };

  const http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const answer = (status: number, json: object) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
    };
    const problem = (status: number, code: string, detail: string, hint: string) =>
      answer(status, { type: "about:blank", title: code, status, code, detail, hint });
    if (request.url === NONCE_PATH) {
      const fresh = nonce();
      nonces.add(fresh);
      return answer(200, { nonce: fresh });
    }
    if (request.url !== ENROL_PATH) return answer(404, {});
    const { jwk: agentJwk } = decodeProtectedHeader(body.jws) as { jwk: JWK };
    const { payload } = await compactVerify(body.jws, await importJWK(agentJwk, "EdDSA"));
    const claim = enrolPayloadSchema.parse(JSON.parse(Buffer.from(payload).toString("utf8")));
    const kid = await calculateJwkThumbprint(agentJwk);
    const mac = createHmac("sha256", createHash("sha256").update(token.secret).digest())
      .update(enrolmentMacInput(kid, claim.nonce))
      .digest("base64url");
    if (!nonces.delete(claim.nonce) || claim.tokenId !== token.tokenId || claim.mac !== mac) {
      return problem(401, "token_invalid", "this token is not valid", "Make a new one.");
    }
    const rekeyed = [...agents.values()].find(({ agentId }) => agentId === claim.rekeys);
    if (rekeyed !== undefined) {
      agents.clear();
      agents.set(kid, rekeyed);
    }
    const known = agents.get(kid);
    if (known === undefined && agents.size > 0)
      return problem(409, "token_used", "the token was used", "Make a new one.");
    const agentId = known?.agentId ?? randomUUIDv7();
    agents.set(kid, { agentId, jwk: agentJwk });
    if (state.dropEnrolAnswers > 0) {
      state.dropEnrolAnswers -= 1;
      return void response.destroy();
    }
    answer(200, { jws: await sign({ agentId, nonce: claim.nonce, serverName: "test-server" }) });
  });

  const write = (frame: OutgoingToAgent, session: number) => {
    seq += 1;
    socket?.send(JSON.stringify({ ...frame, seq, session }));
  };

  const sockets = new WebSocketServer({ server: http, path: AGENT_SOCKET_PATH, handleProtocols: () => SUBPROTOCOL });
  sockets.on("connection", (opened) => {
    socket?.terminate();
    socket = opened;
    seq = 0;
    const challenge = { connectionId: randomUUIDv7(), nonce: nonce(), controlPlaneId };
    write({ type: "challenge", data: challenge }, 0);
    opened.on("message", async (data, isBinary) => {
      if (isBinary) {
        const frame = decodeLogData(data as Buffer);
        if (frame !== undefined) logData.push(frame);
        return heard();
      }
      const frame = toControlPlaneSchema.parse(JSON.parse(data.toString()));
      if (frame.type === "auth") {
        const { kid } = decodeProtectedHeader(frame.data.jws);
        const agent = agents.get(kid ?? "");
        if (agent === undefined) return opened.close(4401, "unknown agent");
        const { payload } = await compactVerify(frame.data.jws, await importJWK(agent.jwk, "EdDSA"));
        const auth = authPayloadSchema.parse(JSON.parse(Buffer.from(payload).toString("utf8")));
        if (auth.nonce !== challenge.nonce || auth.url !== `${url.replace("http", "ws")}${AGENT_SOCKET_PATH}`) {
          return opened.close(4401, "bad answer");
        }
        state.session += 1;
        const { agentNonce, agentId, connectionId } = auth;
        state.offered.push(auth.epoch);
        const welcome = {
          ...{ connectionId, agentNonce, agentId, heartbeatMs, deadlineMs },
          ...{ session: state.session, epoch: auth.epoch + 1 },
        };
        const jws = await sign(welcome);
        write({ type: "welcome", data: { jws } }, 0);
        frames.push(frame);
        return heard();
      }
      frames.push(frame);
      react(frame);
      heard();
    });
  });

  const react = (frame: ToControlPlane) => {
    if (frame.type === "heartbeat") write({ type: "heartbeat_ack", data: {} }, state.session);
    if (frame.type === "progress") {
      const { operationId, from, lines } = frame.data;
      const log = logs.get(operationId) ?? [];
      for (const [index, line] of lines.entries()) log[from + index] = line;
      logs.set(operationId, log);
      if (state.acknowledge) {
        write({ type: "progress_ack", data: { operationId, next: from + lines.length } }, state.session);
      }
    }
    if (frame.type === "result" && state.acknowledge) {
      write({ type: "result_ack", data: { operationId: frame.data.operationId } }, state.session);
    }
  };

  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

  /** Resolves with the first value that `find` gives, now or after a later frame. */
  const until = <T>(find: () => T | undefined, timeoutMs = 10_000): Promise<T> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = find();
        if (found === undefined) return;
        listeners.delete(look);
        clearTimeout(timer);
        resolve(found);
      };
      const timer = setTimeout(() => {
        listeners.delete(look);
        const kinds = frames.map((frame) => frame.type).join(" ");
        reject(new Error(`not heard within ${timeoutMs} ms: ${find.toString()}; heard: ${kinds}`));
      }, timeoutMs);
      listeners.add(look);
      look();
    });

  return {
    url,
    token: formatEnrolmentToken(token),
    /** The same, as it is given for a server that is known. */
    rekeyToken: formatEnrolmentToken({ ...token, kind: "rekey" }),
    controlPlaneId,
    state,
    agents,
    frames,
    logData,
    logs,
    until,
    send: (frame: OutgoingToAgent) => write(frame, state.session),
    command: (command: Command) => write({ type: "command", data: command }, state.session),
    result: (operationId: string, timeoutMs?: number): Promise<Result> =>
      until(
        () =>
          frames.findLast((one) => one.type === "result" && one.data.operationId === operationId)?.data as
            | Result
            | undefined,
        timeoutMs,
      ),
    connected: (session = 1, timeoutMs?: number) =>
      until(() => (state.session >= session ? true : undefined), timeoutMs),
    /** Ends the socket without a word, as a broken network does. */
    cut: () => socket?.terminate(),
    raw: (text: string) => socket?.send(text),
    async stop() {
      sockets.close();
      for (const client of sockets.clients) client.terminate();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
