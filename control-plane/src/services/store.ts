/** Rows of services with the names of what they live in. A removed service's row is marked by operations/results.ts. */
import type { DesiredState } from "@dflow/protocol";
import type { Conn, Trx } from "../db/database.ts";

function selectServices(db: Conn) {
  return db
    .selectFrom("service")
    .innerJoin("environment", "environment.id", "service.environment_id")
    .innerJoin("application", "application.id", "environment.application_id")
    .innerJoin("server", "server.id", "service.server_id")
    .selectAll("service")
    .select([
      "environment.name as environment_name",
      "application.id as application_id",
      "application.name as application_name",
      "server.name as server_name",
    ])
    .where("service.deleted_at", "is", null);
}
export type ServiceRow = Awaited<ReturnType<ReturnType<typeof selectServices>["execute"]>>[number];

export function findService(db: Conn, id: string): Promise<ServiceRow | undefined> {
  return selectServices(db).where("service.id", "=", id).executeTakeFirst();
}

export function listServiceRows(db: Conn, environmentId: string): Promise<ServiceRow[]> {
  return selectServices(db).where("service.environment_id", "=", environmentId).orderBy("service.name").execute();
}

export interface NewServiceRow {
  id: string;
  workspace_id: string;
  environment_id: string;
  server_id: string;
  name: string;
  engine: string;
  version: string;
  volume_id: string;
  memory_bytes: number | null;
  outgoing: number;
  created_at: number;
}

export async function insertService(trx: Trx, row: NewServiceRow): Promise<void> {
  await trx
    .insertInto("service")
    .values({
      ...row,
      type: "database",
      desired: "stopped",
      observation: null,
      observed_at: null,
      deployed_at: null,
      deleted_at: null,
    })
    .execute();
}

export async function insertSecret(
  trx: Trx,
  row: { service_id: string; name: string; sealed: string; created_at: number },
): Promise<void> {
  await trx.insertInto("secret").values(row).execute();
}

export async function findSecret(db: Conn, serviceId: string, name: string): Promise<string | undefined> {
  const row = await db
    .selectFrom("secret")
    .select("sealed")
    .where("service_id", "=", serviceId)
    .where("name", "=", name)
    .executeTakeFirst();
  return row?.sealed;
}

/** What an accepted action changes in the row: one generation further, wanted so. */
export async function acceptAction(
  trx: Trx,
  id: string,
  change: { desired: DesiredState; generation: number; volumeId: string },
): Promise<void> {
  await trx
    .updateTable("service")
    .set((eb) => ({
      desired: change.desired,
      generation: change.generation,
      volume_id: change.volumeId,
      revision: eb("revision", "+", 1),
    }))
    .where("id", "=", id)
    .execute();
}

/** What a person sets; it reaches the server with the next command. */
export async function changeService(trx: Trx, id: string, change: { outgoing: number }): Promise<void> {
  await trx
    .updateTable("service")
    .set((eb) => ({ ...change, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}
