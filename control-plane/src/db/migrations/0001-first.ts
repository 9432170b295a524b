/** The first schema: people, workspaces, servers, services, operations, the outbox and the audit trail. */
import { type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";

const ID = "text primary key not null";

/** The four tables of better-auth, with its column names; times are its ISO text. */
const PEOPLE = [
  `create table "user" (
    "id" ${ID}, "name" text not null, "email" text not null unique, "emailVerified" integer not null,
    "image" text, "createdAt" text not null, "updatedAt" text not null
  ) strict`,
  `create table "session" (
    "id" ${ID}, "expiresAt" text not null, "token" text not null unique, "createdAt" text not null,
    "updatedAt" text not null, "ipAddress" text, "userAgent" text,
    "userId" text not null references "user" ("id") on delete cascade
  ) strict`,
  `create index "session_user" on "session" ("userId")`,
  `create table "account" (
    "id" ${ID}, "accountId" text not null, "providerId" text not null,
    "userId" text not null references "user" ("id") on delete cascade,
    "accessToken" text, "refreshToken" text, "idToken" text, "accessTokenExpiresAt" text,
    "refreshTokenExpiresAt" text, "scope" text, "password" text, "createdAt" text not null, "updatedAt" text not null
  ) strict`,
  `create index "account_user" on "account" ("userId")`,
  `create table "verification" (
    "id" ${ID}, "identifier" text not null, "value" text not null, "expiresAt" text not null,
    "createdAt" text not null, "updatedAt" text not null
  ) strict`,
  `create index "verification_identifier" on "verification" ("identifier")`,
];

const WORKSPACES = [
  `create table workspace (id ${ID}, name text not null, created_at integer not null) strict`,
  `create table member (
    workspace_id text not null references workspace (id) on delete cascade,
    user_id text not null references "user" ("id") on delete cascade,
    role text not null, created_at integer not null,
    primary key (workspace_id, user_id)
  ) strict`,
  `create index member_user on member (user_id)`,
  `create table invitation (
    id ${ID}, workspace_id text not null references workspace (id) on delete cascade,
    email text not null, role text not null, token_hash text not null unique, created_by text,
    created_at integer not null, expires_at integer not null, accepted_at integer
  ) strict`,
  `create index invitation_workspace on invitation (workspace_id)`,
  `create table api_key (
    id ${ID}, workspace_id text not null references workspace (id) on delete cascade,
    name text not null, role text not null, prefix text not null, key_hash text not null unique, created_by text,
    created_at integer not null, expires_at integer not null, last_used_at integer
  ) strict`,
  `create index api_key_workspace on api_key (workspace_id)`,
];

const SERVERS = [
  `create table server (
    id ${ID}, workspace_id text not null references workspace (id),
    name text not null, agent_kid text not null unique, agent_jwk text not null, session integer not null,
    facts text, public_host text, peer_address text, connected_at integer, last_seen_at integer,
    created_at integer not null, deleted_at integer, revision integer not null default 1
  ) strict`,
  `create unique index server_name on server (workspace_id, name) where deleted_at is null`,
  `create table enrolment_token (
    id ${ID}, workspace_id text not null references workspace (id),
    server_name text not null, mac_key text not null, created_by text,
    created_at integer not null, expires_at integer not null, used_at integer, used_by_kid text,
    server_id text references server (id)
  ) strict`,
  `create index enrolment_token_workspace on enrolment_token (workspace_id)`,
];

const SERVICES = [
  `create table application (
    id ${ID}, workspace_id text not null references workspace (id), name text not null,
    created_at integer not null, deleted_at integer, revision integer not null default 1
  ) strict`,
  `create unique index application_name on application (workspace_id, name) where deleted_at is null`,
  `create table environment (
    id ${ID}, workspace_id text not null references workspace (id),
    application_id text not null references application (id), server_id text not null references server (id),
    name text not null, created_at integer not null, deleted_at integer, revision integer not null default 1
  ) strict`,
  `create unique index environment_name on environment (application_id, name) where deleted_at is null`,
  `create index environment_server on environment (server_id)`,
  `create table service (
    id ${ID}, workspace_id text not null references workspace (id),
    environment_id text not null references environment (id), server_id text not null references server (id),
    name text not null, type text not null, engine text not null, version text not null, volume_id text not null,
    memory_bytes integer, desired text not null, generation integer not null default 0,
    exposure text not null default 'closed', observed_state text not null default 'not_deployed',
    observation text, observed_at integer, deployed_at integer,
    created_at integer not null, deleted_at integer, revision integer not null default 1
  ) strict`,
  `create unique index service_name on service (environment_id, name) where deleted_at is null`,
  `create index service_server on service (server_id)`,
  `create index service_workspace on service (workspace_id)`,
  `create table secret (
    service_id text not null references service (id) on delete cascade,
    name text not null, sealed text not null, created_at integer not null,
    primary key (service_id, name)
  ) strict`,
];

const OPERATIONS = [
  `create table operation (
    id ${ID}, workspace_id text not null references workspace (id),
    service_id text not null references service (id), server_id text not null references server (id),
    kind text not null, state text not null, generation integer not null, args text not null,
    error text, step text, timings text, created_by_kind text, created_by_name text,
    created_at integer not null, start_before integer not null, run_ms integer not null,
    sent_at integer, started_at integer, ended_at integer, cancel_requested_at integer,
    line_count integer not null default 0, lines_total integer, revision integer not null default 1
  ) strict`,
  `create index operation_service on operation (service_id, id)`,
  // The last word on "one open operation a service", whatever two requests at the same instant have read.
  `create unique index operation_open on operation (service_id) where state in ('queued', 'sent', 'running')`,
  `create index operation_waiting on operation (state, start_before) where state in ('queued', 'sent', 'running')`,
  `create table operation_log (
    operation_id text not null references operation (id) on delete cascade,
    n integer not null, at integer not null, level text not null, text text not null,
    primary key (operation_id, n)
  ) strict, without rowid`,
  `create table outbox (
    id integer primary key autoincrement, server_id text not null references server (id),
    service_id text not null references service (id), operation_id text not null references operation (id),
    kind text not null, created_at integer not null, sent_session integer,
    unique (operation_id, kind)
  ) strict`,
  `create index outbox_server on outbox (server_id, id)`,
];

const AUDIT = [
  `create table audit (
    id ${ID}, workspace_id text, at integer not null, actor_kind text not null, actor_id text, actor_name text,
    action text not null, target_kind text, target_id text, address text, details text
  ) strict`,
  `create index audit_workspace on audit (workspace_id, id)`,
];

export const first: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of [...PEOPLE, ...WORKSPACES, ...SERVERS, ...SERVICES, ...OPERATIONS, ...AUDIT]) {
      await sql.raw(statement).execute(db);
    }
  },
};
