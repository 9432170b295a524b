/** Applications: what environments are grouped by. */
import { AppError, type Application } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import { isUniqueConflict } from "../db/conflicts.ts";
import type { RoomDeps } from "../deps.ts";
import { fieldError } from "../http/problem.ts";
import { isoTime } from "../http/times.ts";
import {
  type ApplicationRow,
  type EnvironmentSummary,
  environmentsOf,
  findApplication,
  insertApplication,
  listApplicationRows,
  markApplicationDeleted,
  renameApplicationRow,
} from "./store.ts";

/** For other rooms, inside their own transactions. */
export { findApplication } from "./store.ts";

export async function listApplications({ db }: Pick<RoomDeps, "db">, workspaceId: string): Promise<Application[]> {
  const rows = await listApplicationRows(db, workspaceId);
  const environments = await environmentsOf(
    db,
    rows.map((row) => row.id),
  );
  return rows.map((row) => applicationView(row, environments));
}

export async function getApplication({ db }: Pick<RoomDeps, "db">, id: string): Promise<Application> {
  const row = await findApplication(db, id);
  if (row === undefined) throw new AppError("not_found", "There is no such application.");
  return applicationView(row, await environmentsOf(db, [id]));
}

export async function createApplication(deps: RoomDeps, workspaceId: string, name: string, actor: Actor) {
  const id = deps.random.id();
  const row = { id, workspace_id: workspaceId, name, created_at: deps.clock.now(), deleted_at: null };
  await deps.db.transaction().execute(async (trx) => {
    await refuseTakenName(name, insertApplication(trx, row));
    await writeAudit(trx, deps, {
      workspaceId,
      actor,
      action: "application.create",
      target: { kind: "application", id },
      details: { name },
    });
  });
  deps.hub.publish(workspaceId, { type: "application", id, revision: 1 });
  return getApplication(deps, id);
}

export async function renameApplication(deps: RoomDeps, id: string, name: string, actor: Actor): Promise<Application> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = await findApplication(trx, id);
    if (before === undefined) throw new AppError("not_found", "There is no such application.");
    await refuseTakenName(name, renameApplicationRow(trx, id, name));
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "application.rename",
      target: { kind: "application", id },
      details: { from: before.name, to: name },
    });
    return before;
  });
  deps.hub.publish(row.workspace_id, { type: "application", id, revision: row.revision + 1 });
  return getApplication(deps, id);
}

async function refuseTakenName(name: string, writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (error) {
    if (!isUniqueConflict(error, "application.workspace_id, application.name")) throw error;
    throw fieldError("name", `There is an application named ${name} already.`, "name_taken");
  }
}

export async function deleteApplication(deps: RoomDeps, id: string, actor: Actor): Promise<void> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = await findApplication(trx, id);
    if (before === undefined) throw new AppError("not_found", "There is no such application.");
    const inside = await environmentsOf(trx, [id]);
    if (inside.length > 0) {
      const names = inside.map((environment) => environment.name).join(", ");
      throw new AppError("not_empty", `Application ${before.name} still has environments: ${names}.`, {
        hint: "Delete them first.",
      });
    }
    await markApplicationDeleted(trx, id, deps.clock.now());
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "application.delete",
      target: { kind: "application", id },
      details: { name: before.name },
    });
    return before;
  });
  deps.hub.publish(row.workspace_id, { type: "application", id, revision: row.revision + 1 });
}

function applicationView(row: ApplicationRow, environments: EnvironmentSummary[]): Application {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    name: row.name,
    createdAt: isoTime(row.created_at),
    environments: environments
      .filter((environment) => environment.application_id === row.id)
      .map(({ id, name, server_id, server_name, service_count }) => ({
        id,
        name,
        serverId: server_id,
        serverName: server_name,
        serviceCount: service_count ?? 0,
      })),
    revision: row.revision,
  };
}
