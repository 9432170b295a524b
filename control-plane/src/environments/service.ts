/** Environments: services that share a network on one server. */
import { AppError, type Environment } from "@dflow/protocol";
import { findApplication } from "../applications/service.ts";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import { isUniqueConflict } from "../db/conflicts.ts";
import type { RoomDeps } from "../deps.ts";
import { fieldError } from "../http/problem.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import { findServer } from "../servers/service.ts";
import { type EnvironmentRow, findEnvironment, insertEnvironment, markEnvironmentDeleted } from "./store.ts";

/** For other rooms, inside their own transactions. */
export { findEnvironment } from "./store.ts";

export async function getEnvironment(deps: Pick<RoomDeps, "db" | "agents">, id: string): Promise<Environment> {
  return environmentView(deps, found(await findEnvironment(deps.db, id)));
}

export interface NewEnvironment {
  applicationId: string;
  name: string;
  serverId: string;
  actor: Actor;
}

export async function createEnvironment(deps: RoomDeps, request: NewEnvironment): Promise<Environment> {
  const { applicationId, name, serverId, actor } = request;
  const id = deps.random.id();
  const workspaceId = await deps.db.transaction().execute(async (trx) => {
    const application = await findApplication(trx, applicationId);
    if (application === undefined) throw new AppError("not_found", "There is no such application.");
    const server = await findServer(trx, serverId);
    // A server of another workspace does not exist for the caller.
    if (server === undefined || server.workspace_id !== application.workspace_id) {
      throw fieldError("serverId", "There is no such server in this workspace.");
    }
    try {
      await insertEnvironment(trx, {
        id,
        workspace_id: application.workspace_id,
        application_id: applicationId,
        server_id: serverId,
        name,
        created_at: deps.clock.now(),
        deleted_at: null,
      });
    } catch (error) {
      if (!isUniqueConflict(error, "environment.application_id, environment.name")) throw error;
      throw fieldError(
        "name",
        `Application ${application.name} has an environment named ${name} already.`,
        "name_taken",
      );
    }
    await writeAudit(trx, deps, {
      workspaceId: application.workspace_id,
      actor,
      action: "environment.create",
      target: { kind: "environment", id },
      details: { name, serverId },
    });
    return application.workspace_id;
  });
  announce(deps, workspaceId, { id, applicationId, revision: 1 });
  return getEnvironment(deps, id);
}

export async function deleteEnvironment(deps: RoomDeps, id: string, actor: Actor): Promise<void> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = found(await findEnvironment(trx, id));
    if ((before.service_count ?? 0) > 0) {
      throw new AppError(
        "not_empty",
        `Environment ${before.name} still has ${before.service_count} ${before.service_count === 1 ? "service" : "services"}.`,
        {
          hint: "Delete them first.",
        },
      );
    }
    await markEnvironmentDeleted(trx, id, deps.clock.now());
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "environment.delete",
      target: { kind: "environment", id },
      details: { name: before.name },
    });
    return before;
  });
  announce(deps, row.workspace_id, { id, applicationId: row.application_id, revision: row.revision + 1 });
}

function found(row: EnvironmentRow | undefined): EnvironmentRow {
  if (row === undefined) throw new AppError("not_found", "There is no such environment.");
  return row;
}

function announce(
  { hub }: Pick<RoomDeps, "hub">,
  workspaceId: string,
  environment: { id: string; applicationId: string; revision: number },
): void {
  const { id, applicationId, revision } = environment;
  hub.publish(workspaceId, { type: "environment", id, revision, applicationId });
}

function environmentView({ agents }: Pick<RoomDeps, "agents">, row: EnvironmentRow): Environment {
  const link = agents.link(row.server_id);
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    application: { id: row.application_id, name: row.application_name },
    name: row.name,
    server: {
      id: row.server_id,
      name: row.server_name,
      link: link.state,
      lastSeenAt: isoTimeOrNull(link.lastSeenAt),
    },
    serviceCount: row.service_count ?? 0,
    createdAt: isoTime(row.created_at),
    revision: row.revision,
  };
}
