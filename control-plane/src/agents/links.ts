/** What is known of every server's link this moment, in memory; last-seen goes to the rows now and then, never per beat. */
import type { Heartbeat } from "@dflow/protocol";
import type { Deps } from "../deps.ts";
import type { LinkInfo } from "./agents.ts";
import { knownLinks, saveLastSeen, saveLinkEnd, saveNotBack } from "./store.ts";

const SAVE_INTERVAL_MS = 30_000;
/** Rows of one transaction, which take a few milliseconds: between two of them everything else has its turn. */
const SAVED_AT_ONCE = 500;

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
  /** Two machines use this server's identity. */
  quarantined: boolean;
  /** It was online when the control plane went down, and has the time of grace to come back. */
  awaited: boolean;
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
  /** The control plane goes down: links that end from now on are its doing. */
  goingDown(): void;
  /** Writes what is unsaved and ends the timer. */
  stop(): Promise<void>;
  info(serverId: string): LinkInfo;
  /** Servers of which anything is known. */
  size(): number;
  online(serverId: string, link: OpenedLink): void;
  /** A frame arrived. */
  seen(serverId: string): void;
  beat(serverId: string, heartbeat: Heartbeat): void;
  /** Every state that the agent reported before is as it was at this time. */
  confirmed(serverId: string, at: number): void;
  /** Whatever connects of this server is refused from now on. */
  quarantine(serverId: string, row: { workspaceId: string; revision: number }): void;
  /** It has a new key. */
  liftQuarantine(serverId: string): void;
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

/** A link of which nothing is known but what its row says. */
function linkOf(row: Pick<Link, "workspaceId" | "revision"> & Partial<Link>): Link {
  return {
    online: false,
    connectedAt: null,
    lastSeenAt: null,
    peerAddress: null,
    confirmedAt: null,
    dockerOk: null,
    rssBytes: null,
    quarantined: false,
    awaited: false,
    unsaved: false,
    ...row,
  };
}

export function createLinks(deps: Pick<Deps, "config" | "db" | "clock" | "timers" | "hub" | "log">): Links {
  const { hub } = deps;
  const links = new Map<string, Link>();
  let cancelTimer: (() => void) | undefined;
  let cancelGrace: (() => void) | undefined;
  let saving: Promise<void> = Promise.resolve();
  let ending: Promise<void> = Promise.resolve();
  let isGoingDown = false;

  const save = async (): Promise<void> => {
    const unsaved = [...links].filter(([, link]) => link.unsaved);
    for (let at = 0; at < unsaved.length; at += SAVED_AT_ONCE) {
      const part = unsaved.slice(at, at + SAVED_AT_ONCE);
      for (const [, link] of part) link.unsaved = false;
      await saveLastSeen(
        deps.db,
        part.map(([id, { lastSeenAt }]) => ({ id, lastSeenAt })),
      );
    }
  };

  const endGrace = async (): Promise<void> => {
    const notBack = [...links].filter(([, link]) => link.awaited);
    for (const [, link] of notBack) link.awaited = false;
    const revisions = await deps.db.transaction().execute(async (trx) => {
      const saved: (number | undefined)[] = [];
      for (const [serverId] of notBack) saved.push(await saveNotBack(trx, serverId));
      return saved;
    });
    for (const [n, [id, { workspaceId }]] of notBack.entries()) {
      const revision = revisions[n];
      if (revision !== undefined) hub.publish(workspaceId, { type: "server", id, revision });
    }
  };

  return {
    async start() {
      for (const row of await knownLinks(deps.db)) {
        const link = linkOf({
          workspaceId: row.workspace_id,
          revision: row.revision,
          connectedAt: row.connected_at,
          lastSeenAt: row.last_seen_at,
          peerAddress: row.peer_address,
          quarantined: row.quarantined_at !== null,
          awaited: row.link_open === 1,
        });
        links.set(row.id, link);
      }
      cancelTimer = deps.timers.every(SAVE_INTERVAL_MS, () => {
        saving = save().catch((error: unknown) => deps.log.error({ err: error }, "save when servers were last seen"));
      });
      cancelGrace = deps.timers.after(deps.config.reconnectGraceMs, () => {
        ending = endGrace().catch((error: unknown) =>
          deps.log.error({ err: error }, "save which servers are not back"),
        );
      });
    },
    goingDown() {
      isGoingDown = true;
    },
    async stop() {
      cancelTimer?.();
      cancelGrace?.();
      await ending;
      await saving;
      await save();
    },
    info(serverId) {
      const link = links.get(serverId);
      if (link === undefined) return NEVER;
      const { lastSeenAt, connectedAt, peerAddress, confirmedAt, dockerOk, rssBytes } = link;
      const away = { lastSeenAt, connectedAt, peerAddress, confirmedAt: null, dockerOk: null, rssBytes: null };
      if (link.quarantined) return { ...away, state: "quarantined" };
      if (connectedAt === null) return NEVER;
      if (link.online) return { ...away, state: "online", confirmedAt, dockerOk, rssBytes };
      return { ...away, state: link.awaited ? "reconnecting" : "unreachable" };
    },
    size: () => links.size,
    online(serverId, opened) {
      links.set(serverId, linkOf({ ...opened, online: true, lastSeenAt: opened.connectedAt }));
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
    quarantine(serverId, { workspaceId, revision }) {
      const link = links.get(serverId);
      if (link === undefined) links.set(serverId, linkOf({ workspaceId, revision, quarantined: true }));
      else link.quarantined = true;
    },
    liftQuarantine(serverId) {
      const link = links.get(serverId);
      if (link !== undefined) link.quarantined = false;
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
        .execute((trx) => saveLinkEnd(trx, serverId, { lastSeenAt, confirmedAt, isOurEnd: isGoingDown }));
      if (revision !== undefined) hub.publish(workspaceId, { type: "server", id: serverId, revision });
    },
  };
}
