/** The signed handshake of each connection: no clock and no bearer secret in it, only nonces and two keys. */
import {
  AGENT_SOCKET_PATH,
  type AgentFacts,
  AppError,
  type AuthPayload,
  type ToAgent,
  type WelcomePayload,
  welcomePayloadSchema,
} from "@dflow/protocol";
import type { Enrolment } from "../config.ts";
import type { Random } from "../deps.ts";
import type { Epochs } from "./epochs.ts";
import { type AgentKey, openSigned } from "./signing.ts";

type Challenge = Extract<ToAgent, { type: "challenge" }>["data"];

/** What `welcome` has to answer to. */
export interface Asked {
  connectionId: string;
  agentNonce: string;
}

export interface Handshake {
  readonly url: string;
  answer(challenge: Challenge): Promise<{ jws: string; asked: Asked }>;
  accept(jws: string, asked: Asked): Promise<WelcomePayload>;
  /** The welcome's epoch is on disk when it returns: only then may `ready` be said. */
  keep(epoch: number): void;
}

export interface HandshakeDeps {
  key: AgentKey;
  random: Random;
  enrolment: Enrolment;
  epochs: Epochs;
  /** Must be quick: the connection waits for it. */
  facts(): Promise<AgentFacts>;
}

const NONCE_BYTES = 32;

export function createHandshake({ key, random, enrolment, epochs, facts }: HandshakeDeps): Handshake {
  const url = `${enrolment.controlPlaneUrl.replace(/^http/, "ws")}${AGENT_SOCKET_PATH}`;
  return {
    url,
    async answer({ connectionId, nonce, controlPlaneId }) {
      if (controlPlaneId !== enrolment.controlPlaneId) {
        throw new AppError(
          "unauthenticated",
          `${url} is another control plane than the one this server is enrolled at`,
        );
      }
      const agentNonce = Buffer.from(random.bytes(NONCE_BYTES)).toString("base64url");
      const payload: AuthPayload = {
        controlPlaneId,
        url,
        agentId: enrolment.agentId,
        connectionId,
        nonce,
        agentNonce,
        epoch: epochs.last(),
        facts: await facts(),
      };
      return { jws: await key.sign(payload, "kid"), asked: { connectionId, agentNonce } };
    },
    async accept(jws, asked) {
      const welcome = welcomePayloadSchema.parse(await openSigned(jws, enrolment.controlPlaneId));
      const isForUs =
        welcome.connectionId === asked.connectionId &&
        welcome.agentNonce === asked.agentNonce &&
        welcome.agentId === enrolment.agentId;
      if (!isForUs) throw new AppError("unauthenticated", "the control plane welcomed another connection");
      return welcome;
    },
    keep: (epoch) => epochs.keep(epoch),
  };
}
