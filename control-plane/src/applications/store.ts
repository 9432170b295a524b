/** Rows of applications and the environments in them. */
import type { Conn, Trx } from "../db/database.ts";
import type { ApplicationTable } from "../db/schema.ts";

function selectApplications(db: Conn) {
  return db.selectFrom("application").selectAll().where("deleted_at", "is", null);
}
export type ApplicationRow = Awaited<ReturnType<ReturnType<typeof selectApplications>["execute"]>>[number];

export function listApplicationRows(db: Conn, workspaceId: string): Promise<ApplicationRow[]> {
  return selectApplications(db).where("workspace_id", "=", workspaceId).orderBy("name").execute();
}

export function findApplication(db: Conn, id: string): Promise<ApplicationRow | undefined> {
  return selectApplications(db).where("id", "=", id).executeTakeFirst();
}

/** The environments of these applications, with their server's name and how many services they hold. */
export function environmentsOf(db: Conn, applicationIds: string[]) {
  return db
    .selectFrom("environment")
    .innerJoin("server", "server.id", "environment.server_id")
    .select([
      "environment.id",
      "environment.name",
      "environment.application_id",
      "environment.server_id",
      "server.name as server_name",
    ])
    .select((eb) =>
      eb
        .selectFrom("service")
        .select((count) => count.fn.countAll<number>().as("n"))
        .whereRef("service.environment_id", "=", "environment.id")
        .where("service.deleted_at", "is", null)
        .as("service_count"),
    )
    .where("environment.application_id", "in", applicationIds)
    .where("environment.deleted_at", "is", null)
    .orderBy("environment.name")
    .execute();
}
export type EnvironmentSummary = Awaited<ReturnType<typeof environmentsOf>>[number];

export async function insertApplication(trx: Trx, row: Omit<ApplicationTable, "revision">): Promise<void> {
  await trx.insertInto("application").values(row).execute();
}

export async function renameApplicationRow(trx: Trx, id: string, name: string): Promise<void> {
  await trx
    .updateTable("application")
    .set((eb) => ({ name, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}

export async function markApplicationDeleted(trx: Trx, id: string, now: number): Promise<void> {
  await trx
    .updateTable("application")
    .set((eb) => ({ deleted_at: now, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}
