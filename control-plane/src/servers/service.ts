/** Servers: what is known of each, and the two things a person can change. */
import { AppError, agentFactsSchema, type Server } from "@dflow/protocol";
import { writeAudit } from "../audit/write-audit.ts";
import type { Actor } from "../auth/principal.ts";
import type { RoomDeps } from "../deps.ts";
import { fieldError } from "../http/problem.ts";
import { isoTime, isoTimeOrNull } from "../http/times.ts";
import {
  findServer,
  findServerByName,
  listServerRows,
  markServerDeleted,
  type ServerRow,
  updateServerRow,
} from "./store.ts";

/** Reads that other rooms need inside their own transactions. */
export { findServer, findServerByName } from "./store.ts";

export async function listServers(deps: RoomDeps, workspaceId: string): Promise<Server[]> {
  return (await listServerRows(deps.db, workspaceId)).map((row) => serverView(deps, row));
}

export async function getServer(deps: RoomDeps, id: string): Promise<Server> {
  return serverView(deps, found(await findServer(deps.db, id)));
}

export interface ServerChange {
  id: string;
  name?: string | undefined;
  publicHost?: string | null | undefined;
  actor: Actor;
}

export async function updateServer(deps: RoomDeps, { id, name, publicHost, actor }: ServerChange): Promise<Server> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = found(await findServer(trx, id));
    if (name !== undefined && name !== before.name) {
      if ((await findServerByName(trx, before.workspace_id, name)) !== undefined) {
        throw fieldError("name", `There is a server named ${name} already.`, "name_taken");
      }
    }
    await updateServerRow(trx, id, {
      ...(name === undefined ? {} : { name }),
      ...(publicHost === undefined ? {} : { public_host: publicHost }),
    });
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "server.update",
      target: { kind: "server", id },
      details: { name, publicHost },
    });
    return found(await findServer(trx, id));
  });
  deps.hub.publish(row.workspace_id, { type: "server", id, revision: row.revision });
  return serverView(deps, row);
}

/** Its agent is refused from now on; containers on the server keep running. */
export async function deleteServer(deps: RoomDeps, id: string, actor: Actor): Promise<void> {
  const row = await deps.db.transaction().execute(async (trx) => {
    const before = found(await findServer(trx, id));
    if ((before.environment_count ?? 0) > 0) {
      throw new AppError(
        "not_empty",
        `Server ${before.name} still has ${before.environment_count} ${before.environment_count === 1 ? "environment" : "environments"}.`,
        {
          hint: "Delete them first.",
        },
      );
    }
    await markServerDeleted(trx, id, deps.clock.now());
    await writeAudit(trx, deps, {
      workspaceId: before.workspace_id,
      actor,
      action: "server.delete",
      target: { kind: "server", id },
      details: { name: before.name },
    });
    return before;
  });
  deps.agents.disconnect(id);
  deps.hub.publish(row.workspace_id, { type: "server", id, revision: row.revision + 1 });
}

function found(row: ServerRow | undefined): ServerRow {
  if (row === undefined) throw new AppError("not_found", "There is no such server.");
  return row;
}

function serverView({ agents }: Pick<RoomDeps, "agents">, row: ServerRow): Server {
  const link = agents.link(row.id);
  const peer = link.peerAddress ?? row.peer_address;
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    name: row.name,
    link: link.state,
    quarantinedAt: isoTimeOrNull(row.quarantined_at),
    lastSeenAt: isoTimeOrNull(link.lastSeenAt ?? row.last_seen_at),
    connectedAt: isoTimeOrNull(link.connectedAt ?? row.connected_at),
    publicHost: row.public_host ?? peer,
    publicHostSource: publicHostSource(row.public_host, peer),
    facts: row.facts === null ? null : agentFactsSchema.parse(JSON.parse(row.facts)),
    dockerOk: link.dockerOk,
    agentRssBytes: link.rssBytes,
    environmentCount: row.environment_count ?? 0,
    serviceCount: row.service_count ?? 0,
    createdAt: isoTime(row.created_at),
    revision: row.revision,
  };
}

function publicHostSource(byAdmin: string | null, peer: string | null): Server["publicHostSource"] {
  if (byAdmin !== null) return "admin";
  return peer === null ? null : "socket";
}
