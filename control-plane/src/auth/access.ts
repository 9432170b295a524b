/** The one place where rights are checked: whose thing is this, is the caller a member there, does the role reach. */
import { AppError, hasRight, missingRightSentence, type Right, type Role } from "@dflow/protocol";
import type { Context, MiddlewareHandler } from "hono";
import type { Db } from "../db/database.ts";
import type { ApiEnv } from "../http/context.ts";
import type { Clock, Timers } from "../platform.ts";
import type { Principal } from "./principal.ts";

/** Things that live in a workspace, with the word a person reads. */
const KINDS = {
  workspace: "workspace",
  server: "server",
  enrolment_token: "enrolment token",
  application: "application",
  environment: "environment",
  service: "service",
  operation: "operation",
  api_key: "API key",
  invitation: "invitation",
} as const;
export type Kind = keyof typeof KINDS;

export interface Access {
  /**
   * Middleware of a route that names a thing. A thing of a foreign workspace does not exist (404) before any right is
   * looked at (403), so that nobody learns which ids are in use.
   */
  to(
    kind: Kind,
    right: Right,
    words: string,
    idOf?: (c: Context<ApiEnv>) => string | undefined,
  ): MiddlewareHandler<ApiEnv>;
  roleIn(principal: Principal, workspaceId: string): Promise<Role | undefined>;
  /** Calls `onLost` once when the caller's session, key or membership ends. Returns the way to stop watching. */
  watch(principal: Principal, workspaceId: string, onLost: () => void): () => void;
  /** Something about sessions, keys or members changed: watched streams look again at once. */
  changed(): void;
}

/** A stream of someone who lost the right to it lives at most this long. */
const RECHECK_MS = 30_000;

export interface AccessDeps {
  db: Db;
  clock: Clock;
  timers: Timers;
}

export function createAccess({ db, clock, timers }: AccessDeps): Access {
  const watchers = new Set<() => void>();

  const isAlive = async (principal: Principal, workspaceId: string): Promise<boolean> => {
    if ((await roleIn(db, principal, workspaceId)) === undefined) return false;
    if (principal.kind === "api_key") {
      const key = await db.selectFrom("api_key").select("expires_at").where("id", "=", principal.id).executeTakeFirst();
      return key !== undefined && key.expires_at > clock.now();
    }
    const session = await db
      .selectFrom("session")
      .select("expiresAt")
      .where("id", "=", principal.sessionId)
      .executeTakeFirst();
    return session !== undefined && Date.parse(session.expiresAt) > clock.now();
  };

  return {
    to(kind, right, words, idOf = (c) => c.req.param("id")) {
      return async (c, next) => {
        const principal = c.var.principal;
        const id = idOf(c);
        const workspaceId = id === undefined ? undefined : await workspaceOf(db, kind, id);
        const role = workspaceId === undefined ? undefined : await roleIn(db, principal, workspaceId);
        if (workspaceId === undefined || role === undefined) {
          throw new AppError("not_found", `There is no such ${KINDS[kind]}.`);
        }
        if (!hasRight(role, right)) throw new AppError("forbidden", missingRightSentence(role, words));
        c.set("workspaceId", workspaceId);
        c.set("role", role);
        await next();
      };
    },
    roleIn: (principal, workspaceId) => roleIn(db, principal, workspaceId),
    watch(principal, workspaceId, onLost) {
      let over = false;
      const stop = () => {
        over = true;
        watchers.delete(look);
        stopTimer();
      };
      const look = () => {
        isAlive(principal, workspaceId).then(
          (alive) => {
            if (over || alive) return;
            stop();
            onLost();
          },
          // Not knowing is not having the right.
          () => {
            if (over) return;
            stop();
            onLost();
          },
        );
      };
      const stopTimer = timers.every(RECHECK_MS, look);
      watchers.add(look);
      return stop;
    },
    changed() {
      for (const look of [...watchers]) look();
    },
  };
}

async function roleIn(db: Db, principal: Principal, workspaceId: string): Promise<Role | undefined> {
  if (principal.kind === "api_key") return principal.workspaceId === workspaceId ? principal.role : undefined;
  const member = await db
    .selectFrom("member")
    .select("role")
    .where("workspace_id", "=", workspaceId)
    .where("user_id", "=", principal.id)
    .executeTakeFirst();
  return member?.role;
}

async function workspaceOf(db: Db, kind: Kind, id: string): Promise<string | undefined> {
  switch (kind) {
    case "workspace":
      return (await db.selectFrom("workspace").select("id").where("id", "=", id).executeTakeFirst())?.id;
    case "server":
    case "application":
    case "environment":
    case "service": {
      const row = await db
        .selectFrom(kind)
        .select("workspace_id")
        .where("id", "=", id)
        .where("deleted_at", "is", null)
        .executeTakeFirst();
      return row?.workspace_id;
    }
    case "enrolment_token":
    case "operation":
    case "api_key":
    case "invitation": {
      const row = await db.selectFrom(kind).select("workspace_id").where("id", "=", id).executeTakeFirst();
      return row?.workspace_id;
    }
  }
}
