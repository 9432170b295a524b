/** The tables as TypeScript sees them. Times are integer milliseconds UTC; ids UUIDv7; booleans 0 or 1. */
import type { DesiredState, ExposureState, ObservedState, OperationKind, OperationState, Role } from "@dflow/protocol";
import type { Generated } from "kysely";

export interface WorkspaceTable {
  id: string;
  name: string;
  created_at: number;
}

export interface MemberTable {
  workspace_id: string;
  /** better-auth's user id. */
  user_id: string;
  role: Role;
  created_at: number;
}

export interface InvitationTable {
  id: string;
  workspace_id: string;
  email: string;
  role: Role;
  /** SHA-256 of the token, hex. */
  token_hash: string;
  created_by: string | null;
  created_at: number;
  expires_at: number;
  accepted_at: number | null;
}

export interface ApiKeyTable {
  id: string;
  workspace_id: string;
  name: string;
  role: Role;
  /** First characters of the key, for lists. */
  prefix: string;
  /** SHA-256 of the key, hex. */
  key_hash: string;
  created_by: string | null;
  created_at: number;
  expires_at: number;
  last_used_at: number | null;
}

export interface ServerTable {
  id: string;
  workspace_id: string;
  name: string;
  /** RFC 7638 thumbprint of the agent's key, and the key as a JWK. */
  agent_kid: string;
  agent_jwk: string;
  /** Fencing number of the newest authenticated session. */
  session: number;
  /** The join counter: the last one that came with a `ready`. */
  epoch: Generated<number>;
  /** Went out with a welcome whose `ready` has not come yet. */
  pending_epoch: Generated<number | null>;
  /** Since when two machines are known to use this identity. */
  quarantined_at: Generated<number | null>;
  /** AgentFacts as JSON, from the last handshake. */
  facts: string | null;
  /** Set by an admin; null means the socket's peer. */
  public_host: string | null;
  peer_address: string | null;
  connected_at: number | null;
  last_seen_at: number | null;
  /** 1 while a session is open, and still when the control plane ended with it open: then its agent is to come back. */
  link_open: Generated<number>;
  created_at: number;
  deleted_at: number | null;
  revision: Generated<number>;
}

export interface EnrolmentTokenTable {
  id: string;
  workspace_id: string;
  server_name: string;
  /** SHA-256 of the secret, base64url: the MAC key of the enrolment. */
  mac_key: string;
  created_by: string | null;
  created_at: number;
  expires_at: number;
  used_at: number | null;
  /** Thumbprint that used it: the same key gets the same answer again. */
  used_by_kid: string | null;
  server_id: string | null;
  /** It gives this server a new key, and makes no other. */
  rekeys_server_id: Generated<string | null>;
}

export interface ApplicationTable {
  id: string;
  workspace_id: string;
  name: string;
  created_at: number;
  deleted_at: number | null;
  revision: Generated<number>;
}

export interface EnvironmentTable {
  id: string;
  workspace_id: string;
  application_id: string;
  server_id: string;
  name: string;
  created_at: number;
  deleted_at: number | null;
  revision: Generated<number>;
}

export interface ServiceTable {
  id: string;
  workspace_id: string;
  environment_id: string;
  server_id: string;
  name: string;
  type: "database";
  engine: string;
  version: string;
  volume_id: string;
  memory_bytes: number | null;
  /** 1 when it may open connections to the outside. */
  outgoing: Generated<number>;
  desired: DesiredState;
  /** Grows with each accepted action; goes out with its command. */
  generation: Generated<number>;
  exposure: Generated<ExposureState>;
  observed_state: Generated<ObservedState>;
  /** Observation as JSON, null before the first. */
  observation: string | null;
  observed_at: number | null;
  /** First successful deploy. */
  deployed_at: number | null;
  created_at: number;
  deleted_at: number | null;
  revision: Generated<number>;
}

/** Sealed values (JWE, `dir` + A256GCM), bound to table, row and column by their protected header. */
export interface SecretTable {
  service_id: string;
  name: string;
  sealed: string;
  created_at: number;
}

export interface OperationTable {
  id: string;
  workspace_id: string;
  service_id: string;
  server_id: string;
  kind: OperationKind;
  state: OperationState;
  generation: number;
  /** Arguments as JSON without secrets: {spec?, deleteData?}. */
  args: string;
  /** Failure as JSON. */
  error: string | null;
  step: string | null;
  timings: string | null;
  created_by_kind: "user" | "api_key" | null;
  created_by_name: string | null;
  created_at: number;
  start_before: number;
  run_ms: number;
  sent_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  cancel_requested_at: number | null;
  /** Lines received so far, and how many the agent said there are in all (with the result). */
  line_count: Generated<number>;
  lines_total: number | null;
  /** When the log went because of its age. `line_count` stays what it was. */
  log_removed_at: number | null;
  /** A person's word on an operation that ended as unknown: all four are set, or none. */
  settled_outcome: "succeeded" | "failed" | null;
  settled_note: string | null;
  settled_by: string | null;
  settled_at: number | null;
  revision: Generated<number>;
}

export interface OperationLogTable {
  operation_id: string;
  n: number;
  at: number;
  level: string;
  text: string;
}

/** A command that its agent has not acknowledged yet; also cancels. In order of `id` per service. */
export interface OutboxTable {
  id: Generated<number>;
  server_id: string;
  service_id: string;
  operation_id: string;
  kind: "command" | "cancel";
  created_at: number;
  /** Session on which it was last sent. */
  sent_session: number | null;
}

export interface AuditTable {
  id: string;
  workspace_id: string | null;
  at: number;
  actor_kind: "user" | "api_key" | "agent" | "system";
  actor_id: string | null;
  actor_name: string | null;
  action: string;
  target_kind: string | null;
  target_id: string | null;
  address: string | null;
  /** JSON, no secrets. */
  details: string | null;
}

/** The tables of better-auth that rooms of ours read or write, with its names. Times are ISO text. */
export interface UserTable {
  id: string;
  name: string;
  email: string;
  emailVerified: number;
  image: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface SessionTable {
  id: string;
  userId: string;
  /** SHA-256 of the token, hex. */
  token: string;
  expiresAt: string;
  ipAddress: string | null;
  userAgent: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface AccountTable {
  id: string;
  userId: string;
  accountId: string;
  providerId: string;
  password: string | null;
  createdAt: string;
  updatedAt: string;
}

export interface Database {
  user: UserTable;
  session: SessionTable;
  account: AccountTable;
  workspace: WorkspaceTable;
  member: MemberTable;
  invitation: InvitationTable;
  api_key: ApiKeyTable;
  server: ServerTable;
  enrolment_token: EnrolmentTokenTable;
  application: ApplicationTable;
  environment: EnvironmentTable;
  service: ServiceTable;
  secret: SecretTable;
  operation: OperationTable;
  operation_log: OperationLogTable;
  outbox: OutboxTable;
  audit: AuditTable;
}
