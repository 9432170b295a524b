/**
 * Enrolment: makes this server known to a control plane, once, or gives one that is known a new key. Safe to repeat until
 * it has succeeded.
 */
import {
  type AgentFacts,
  AppError,
  ENROL_PATH,
  type EnrolAnswer,
  type EnrolmentToken,
  enrolAnswerSchema,
  enrolResponseSchema,
  messageOf,
  NONCE_PATH,
  nonceResponseSchema,
  parseEnrolmentToken,
  problemSchema,
} from "@dflow/protocol";
import type { z } from "zod";
import { dataPaths, type Enrolment, loadEnrolment, parseControlPlaneUrl } from "../config.ts";
import type { Clock, Files } from "../deps.ts";
import { within } from "../waiting.ts";
import { type AgentKey, enrolmentMac, loadOrMakeKey, loadOrMakeNewKey, openSigned } from "./signing.ts";

const REQUEST_MS = 20_000;

export interface EnrolDeps {
  clock: Clock;
  files: Files;
  fetch: typeof fetch;
  facts(): Promise<AgentFacts>;
}

export interface EnrolRequest {
  url: string;
  dataDir: string;
  /** False where a person would have to be asked: a server that is known already needs no token. */
  tokenGiven: boolean;
  readToken(): Promise<string>;
}

export interface Enrolled {
  enrolment: Enrolment;
  /** `already`: an earlier run had done it. */
  outcome: "enrolled" | "rekeyed" | "already";
}

export async function enrol(deps: EnrolDeps, request: EnrolRequest): Promise<Enrolled> {
  const { files } = deps;
  const paths = dataPaths(request.dataDir);
  const existing = loadEnrolment(files, request.dataDir);
  if (existing !== undefined) {
    const token = request.tokenGiven ? parseEnrolmentToken(await request.readToken()) : undefined;
    if (token?.kind !== "rekey" || token.tokenId === existing.rekeyedBy) {
      return { enrolment: existing, outcome: "already" };
    }
    return rekey(deps, request, existing, token);
  }
  const controlPlaneUrl = parseControlPlaneUrl(request.url);
  const token = parseToken(await request.readToken());
  if (token.kind === "rekey") {
    throw new AppError("token_invalid", `this token re-keys a server, and there is none in ${request.dataDir}`, {
      hint: "Use it on the machine to keep, with that agent's data folder. A new server needs a token from Servers → Add server.",
    });
  }
  files.makeFolder(request.dataDir, 0o700);
  // On disk before the first request: when the answer is lost, the same key asks again and gets the same answer.
  const key = await loadOrMakeKey(files, paths.key);
  const answer = await present(deps, controlPlaneUrl, token, key);
  const enrolment: Enrolment = {
    agentId: answer.agentId,
    serverName: answer.serverName,
    controlPlaneUrl,
    controlPlaneId: token.controlPlaneId,
  };
  writeEnrolment(files, paths.enrolment, enrolment);
  return { enrolment, outcome: "enrolled" };
}

/**
 * A new key in the place of the old one; journal, volumes and all else stay. Killed anywhere, it is done by the same
 * token again: the new key waits in its own file until the control plane's word is there.
 */
async function rekey(
  deps: EnrolDeps,
  request: EnrolRequest,
  existing: Enrolment,
  token: EnrolmentToken,
): Promise<Enrolled> {
  const { files } = deps;
  const paths = dataPaths(request.dataDir);
  if (token.controlPlaneId !== existing.controlPlaneId) {
    throw new AppError(
      "token_invalid",
      `this token is not of ${existing.controlPlaneUrl}, to which this server belongs`,
    );
  }
  const { key, text } = await loadOrMakeNewKey(files, paths.newKey, token.tokenId);
  const answer = await present(deps, parseControlPlaneUrl(request.url), token, key, existing.agentId);
  if (answer.agentId !== existing.agentId) {
    throw new AppError("unauthenticated", "the control plane re-keyed another server than this one");
  }
  const enrolment: Enrolment = { ...existing, serverName: answer.serverName, rekeyedBy: token.tokenId };
  files.writeDurably(paths.key, text, 0o600);
  writeEnrolment(files, paths.enrolment, enrolment);
  files.remove(paths.newKey);
  return { enrolment, outcome: "rekeyed" };
}

/** Proves the token's secret and the key to the control plane. `rekeys`: the server that this machine says to be. */
async function present(
  deps: EnrolDeps,
  controlPlaneUrl: string,
  token: EnrolmentToken,
  key: AgentKey,
  rekeys?: string,
): Promise<EnrolAnswer> {
  const { nonce } = await post(deps, controlPlaneUrl, NONCE_PATH, { tokenId: token.tokenId }, nonceResponseSchema);
  const payload = {
    tokenId: token.tokenId,
    nonce,
    mac: enrolmentMac(token.secret, key.kid, nonce),
    facts: await deps.facts(),
    ...(rekeys === undefined ? {} : { rekeys }),
  };
  const { jws } = await post(
    deps,
    controlPlaneUrl,
    ENROL_PATH,
    { jws: await key.sign(payload, "jwk") },
    enrolResponseSchema,
  );
  const answer = enrolAnswerSchema.parse(await openSigned(jws, token.controlPlaneId));
  if (answer.nonce !== nonce) throw new AppError("unauthenticated", "the control plane answered another request");
  return answer;
}

function writeEnrolment(files: Files, path: string, enrolment: Enrolment): void {
  files.writeDurably(path, `${JSON.stringify(enrolment, null, 2)}\n`, 0o600);
}

function parseToken(text: string): EnrolmentToken {
  const token = parseEnrolmentToken(text);
  if (token !== undefined) return token;
  const trimmed = text.trim();
  throw new AppError(
    "token_invalid",
    trimmed === "" ? "no enrolment token was given" : "this is not a whole enrolment token",
    {
      hint: "Copy it anew from Servers → Add server. It begins with jt1. and has four parts. Give it on standard input or in a file with --token-file.",
    },
  );
}

async function post<S extends z.ZodType>(
  { clock, fetch }: EnrolDeps,
  origin: string,
  path: string,
  body: object,
  schema: S,
): Promise<z.infer<S>> {
  let status: number;
  let json: unknown;
  try {
    const answer = await within(clock, REQUEST_MS, `ask ${origin}`, async (signal) => {
      const response = await fetch(`${origin}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        // An answer from elsewhere is not the control plane's.
        redirect: "error",
        signal,
      });
      return { status: response.status, text: await response.text() };
    });
    status = answer.status;
    json = parseJson(answer.text);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
    throw new AppError("server_unreachable", `${origin} cannot be reached: ${cause}`, {
      hint: "Check the address and that this server can open a connection to it.",
      cause: error,
    });
  }
  const problem = problemSchema.safeParse(json);
  if (problem.success) {
    const { code, detail, hint } = problem.data;
    throw new AppError(code, detail, hint === undefined ? {} : { hint });
  }
  const parsed = schema.safeParse(json);
  if (status === 200 && parsed.success) return parsed.data;
  throw new AppError("unauthenticated", `${origin}${path} answered ${status}, but not as a dFlow control plane does`, {
    hint: "Check the address: it is the one under which the dashboard opens.",
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
