/** What agents saw of their services: which reports change a row, and writing those that do. */
import type { Event, Observation, StateReport } from "@dflow/protocol";
import { sql } from "kysely";
import type { Trx } from "../db/database.ts";

export interface ObservedService {
  id: string;
  observation: string | null;
  deployed_at: number | null;
}

export interface ObservationChange {
  serviceId: string;
  observation: Observation;
  observedAt: number;
}

/**
 * The rows that a report changes. Services that are not in `known` (those of this server) are left alone, whatever the
 * report says of them; in a full report silence about a known one says that it is not there.
 */
export function observationChanges(
  known: readonly ObservedService[],
  report: StateReport,
  receivedAt: number,
): ObservationChange[] {
  const told = new Map(report.services.map((entry) => [entry.serviceId, entry]));
  const changes: ObservationChange[] = [];
  for (const service of known) {
    const entry = told.get(service.id);
    if (entry === undefined && !report.full) continue;
    const observation = entry?.observation ?? unknownToAgent(service);
    if (JSON.stringify(observation) === service.observation) continue;
    changes.push({ serviceId: service.id, observation, observedAt: receivedAt - (entry?.ageMs ?? 0) });
  }
  return changes;
}

/** Of the volume of a deployed service nothing is said: an agent that lost its memory may overlook one that is there. */
function unknownToAgent(service: ObservedService): Observation {
  const evidence = "the agent knows no such service";
  return service.deployed_at === null
    ? { state: "not_deployed", evidence, volume: "absent" }
    : { state: "missing", evidence, volume: "unknown" };
}

/** Writes a report in one transaction and returns the hints for after its commit. */
export async function storeReport(
  trx: Trx,
  serverId: string,
  report: StateReport,
  receivedAt: number,
): Promise<{ workspaceId: string; event: Event }[]> {
  const known = await trx
    .selectFrom("service")
    .select(["id", "observation", "deployed_at"])
    .where("server_id", "=", serverId)
    .where("deleted_at", "is", null)
    .execute();
  const hints: { workspaceId: string; event: Event }[] = [];
  for (const change of observationChanges(known, report, receivedAt)) {
    const row = await trx
      .updateTable("service")
      .set({
        observed_state: change.observation.state,
        observation: JSON.stringify(change.observation),
        observed_at: change.observedAt,
        revision: sql<number>`revision + 1`,
      })
      .where("id", "=", change.serviceId)
      .returning(["workspace_id", "environment_id", "revision"])
      .executeTakeFirstOrThrow();
    const event: Event = {
      type: "service",
      id: change.serviceId,
      revision: row.revision,
      serviceId: change.serviceId,
      environmentId: row.environment_id,
    };
    hints.push({ workspaceId: row.workspace_id, event });
  }
  return hints;
}
