/** What touches the world, and what all rooms share. Rooms take the parts of it that they use. */
import type { Logger } from "pino";
import type { Agents } from "./agents/agents.ts";
import type { Access } from "./auth/access.ts";
import type { Config } from "./config.ts";
import type { Db } from "./db/database.ts";
import type { EventHub } from "./events/hub.ts";
import type { StreamLimit } from "./http/stream-limit.ts";
import type { Platform } from "./platform.ts";
import type { Seals } from "./secrets/seals.ts";
import type { Signer } from "./secrets/signer.ts";

export interface Deps extends Platform {
  config: Config;
  db: Db;
  hub: EventHub;
  log: Logger;
  seals: Seals;
  signer: Signer;
  /** Signs the cookies of sessions. */
  sessionSecret: string;
}

/** What the rooms behind the API get on top. */
export interface RoomDeps extends Deps {
  access: Access;
  agents: Agents;
  streams: StreamLimit;
  /** Aborted when the process is about to stop: open streams end. */
  stopping: AbortSignal;
}
