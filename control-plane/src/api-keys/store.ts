/** Rows of API keys. */
import type { Conn, Trx } from "../db/database.ts";
import type { ApiKeyTable } from "../db/schema.ts";

export function listApiKeyRows(db: Conn, workspaceId: string): Promise<ApiKeyTable[]> {
  return db.selectFrom("api_key").selectAll().where("workspace_id", "=", workspaceId).orderBy("id", "desc").execute();
}

export async function insertApiKey(trx: Trx, row: ApiKeyTable): Promise<void> {
  await trx.insertInto("api_key").values(row).execute();
}

export async function deleteApiKeyRow(trx: Trx, id: string): Promise<void> {
  await trx.deleteFrom("api_key").where("id", "=", id).execute();
}
