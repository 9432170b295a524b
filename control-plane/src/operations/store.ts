/** Rows of operations and their logs, as people read them. How one ends is in results.ts. */
import { OPEN_OPERATION_STATES } from "@dflow/protocol";
import { type Selectable, sql } from "kysely";
import type { Conn, Trx } from "../db/database.ts";
import type { OperationLogTable, OperationTable } from "../db/schema.ts";

export type OperationRow = Selectable<OperationTable>;

export function findOperation(db: Conn, id: string): Promise<OperationRow | undefined> {
  return db.selectFrom("operation").selectAll().where("id", "=", id).executeTakeFirst();
}

/** Newest first; `before` is the id of the last one of the page before. */
export function listOperationRows(
  db: Conn,
  serviceId: string,
  page: { limit: number; before?: string | undefined },
): Promise<OperationRow[]> {
  let query = db.selectFrom("operation").selectAll().where("service_id", "=", serviceId);
  if (page.before !== undefined) query = query.where("id", "<", page.before);
  return query.orderBy("id", "desc").limit(page.limit).execute();
}

export function findOpenOperation(db: Conn, serviceId: string): Promise<OperationRow | undefined> {
  return db
    .selectFrom("operation")
    .selectAll()
    .where("service_id", "=", serviceId)
    .where("state", "in", OPEN_OPERATION_STATES)
    .executeTakeFirst();
}

/**
 * The newest operation of each service: the open one, when there is one. Ids alone do not tell, since they hold the time,
 * and a clock that was set back gives the next operation an older id than the last.
 */
export async function newestOperations(db: Conn, serviceIds: string[]): Promise<OperationRow[]> {
  const open = await db
    .selectFrom("operation")
    .selectAll()
    .where("service_id", "in", serviceIds)
    // In the very words of the partial index: bound values would read every operation of these services.
    .where(sql<boolean>`state in ('queued', 'sent', 'running')`)
    .execute();
  const newest = await db
    .selectFrom("operation")
    .selectAll()
    .where("id", "in", (eb) =>
      eb
        .selectFrom("operation as o")
        .select((max) => max.fn.max<string>("o.id").as("id"))
        .where("o.service_id", "in", serviceIds)
        .groupBy("o.service_id"),
    )
    .execute();
  const busy = new Set(open.map((row) => row.service_id));
  return [...open, ...newest.filter((row) => !busy.has(row.service_id))];
}

/** The newest check of each service that ever had one; by index `operation_check`. */
export function newestChecks(db: Conn, serviceIds: string[]): Promise<OperationRow[]> {
  return db
    .selectFrom("operation")
    .selectAll()
    .where("id", "in", (eb) =>
      eb
        .selectFrom("operation as o")
        .select((max) => max.fn.max<string>("o.id").as("id"))
        // In the very words of the partial index.
        .where(sql<boolean>`o.kind = 'check'`)
        .where("o.service_id", "in", serviceIds)
        .groupBy("o.service_id"),
    )
    .execute();
}

/** True when no command for this service ever left for its agent. */
export async function neverSent(db: Conn, serviceId: string): Promise<boolean> {
  const sent = await db
    .selectFrom("operation")
    .select("id")
    .where("service_id", "=", serviceId)
    .where("sent_at", "is not", null)
    .limit(1)
    .executeTakeFirst();
  return sent === undefined;
}

type SettledColumn = "settled_outcome" | "settled_note" | "settled_by" | "settled_at";

export async function insertOperation(
  trx: Trx,
  row: Omit<OperationRow, "revision" | "line_count" | "log_removed_at" | SettledColumn>,
): Promise<void> {
  await trx.insertInto("operation").values(row).execute();
}

export async function insertOutboxRow(
  trx: Trx,
  operation: Pick<OperationRow, "id" | "server_id" | "service_id">,
  kind: "command" | "cancel",
  now: number,
): Promise<void> {
  await trx
    .insertInto("outbox")
    .values({
      server_id: operation.server_id,
      service_id: operation.service_id,
      operation_id: operation.id,
      kind,
      created_at: now,
      sent_session: null,
    })
    .execute();
}

/** Only for operations that no agent will ever write to. */
export async function writeOwnLogLine(trx: Trx, operationId: string, at: number, text: string): Promise<void> {
  await trx.insertInto("operation_log").values({ operation_id: operationId, n: 0, at, level: "info", text }).execute();
  await trx.updateTable("operation").set({ line_count: 1 }).where("id", "=", operationId).execute();
}

export async function setCancelRequested(trx: Trx, id: string, now: number): Promise<void> {
  await trx
    .updateTable("operation")
    .set((eb) => ({ cancel_requested_at: now, revision: eb("revision", "+", 1) }))
    .where("id", "=", id)
    .execute();
}

/** False when somebody has settled it before. */
export async function writeSettlement(
  trx: Trx,
  id: string,
  values: Pick<OperationRow, SettledColumn>,
): Promise<boolean> {
  const updated = await trx
    .updateTable("operation")
    .set(values)
    .where("id", "=", id)
    .where("state", "=", "unknown")
    .where("settled_at", "is", null)
    .executeTakeFirst();
  return updated.numUpdatedRows > 0n;
}

/** Lines from index `after` on. */
export function readLogLines(
  db: Conn,
  operationId: string,
  after: number,
  limit: number,
): Promise<OperationLogTable[]> {
  return db
    .selectFrom("operation_log")
    .selectAll()
    .where("operation_id", "=", operationId)
    .where("n", ">=", after)
    .orderBy("n")
    .limit(limit)
    .execute();
}
