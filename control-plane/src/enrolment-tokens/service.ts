/** Enrolment tokens: what an admin pastes on a new server, or on a known one to give it a new key. */
import { AppError } from "@dflow/protocol";
import type { Selectable } from "kysely";
import { newEnrolmentToken } from "../agents/enrolment-token.ts";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import { isLoopbackHost } from "../config.ts";
import type { EnrolmentTokenTable } from "../db/schema.ts";
import type { RoomDeps } from "../deps.ts";
import { fieldError } from "../http/problem.ts";
import { isoTime } from "../http/times.ts";
import { hasInstaller, installCommand, rekeyCommand } from "../install/release.ts";
import { findServer, findServerByName } from "../servers/service.ts";
import { findEnrolmentToken, insertEnrolmentToken } from "./store.ts";

export async function createEnrolmentToken(deps: RoomDeps, workspaceId: string, serverName: string, actor: Actor) {
  const { text, row } = newToken(deps, { workspaceId, serverName, rekeysServerId: null, actor });
  await deps.db.transaction().execute(async (trx) => {
    if ((await findServerByName(trx, workspaceId, serverName)) !== undefined) {
      throw fieldError("serverName", `There is a server named ${serverName} already.`, "name_taken");
    }
    await insertEnrolmentToken(trx, row);
    await writeAudit(trx, deps, {
      workspaceId,
      actor,
      action: "enrolment_token.create",
      target: { kind: "enrolment_token", id: row.id },
      details: { serverName },
    });
  });
  return createdView(deps, text, row);
}

/** A token with which the machine to keep gets a new key. Until it is used, all stays as it is. */
export async function createRekeyToken(deps: RoomDeps, serverId: string, actor: Actor) {
  const { text, row } = await deps.db.transaction().execute(async (trx) => {
    const server = await findServer(trx, serverId);
    if (server === undefined) throw new AppError("not_found", "There is no such server.");
    const { workspace_id: workspaceId, name: serverName } = server;
    const token = newToken(deps, { workspaceId, serverName, rekeysServerId: serverId, actor });
    await insertEnrolmentToken(trx, token.row);
    await writeAudit(trx, deps, {
      workspaceId,
      actor,
      action: "rekey_token.create",
      target: { kind: "server", id: serverId },
      details: { tokenId: token.row.id, serverName },
    });
    return token;
  });
  return createdView(deps, text, row);
}

type TokenRow = Selectable<EnrolmentTokenTable>;

function newToken(
  { random, clock, signer }: Pick<RoomDeps, "random" | "clock" | "signer">,
  of: { workspaceId: string; serverName: string; rekeysServerId: string | null; actor: Actor },
): { text: string; row: TokenRow } {
  const token = newEnrolmentToken({
    kind: of.rekeysServerId === null ? "join" : "rekey",
    id: random.id(),
    secret: random.bytes(32),
    controlPlaneId: signer.controlPlaneId,
    now: clock.now(),
  });
  const row: TokenRow = {
    ...token.row,
    workspace_id: of.workspaceId,
    server_name: of.serverName,
    created_by: of.actor.id,
    used_at: null,
    used_by_kid: null,
    server_id: null,
    rekeys_server_id: of.rekeysServerId,
  };
  return { text: token.text, row };
}

function createdView({ config, clock }: Pick<RoomDeps, "config" | "clock">, text: string, row: TokenRow) {
  const reachableFromElsewhere = !isLoopbackHost(new URL(config.publicUrl).hostname);
  const command = row.rekeys_server_id === null ? installCommand : rekeyCommand;
  return {
    ...tokenView(row, clock.now()),
    token: text,
    controlPlaneUrl: config.publicUrl,
    reachableFromElsewhere,
    installCommand: reachableFromElsewhere && hasInstaller(config) ? command(config) : null,
  };
}

export async function getEnrolmentToken({ db, clock }: Pick<RoomDeps, "db" | "clock">, id: string) {
  const row = await findEnrolmentToken(db, id);
  if (row === undefined) throw new AppError("not_found", "There is no such enrolment token.");
  return tokenView(row, clock.now());
}

function tokenView(row: TokenRow, now: number) {
  const unused = row.expires_at <= now ? ("expired" as const) : ("waiting" as const);
  return {
    id: row.id,
    serverName: row.server_name,
    state: row.used_at === null ? unused : ("used" as const),
    expiresAt: isoTime(row.expires_at),
    serverId: row.server_id,
  };
}
