/** Enrolment: makes this server known to a control plane, once. Safe to repeat until it has succeeded. */
import {
  type AgentFacts,
  AppError,
  ENROL_PATH,
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
import { enrolmentMac, loadOrMakeKey, openSigned } from "./signing.ts";

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
  /** Asked for only when there is something to enrol. */
  readToken(): Promise<string>;
}

export interface Enrolled {
  enrolment: Enrolment;
  /** True when an earlier run had done it. */
  already: boolean;
}

export async function enrol(deps: EnrolDeps, request: EnrolRequest): Promise<Enrolled> {
  const { files } = deps;
  const paths = dataPaths(request.dataDir);
  const existing = loadEnrolment(files, request.dataDir);
  if (existing !== undefined) return { enrolment: existing, already: true };
  const controlPlaneUrl = parseControlPlaneUrl(request.url);
  const token = parseToken(await request.readToken());
  files.makeFolder(request.dataDir, 0o700);
  // On disk before the first request: when the answer is lost, the same key asks again and gets the same answer.
  const key = await loadOrMakeKey(files, paths.key);
  const { nonce } = await post(deps, controlPlaneUrl, NONCE_PATH, { tokenId: token.tokenId }, nonceResponseSchema);
  const payload = {
    tokenId: token.tokenId,
    nonce,
    mac: enrolmentMac(token.secret, key.kid, nonce),
    facts: await deps.facts(),
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
  const enrolment: Enrolment = {
    agentId: answer.agentId,
    serverName: answer.serverName,
    controlPlaneUrl,
    controlPlaneId: token.controlPlaneId,
  };
  files.writeDurably(paths.enrolment, `${JSON.stringify(enrolment, null, 2)}\n`, 0o600);
  return { enrolment, already: false };
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
