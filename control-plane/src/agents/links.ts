/** What is known of every server's link this moment, in memory; last-seen goes to the rows now and then, never per beat. */
import type { Heartbeat } from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import type { LinkInfo } from "./agents.ts";
import { knownLinks, saveLastSeen, saveLinkEnd } from "./store.ts";

const SAVE_INTERVAL_MS = 30_000;

interface Link {
  workspaceId: string;
  revision: number;
  online: boolean;
  connectedAt: number | null;
  lastSeenAt: number | null;
  peerAddress: string | null;
  confirmedAt: number | null;
  dockerOk: boolean | null;
  rssBytes: number | null;
  /** Last-seen is newer than the row's. */
  unsaved: boolean;
}

export interface OpenedLink {
  workspaceId: string;
  connectedAt: number;
  peerAddress: string;
  /** Of the server's row, for hints. */
  revision: number;
}

export interface Links {
  start(): Promise<void>;
  /** Writes what is unsaved and ends the timer. */
  stop(): Promise<void>;
  info(serverId: string): LinkInfo;
  online(serverId: string, link: OpenedLink): void;
  /** A frame arrived. */
  seen(serverId: string): void;
  beat(serverId: string, heartbeat: Heartbeat): void;
  /** Every state that the agent reported before is as it was at this time. */
  confirmed(serverId: string, at: number): void;
  /** The socket is gone; resolves when the row says so. */
  offline(serverId: string): Promise<void>;
}

const NEVER: LinkInfo = {
  state: "never_connected",
  lastSeenAt: null,
  connectedAt: null,
  peerAddress: null,
  confirmedAt: null,
  dockerOk: null,
  rssBytes: null,
};

export function createLinks(deps: Pick<Deps, "db" | "clock" | "timers" | "hub" | "log">): Links {
  const { hub } = deps;
  const links = new Map<string, Link>();
  let cancelTimer: (() => void) | undefined;
  let saving: Promise<void> = Promise.resolve();

  const save = async (): Promise<void> => {
    const unsaved = [...links].filter(([, link]) => link.unsaved);
    if (unsaved.length === 0) return;
    for (const [, link] of unsaved) link.unsaved = false;
    await deps.db.transaction().execute(async (trx) => {
      for (const [serverId, link] of unsaved) {
        if (link.lastSeenAt !== null) await saveLastSeen(trx, serverId, link.lastSeenAt);
      }
    });
  };

  return {
    async start() {
      for (const row of await knownLinks(deps.db)) {
        links.set(row.id, {
          workspaceId: row.workspace_id,
          revision: row.revision,
          online: false,
          connectedAt: row.connected_at,
          lastSeenAt: row.last_seen_at,
          peerAddress: row.peer_address,
          confirmedAt: null,
          dockerOk: null,
          rssBytes: null,
          unsaved: false,
        });
      }
      cancelTimer = deps.timers.every(SAVE_INTERVAL_MS, () => {
        saving = save().catch((error: unknown) => deps.log.error({ err: error }, "save when servers were last seen"));
      });
    },
    async stop() {
      cancelTimer?.();
      await saving;
      await save();
    },
    info(serverId) {
      const link = links.get(serverId);
      if (link === undefined || link.connectedAt === null) return NEVER;
      const { lastSeenAt, connectedAt, peerAddress, confirmedAt, dockerOk, rssBytes } = link;
      const known = { lastSeenAt, connectedAt, peerAddress };
      return link.online
        ? { state: "online", ...known, confirmedAt, dockerOk, rssBytes }
        : { state: "unreachable", ...known, confirmedAt: null, dockerOk: null, rssBytes: null };
    },
    online(serverId, opened) {
      const fresh = { confirmedAt: null, dockerOk: null, rssBytes: null, unsaved: false };
      links.set(serverId, { ...opened, online: true, lastSeenAt: opened.connectedAt, ...fresh });
      hub.publish(opened.workspaceId, { type: "server", id: serverId, revision: opened.revision });
    },
    seen(serverId) {
      const link = links.get(serverId);
      if (link === undefined) return;
      link.lastSeenAt = deps.clock.now();
      link.unsaved = true;
    },
    beat(serverId, heartbeat) {
      const link = links.get(serverId);
      if (link === undefined) return;
      link.rssBytes = heartbeat.rssBytes;
      if (link.dockerOk === heartbeat.dockerOk) return;
      link.dockerOk = heartbeat.dockerOk;
      hub.publish(link.workspaceId, { type: "server", id: serverId, revision: link.revision });
    },
    confirmed(serverId, at) {
      const link = links.get(serverId);
      if (link !== undefined) link.confirmedAt = at;
    },
    async offline(serverId) {
      const link = links.get(serverId);
      if (link === undefined || !link.online) return;
      link.online = false;
      link.unsaved = false;
      const { workspaceId, confirmedAt } = link;
      const lastSeenAt = link.lastSeenAt ?? deps.clock.now();
      const revision = await deps.db
        .transaction()
        .execute((trx) => saveLinkEnd(trx, serverId, { lastSeenAt, confirmedAt }));
      if (revision !== undefined) hub.publish(workspaceId, { type: "server", id: serverId, revision });
    },
  };
}
