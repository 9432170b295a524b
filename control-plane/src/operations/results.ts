/** How an operation ends: once, in one place, whoever says so (its agent, its deadline, a person). */
import {
  canOperationMove,
  desiredStateSchema,
  type Failure,
  isTerminal,
  type ObservedState,
  type OperationState,
  type Timings,
} from "@dflow/protocol";
import { sql } from "kysely";
import { z } from "zod";
import type { Trx } from "../db/database.ts";
import type { EventHub } from "../events/hub.ts";

export interface Ending {
  state: Extract<OperationState, "succeeded" | "failed" | "cancelled" | "expired" | "unknown">;
  failure?: Failure | undefined;
  endedAt: number;
  startedAt?: number | undefined;
  /** Its agent says that it never began. One that failed at its first look has lines all the same, which looked like it. */
  began?: false;
  timings?: Timings | undefined;
  /** How many log lines there are in all; unless the agent says so, those that are here. */
  linesTotal?: number | undefined;
}

/** What changed with it, for the hints that follow the commit. */
export interface OperationChange {
  workspaceId: string;
  operation: { id: string; revision: number };
  service: { id: string; revision: number };
  environment: { id: string; revision: number };
  applicationId: string;
  /** It has ended with this change. */
  ended: boolean;
}

const argsSchema = z.object({
  deleteData: z.boolean().optional(),
  /** What was wanted of the service before this action. */
  previousDesired: desiredStateSchema.optional(),
});

/** Ends an operation and draws the consequences for its service. `undefined` when it has ended before: nothing changes. */
export async function endOperation(
  trx: Trx,
  operationId: string,
  ending: Ending,
): Promise<OperationChange | undefined> {
  const operation = await trx.selectFrom("operation").selectAll().where("id", "=", operationId).executeTakeFirst();
  if (operation === undefined || !canOperationMove(operation.state, ending.state)) return undefined;
  const startedAt = ending.began === false ? null : (ending.startedAt ?? operation.started_at);
  await trx
    .updateTable("operation")
    .set({
      state: ending.state,
      error: ending.failure === undefined ? null : JSON.stringify(ending.failure),
      timings: ending.timings === undefined ? null : JSON.stringify(ending.timings),
      started_at: startedAt,
      ended_at: ending.endedAt,
      lines_total: ending.linesTotal ?? operation.line_count,
    })
    .where("id", "=", operationId)
    .execute();
  await trx.deleteFrom("outbox").where("operation_id", "=", operationId).execute();
  if (ending.state === "succeeded" && operation.kind === "deploy") {
    await trx
      .updateTable("service")
      .set({ deployed_at: sql`coalesce(deployed_at, ${ending.endedAt})` })
      .where("id", "=", operation.service_id)
      .execute();
  }
  const args = argsSchema.parse(JSON.parse(operation.args));
  if (ending.state === "succeeded" && operation.kind === "delete") {
    await removeService(trx, operation.service_id, ending.endedAt, args);
  }
  const neverBegan = ending.state !== "unknown" && startedAt === null;
  if (ending.state !== "succeeded" && neverBegan && args.previousDesired !== undefined) {
    // Nothing was done, so what is wanted is what was wanted before: a stopped service is not one that has died.
    await trx
      .updateTable("service")
      .set({ desired: args.previousDesired })
      .where("id", "=", operation.service_id)
      .where("generation", "=", operation.generation)
      .execute();
  }
  return changeOf(trx, operationId);
}

/** Moves an open operation on; `undefined` when it is there already, or past it. */
export async function moveOperation(
  trx: Trx,
  operationId: string,
  to: "sent" | "running",
  at: number,
): Promise<OperationChange | undefined> {
  const operation = await trx
    .selectFrom("operation")
    .select(["state", "sent_at"])
    .where("id", "=", operationId)
    .executeTakeFirst();
  if (operation === undefined || !canOperationMove(operation.state, to)) return undefined;
  await trx
    .updateTable("operation")
    .set({ state: to, sent_at: operation.sent_at ?? at })
    .where("id", "=", operationId)
    .execute();
  return changeOf(trx, operationId);
}

/** Tells open browsers; call it after the commit. */
export function publishOperationChange(hub: EventHub, change: OperationChange): void {
  const { workspaceId, operation, service, environment, applicationId } = change;
  const within = { serviceId: service.id, environmentId: environment.id, applicationId };
  hub.publish(workspaceId, { type: "operation", ...operation, ...within });
  hub.publish(workspaceId, { type: "service", ...service, ...within });
  if (!change.ended) return;
  hub.publish(workspaceId, { type: "environment", ...environment, environmentId: environment.id, applicationId });
}

export function hasEnded(operation: { state: OperationState }): boolean {
  return isTerminal(operation.state);
}

/**
 * The agent has removed the container, and the volume when that was asked. Sealed secrets go with the data and not
 * before: a volume that was kept is of use only to who has its password.
 */
async function removeService(trx: Trx, serviceId: string, at: number, args: z.infer<typeof argsSchema>): Promise<void> {
  const dataGone = args.deleteData === true;
  const observed: ObservedState = "not_deployed";
  const service = await trx
    .updateTable("service")
    .set({
      deleted_at: at,
      observed_state: observed,
      observation: JSON.stringify({
        state: observed,
        evidence: dataGone ? "container and data volume deleted" : "container deleted, data volume kept",
        volume: dataGone ? "absent" : "present",
      }),
      observed_at: at,
    })
    .where("id", "=", serviceId)
    .returning("environment_id")
    .executeTakeFirstOrThrow();
  await trx
    .updateTable("environment")
    .set({ revision: sql<number>`revision + 1` })
    .where("id", "=", service.environment_id)
    .execute();
  if (dataGone) await trx.deleteFrom("secret").where("service_id", "=", serviceId).execute();
}

/** Something of an open operation has changed that is neither its state nor its log: its step. */
export function touchOperation(trx: Trx, operationId: string): Promise<OperationChange> {
  return changeOf(trx, operationId);
}

/** New revisions of all that shows this operation. */
async function changeOf(trx: Trx, operationId: string): Promise<OperationChange> {
  const next = sql<number>`revision + 1`;
  const operation = await trx
    .updateTable("operation")
    .set({ revision: next })
    .where("id", "=", operationId)
    .returning(["id", "revision", "state", "service_id", "workspace_id"])
    .executeTakeFirstOrThrow();
  const service = await trx
    .updateTable("service")
    .set({ revision: next })
    .where("id", "=", operation.service_id)
    .returning(["id", "revision", "environment_id"])
    .executeTakeFirstOrThrow();
  const environment = await trx
    .selectFrom("environment")
    .select(["id", "revision", "application_id"])
    .where("id", "=", service.environment_id)
    .executeTakeFirstOrThrow();
  return {
    workspaceId: operation.workspace_id,
    operation: { id: operation.id, revision: operation.revision },
    service: { id: service.id, revision: service.revision },
    environment: { id: environment.id, revision: environment.revision },
    applicationId: environment.application_id,
    ended: isTerminal(operation.state),
  };
}
