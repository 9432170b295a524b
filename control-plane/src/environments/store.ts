/** Rows of environments, with their application, server and the number of services. */
import type { Conn, Trx } from "../db/database.ts";
import type { EnvironmentTable } from "../db/schema.ts";

function selectEnvironments(db: Conn) {
  return db
    .selectFrom("environment")
    .innerJoin("application", "application.id", "environment.application_id")
    .innerJoin("server", "server.id", "environment.server_id")
    .selectAll("environment")
    .select(["application.name as application_name", "server.name as server_name"])
    .select((eb) =>
      eb
        .selectFrom("service")
        .select((count) => count.fn.countAll<number>().as("n"))
        .whereRef("service.environment_id", "=", "environment.id")
        .where("service.deleted_at", "is", null)
        .as("service_count"),
    )
    .where("environment.deleted_at", "is", null);
}
export type EnvironmentRow = Awaited<ReturnType<ReturnType<typeof selectEnvironments>["execute"]>>[number];

export function findEnvironment(db: Conn, id: string): Promise<EnvironmentRow | undefined> {
  return selectEnvironments(db).where("environment.id", "=", id).executeTakeFirst();
}

export async function insertEnvironment(trx: Trx, row: Omit<EnvironmentTable, "revision">): Promise<void> {
  await trx.insertInto("environment").values(row).execute();
}

export async function markEnvironmentDeleted(trx: Trx, id: string, now: number): Promise<void> {
  await trx
    .updateTable("environment")
    .set((eb) => ({ deleted_at: now, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}
