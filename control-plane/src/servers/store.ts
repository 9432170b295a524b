/** Rows of servers, with what lives on them counted. */
import type { Conn, Trx } from "../db/database.ts";

function selectServers(db: Conn) {
  return db
    .selectFrom("server")
    .selectAll("server")
    .select((eb) => [
      eb
        .selectFrom("environment")
        .select((count) => count.fn.countAll<number>().as("n"))
        .whereRef("environment.server_id", "=", "server.id")
        .where("environment.deleted_at", "is", null)
        .as("environment_count"),
      eb
        .selectFrom("service")
        .select((count) => count.fn.countAll<number>().as("n"))
        .whereRef("service.server_id", "=", "server.id")
        .where("service.deleted_at", "is", null)
        .as("service_count"),
    ])
    .where("server.deleted_at", "is", null);
}
export type ServerRow = Awaited<ReturnType<ReturnType<typeof selectServers>["execute"]>>[number];

export function listServerRows(db: Conn, workspaceId: string): Promise<ServerRow[]> {
  return selectServers(db).where("server.workspace_id", "=", workspaceId).orderBy("server.name").execute();
}

export function findServer(db: Conn, id: string): Promise<ServerRow | undefined> {
  return selectServers(db).where("server.id", "=", id).executeTakeFirst();
}

export function findServerByName(db: Conn, workspaceId: string, name: string) {
  return db
    .selectFrom("server")
    .select("id")
    .where("workspace_id", "=", workspaceId)
    .where("name", "=", name)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
}

export async function updateServerRow(
  trx: Trx,
  id: string,
  change: { name?: string; public_host?: string | null },
): Promise<void> {
  await trx
    .updateTable("server")
    .set((eb) => ({ ...change, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}

export async function markServerDeleted(trx: Trx, id: string, now: number): Promise<void> {
  await trx
    .updateTable("server")
    .set((eb) => ({ deleted_at: now, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}
