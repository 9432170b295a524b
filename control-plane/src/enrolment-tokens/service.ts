/** Enrolment tokens: what an admin pastes on a new server. */
import { AppError } from "@dflow/protocol";
import { newEnrolmentToken } from "../agents/enrolment-token.ts";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import { isLoopbackHost } from "../config.ts";
import type { EnrolmentTokenTable } from "../db/schema.ts";
import type { RoomDeps } from "../deps.ts";
import { fieldError } from "../http/problem.ts";
import { isoTime } from "../http/times.ts";
import { hasInstaller, installCommand } from "../install/release.ts";
import { findServerByName } from "../servers/service.ts";
import { findEnrolmentToken, insertEnrolmentToken } from "./store.ts";

export async function createEnrolmentToken(deps: RoomDeps, workspaceId: string, serverName: string, actor: Actor) {
  const { config, random, clock, signer } = deps;
  const token = newEnrolmentToken({
    id: random.id(),
    secret: random.bytes(32),
    controlPlaneId: signer.controlPlaneId,
    now: clock.now(),
  });
  const row: EnrolmentTokenTable = {
    ...token.row,
    workspace_id: workspaceId,
    server_name: serverName,
    created_by: actor.id,
    used_at: null,
    used_by_kid: null,
    server_id: null,
  };
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
  const reachableFromElsewhere = !isLoopbackHost(new URL(config.publicUrl).hostname);
  return {
    ...tokenView(row, clock.now()),
    token: token.text,
    controlPlaneUrl: config.publicUrl,
    reachableFromElsewhere,
    installCommand: reachableFromElsewhere && hasInstaller(config) ? installCommand(config) : null,
  };
}

export async function getEnrolmentToken({ db, clock }: Pick<RoomDeps, "db" | "clock">, id: string) {
  const row = await findEnrolmentToken(db, id);
  if (row === undefined) throw new AppError("not_found", "There is no such enrolment token.");
  return tokenView(row, clock.now());
}

function tokenView(row: EnrolmentTokenTable, now: number) {
  const unused = row.expires_at <= now ? ("expired" as const) : ("waiting" as const);
  return {
    id: row.id,
    serverName: row.server_name,
    state: row.used_at === null ? unused : ("used" as const),
    expiresAt: isoTime(row.expires_at),
    serverId: row.server_id,
  };
}
