/** Rows of the agents' side: servers as the link sees them. Each function takes the connection it runs on. */
import { sql } from "kysely";
import type { Conn } from "../db/database.ts";

export function serverForAuth(db: Conn, serverId: string) {
  return db
    .selectFrom("server")
    .select(["agent_kid", "agent_jwk", "deleted_at"])
    .where("id", "=", serverId)
    .executeTakeFirst();
}

/** What the link remembers of servers at start, before any of them has connected again. */
export function knownLinks(db: Conn) {
  return db
    .selectFrom("server")
    .select(["id", "workspace_id", "connected_at", "last_seen_at", "peer_address", "revision", "quarantined_at"])
    .select("link_open")
    .where("deleted_at", "is", null)
    .execute();
}

/** In one statement for all of them: ten thousand would hold up everything else for half a second. */
export async function saveLastSeen(
  db: Conn,
  seen: readonly { id: string; lastSeenAt: number | null }[],
): Promise<void> {
  await sql`
    update server set last_seen_at = seen.at
    from (select value ->> 'id' as id, value ->> 'lastSeenAt' as at from json_each(${JSON.stringify(seen)})) as seen
    where server.id = seen.id and seen.at is not null`.execute(db);
}

/** A server that was waited for has not come back; undefined when it was removed meanwhile. */
export async function saveNotBack(db: Conn, serverId: string): Promise<number | undefined> {
  const row = await db
    .updateTable("server")
    .set({ link_open: 0, revision: sql`revision + 1` })
    .where("id", "=", serverId)
    .where("deleted_at", "is", null)
    .returning("revision")
    .executeTakeFirst();
  return row?.revision;
}

/**
 * The end of a link. `isOurEnd`: it is the control plane that goes down, so the agent is to come back. Observations that were confirmed by heartbeats get the date of the last one, which so far stood in
 * memory only; without it a server that is away would show its services as older than they were seen.
 */
export async function saveLinkEnd(
  db: Conn,
  serverId: string,
  end: { lastSeenAt: number; confirmedAt: number | null; isOurEnd: boolean },
): Promise<number | undefined> {
  if (end.confirmedAt !== null) {
    await db
      .updateTable("service")
      .set({ observed_at: end.confirmedAt })
      .where("server_id", "=", serverId)
      .where("deleted_at", "is", null)
      .where("observed_at", "<", end.confirmedAt)
      .execute();
  }
  const row = await db
    .updateTable("server")
    .set({ last_seen_at: end.lastSeenAt, link_open: end.isOurEnd ? 1 : 0, revision: sql`revision + 1` })
    .where("id", "=", serverId)
    .returning("revision")
    .executeTakeFirst();
  return row?.revision;
}
