/**
 * Enrolment: a one-use token becomes a server, bound to the key that used it, or gives a known server a new key. The
 * token's secret never travels.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import {
  AppError,
  type EnrolAnswer,
  type EnrolPayload,
  type Event,
  enrolmentMacInput,
  enrolPayloadSchema,
} from "@dflow/protocol";
import type { Selectable } from "kysely";
import type { Trx } from "../db/database.ts";
import type { EnrolmentTokenTable } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { Nonces } from "./nonces.ts";
import { type Rekeyed, rekey } from "./rekey.ts";
import { type SelfSigned, verifySelfSigned } from "./signatures.ts";

export interface EnrolDeps extends Pick<Deps, "db" | "clock" | "random" | "signer" | "hub"> {
  /** A server has a new key: whoever is connected with the old one has to go. Called after the commit. */
  rekeyed(serverId: string, replacedKid: string): void;
}

const REKEY_HINT = "For a new key, make a token on the server's page in the dashboard: Re-key this server.";
const NEW_TOKEN_HINT = "Make a new token in the dashboard: Servers, Add server.";

/** Answers with a JWS of EnrolAnswer. The same token with the same key gets the same answer again. */
export async function enrol(deps: EnrolDeps, nonces: Nonces, jws: string, address: string): Promise<string> {
  const signed = await verifySelfSigned(jws);
  const payload = enrolPayloadSchema.safeParse(signed.payload);
  if (!payload.success) {
    const [issue] = payload.error.issues;
    throw new AppError("invalid_input", `The enrolment's ${issue?.path.join(".") || "payload"}: ${issue?.message}.`);
  }
  const nonceFits = nonces.take(payload.data.tokenId, payload.data.nonce);
  const outcome = await deps.db
    .transaction()
    .execute((trx) => useToken(trx, deps, { ...signed, payload: payload.data, nonceFits, address }));
  if (outcome.rekeyed !== undefined) deps.rekeyed(outcome.rekeyed.id, outcome.rekeyed.replacedKid);
  for (const { workspaceId, event } of outcome.hints) deps.hub.publish(workspaceId, event);
  if (outcome.refusal !== undefined) throw outcome.refusal;
  const answer: EnrolAnswer = { ...outcome.answer, nonce: payload.data.nonce };
  return deps.signer.sign(answer);
}

interface Attempt extends SelfSigned {
  payload: EnrolPayload;
  nonceFits: boolean;
  address: string;
}

type Token = Selectable<EnrolmentTokenTable>;

/** A refusal is returned and not thrown: the audit row that goes with it has to be committed. */
type Outcome = { hints: { workspaceId: string; event: Event }[] } & (
  | { refusal: AppError; answer?: undefined; rekeyed?: undefined }
  | { refusal?: undefined; answer: { agentId: string; serverName: string }; rekeyed?: Rekeyed }
);

async function useToken(trx: Trx, deps: EnrolDeps, attempt: Attempt): Promise<Outcome> {
  const { payload, kid } = attempt;
  const token = await trx
    .selectFrom("enrolment_token")
    .selectAll()
    .where("id", "=", payload.tokenId)
    .executeTakeFirst();
  // One answer for an unknown token, a wrong secret and a stale nonce: it tells nobody which tokens exist.
  if (!isMacOf(token?.mac_key, payload, kid) || token === undefined || !attempt.nonceFits) {
    return refused(
      "token_invalid",
      "This enrolment token is not valid here.",
      "Copy the whole command, or make a new token.",
    );
  }
  if (token.used_by_kid === kid) return sameAgain(trx, token, kid);
  if (token.used_at !== null) {
    await audit(trx, deps, token, attempt, "enrolment_token.reuse_refused", token.server_id);
    return refused(
      "token_used",
      `This token has enrolled “${token.server_name}” already, with another key.`,
      NEW_TOKEN_HINT,
    );
  }
  const now = deps.clock.now();
  if (token.expires_at <= now) return refused("token_expired", "This enrolment token has expired.", NEW_TOKEN_HINT);
  if (token.rekeys_server_id === null && payload.rekeys !== undefined) {
    return refused("forbidden", "This token is for a new server, and this one is known already.", REKEY_HINT);
  }
  const rekeyed =
    token.rekeys_server_id === null ? undefined : await rekey(trx, token.rekeys_server_id, payload.rekeys, attempt);
  if (rekeyed instanceof AppError) return { refusal: rekeyed, hints: [] };
  const server = rekeyed ?? (await serverFor(trx, deps, token, attempt, now));
  if (server instanceof AppError) return { refusal: server, hints: [] };
  await trx
    .updateTable("enrolment_token")
    .set({ used_at: now, used_by_kid: kid, server_id: server.id })
    .where("id", "=", token.id)
    .execute();
  await audit(trx, deps, token, attempt, rekeyed === undefined ? "server.enrol" : "server.rekey", server.id);
  const { workspace_id: workspaceId } = token;
  return {
    answer: { agentId: server.id, serverName: server.name },
    ...(rekeyed === undefined ? {} : { rekeyed }),
    hints: [
      { workspaceId, event: { type: "enrolment_token", id: token.id, revision: 2 } },
      { workspaceId, event: { type: "server", id: server.id, revision: server.revision } },
    ],
  };
}

/** Compared in constant time; a token that does not exist costs the same as one that does. */
function isMacOf(macKey: string | undefined, payload: EnrolPayload, kid: string): boolean {
  const key = Buffer.from(macKey ?? "", "base64url");
  const expected = createHmac("sha256", key).update(enrolmentMacInput(kid, payload.nonce)).digest();
  return timingSafeEqual(expected, Buffer.from(payload.mac, "base64url")) && macKey !== undefined;
}

/** The first answer was lost on its way: it is given again, unless the server was removed meanwhile. */
async function sameAgain(trx: Trx, token: Token, kid: string): Promise<Outcome> {
  const server = await trx
    .selectFrom("server")
    .select(["id", "name", "agent_kid"])
    .where("id", "=", token.server_id)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  if (server !== undefined && server.agent_kid !== kid) {
    return refused("token_used", `“${server.name}” has been re-keyed again since this token was used.`, REKEY_HINT);
  }
  if (server === undefined) {
    return refused("token_used", `“${token.server_name}”, which this token enrolled, was removed.`, NEW_TOKEN_HINT);
  }
  return { answer: { agentId: server.id, serverName: server.name }, hints: [] };
}

/** A key is one server: it enrols anew as itself, and only after its removal as another. */
async function serverFor(trx: Trx, deps: EnrolDeps, token: Token, attempt: Attempt, now: number) {
  const known = await trx
    .selectFrom("server")
    .select(["id", "name", "revision", "workspace_id", "deleted_at"])
    .where("agent_kid", "=", attempt.kid)
    .executeTakeFirst();
  if (known !== undefined && known.deleted_at === null) {
    if (known.workspace_id === token.workspace_id) return known;
    return new AppError("forbidden", "This agent is enrolled in another workspace.", {
      hint: "Remove the server there first, or let the agent begin with an empty data folder.",
    });
  }
  if (known !== undefined) {
    await trx
      .updateTable("server")
      .set({ agent_kid: `${attempt.kid} until ${known.id}` })
      .where("id", "=", known.id)
      .execute();
  }
  return trx
    .insertInto("server")
    .values({
      id: deps.random.id(),
      workspace_id: token.workspace_id,
      name: await freeName(trx, token.workspace_id, token.server_name),
      agent_kid: attempt.kid,
      agent_jwk: JSON.stringify(attempt.jwk),
      session: 0,
      facts: JSON.stringify(attempt.payload.facts),
      public_host: null,
      peer_address: attempt.address,
      connected_at: null,
      last_seen_at: null,
      created_at: now,
      deleted_at: null,
    })
    .returning(["id", "name", "revision"])
    .executeTakeFirstOrThrow();
}

const NAME_MAX = 60;

/** The name that was asked for, or with the first free number behind it. */
async function freeName(trx: Trx, workspaceId: string, wanted: string): Promise<string> {
  const rows = await trx
    .selectFrom("server")
    .select("name")
    .where("workspace_id", "=", workspaceId)
    .where("deleted_at", "is", null)
    .execute();
  const taken = new Set(rows.map((row) => row.name));
  let name = wanted;
  for (let number = 2; taken.has(name); number++) {
    name = `${wanted.slice(0, NAME_MAX - String(number).length - 1)}-${number}`;
  }
  return name;
}

async function audit(
  trx: Trx,
  deps: EnrolDeps,
  token: Token,
  attempt: Attempt,
  action: string,
  serverId: string | null,
): Promise<void> {
  await trx
    .insertInto("audit")
    .values({
      id: deps.random.id(),
      workspace_id: token.workspace_id,
      at: deps.clock.now(),
      actor_kind: "agent",
      actor_id: attempt.kid,
      actor_name: attempt.payload.facts.hostname,
      action,
      target_kind: "server",
      target_id: serverId,
      address: attempt.address,
      details: JSON.stringify({ tokenId: token.id, serverName: token.server_name }),
    })
    .execute();
}

function refused(
  code: "token_invalid" | "token_used" | "token_expired" | "forbidden",
  message: string,
  hint: string,
): Outcome {
  return { refusal: new AppError(code, message, { hint }), hints: [] };
}
