/** Bodies of the HTTP API, one definition for the API, its document, the dashboard's forms and the tests. */
import { z } from "zod";
import { engineIdSchema } from "../engines.ts";
import { failureSchema } from "../errors.ts";
import { guardVerdictSchema } from "../guards.ts";
import { displayNameSchema, idSchema, timeSchema } from "../ids.ts";
import { PASSWORD_LENGTH } from "../passwords.ts";
import { roleSchema } from "../roles.ts";
import { MEMORY_BYTES_MIN } from "../spec.ts";
import {
  desiredStateSchema,
  exposureStateSchema,
  linkStateSchema,
  observationSchema,
  operationKindSchema,
  operationStateSchema,
  serviceStateSchema,
} from "../states.ts";
import { agentFactsSchema } from "../wire/enrol.ts";
import { logLevelSchema, timingsSchema } from "../wire/frames.ts";

const refSchema = z.object({ id: idSchema, name: z.string() });

export const meSchema = z.object({
  user: z.object({ id: z.string(), email: z.string(), name: z.string() }).nullable().describe("null for an API key"),
  workspaces: z.array(z.object({ id: idSchema, name: z.string(), role: roleSchema })),
});
export const workspaceSchema = z.object({ id: idSchema, name: z.string(), role: roleSchema, createdAt: timeSchema });

export const memberSchema = z.object({
  userId: z.string(),
  name: z.string(),
  email: z.string(),
  role: roleSchema,
  createdAt: timeSchema,
});
export const createInvitationSchema = z.object({ email: z.email().max(254), role: roleSchema });
export const invitationSchema = z.object({
  id: idSchema,
  email: z.string(),
  role: roleSchema,
  expiresAt: timeSchema,
  acceptedAt: timeSchema.nullable(),
});
export const createdInvitationSchema = invitationSchema.extend({
  token: z.string().describe("Shown once; the link is <dashboard>/invite#<token>"),
});
export const acceptInvitationSchema = z.object({
  token: z.string().min(1).max(200),
  name: displayNameSchema,
  password: z.string().min(PASSWORD_LENGTH.min, `${PASSWORD_LENGTH.min} characters at least.`).max(PASSWORD_LENGTH.max),
});

export const createApiKeySchema = z.object({
  name: displayNameSchema,
  role: roleSchema.exclude(["owner"]),
  expiresInDays: z.number().int().min(1).max(366).default(90),
});
export const apiKeySchema = z.object({
  id: idSchema,
  name: z.string(),
  role: roleSchema,
  prefix: z.string(),
  createdAt: timeSchema,
  expiresAt: timeSchema,
  lastUsedAt: timeSchema.nullable(),
});
export const createdApiKeySchema = apiKeySchema.extend({ key: z.string().describe("Shown once") });

export const createEnrolmentTokenSchema = z.object({ serverName: displayNameSchema });
export const enrolmentTokenSchema = z.object({
  id: idSchema,
  serverName: z.string(),
  state: z.enum(["waiting", "used", "expired"]),
  expiresAt: timeSchema,
  serverId: idSchema.nullable(),
});
export const createdEnrolmentTokenSchema = enrolmentTokenSchema.extend({
  token: z.string().describe("Shown once"),
  controlPlaneUrl: z.string().describe("Where the agent connects to"),
  reachableFromElsewhere: z.boolean().describe("False while the control plane listens on loopback only"),
  installCommand: z
    .string()
    .nullable()
    .describe("The line to run on the server; null where it cannot work: on loopback, or without an agent to download"),
});

export const serverSchema = z.object({
  id: idSchema,
  workspaceId: idSchema,
  name: z.string(),
  link: linkStateSchema,
  quarantinedAt: timeSchema
    .nullable()
    .describe("Since when two machines are known to use this server's identity. Ended by a re-key"),
  lastSeenAt: timeSchema.nullable(),
  connectedAt: timeSchema.nullable(),
  publicHost: z.string().nullable(),
  publicHostSource: z.enum(["admin", "socket"]).nullable(),
  facts: agentFactsSchema.nullable(),
  dockerOk: z.boolean().nullable(),
  agentRssBytes: z.number().int().nullable(),
  environmentCount: z.number().int(),
  serviceCount: z.number().int(),
  createdAt: timeSchema,
  revision: z.number().int(),
});
export const updateServerSchema = z.object({
  name: displayNameSchema.optional(),
  publicHost: z
    .string()
    .trim()
    .max(253)
    .regex(/^[A-Za-z0-9.:-]+$/, "A host name or an IP address.")
    .nullable()
    .optional()
    .describe("null: use the address that the agent connects from"),
});

export const createApplicationSchema = z.object({ name: displayNameSchema });
export const applicationSchema = z.object({
  id: idSchema,
  workspaceId: idSchema,
  name: z.string(),
  createdAt: timeSchema,
  environments: z.array(
    z.object({
      id: idSchema,
      name: z.string(),
      serverId: idSchema,
      serverName: z.string(),
      serviceCount: z.number().int(),
    }),
  ),
  revision: z.number().int(),
});

export const createEnvironmentSchema = z.object({ name: displayNameSchema, serverId: idSchema });
export const environmentSchema = z.object({
  id: idSchema,
  workspaceId: idSchema,
  application: refSchema,
  name: z.string(),
  server: refSchema.extend({ link: linkStateSchema, lastSeenAt: timeSchema.nullable() }),
  serviceCount: z.number().int(),
  createdAt: timeSchema,
  revision: z.number().int(),
});

export const createServiceSchema = z.object({
  type: z.literal("database"),
  engine: z.string().max(40).describe("An engine of GET /engines"),
  version: z.string().max(32).optional().describe("The engine's default unless given"),
  name: z.string().max(200).describe("Lowercase letters, digits and hyphens, 31 at most; also the internal host name"),
  memoryBytes: z.number().int().min(MEMORY_BYTES_MIN).optional().describe("Memory limit of the container"),
  outgoing: z.boolean().optional().describe("Whether it may open connections to the outside; no unless given"),
});
export const updateServiceSchema = z.object({
  outgoing: z
    .boolean()
    .optional()
    .describe("Whether it may open connections to the outside. Applies at the next Deploy or Restart"),
});

export const openOperationSchema = z.object({
  id: idSchema,
  kind: operationKindSchema,
  state: operationStateSchema,
  createdAt: timeSchema,
});
export const lastCheckSchema = openOperationSchema.extend({ endedAt: timeSchema.nullable() });

export const serviceActionsSchema = z
  .object({
    deploy: guardVerdictSchema,
    restart: guardVerdictSchema,
    stop: guardVerdictSchema,
    check: guardVerdictSchema,
    delete: guardVerdictSchema,
    change: guardVerdictSchema,
    credentials: guardVerdictSchema,
    logs: guardVerdictSchema,
  })
  .describe("The guard table's verdict for the caller, now");

export const serviceSchema = z.object({
  id: idSchema,
  workspaceId: idSchema,
  application: refSchema,
  environment: refSchema,
  server: refSchema.extend({ link: linkStateSchema, lastSeenAt: timeSchema.nullable() }),
  name: z.string(),
  type: z.literal("database"),
  engine: engineIdSchema,
  version: z.string(),
  image: z.string(),
  standIn: z.boolean().describe("The image is a local stand-in from an image map, not the official one"),
  memoryBytes: z.number().int().nullable(),
  outgoing: z
    .boolean()
    .describe("Whether it may open connections to the outside; `observed.outgoing` is what its container has now"),
  desired: desiredStateSchema,
  state: serviceStateSchema,
  observed: observationSchema,
  observedAt: timeSchema.nullable().describe("When the agent last saw it so"),
  exposure: exposureStateSchema,
  deployedAt: timeSchema.nullable().describe("First successful deployment"),
  openOperation: openOperationSchema.nullable(),
  lastOperation: openOperationSchema.nullable(),
  lastCheck: lastCheckSchema.nullable().describe("The newest check, open or ended"),
  actions: serviceActionsSchema,
  createdAt: timeSchema,
  revision: z.number().int(),
});

export const credentialsSchema = z.object({
  uri: z.string(),
  username: z.string(),
  password: z.string(),
  host: z.string(),
  port: z.number().int(),
  database: z.string(),
});

export const settleOperationSchema = z.object({
  outcome: z.enum(["succeeded", "failed"]),
  note: z.string().trim().min(1, "Say what you saw.").max(500).describe("What was looked at, and what it showed"),
});
export type SettleOperation = z.infer<typeof settleOperationSchema>;
export const settlementSchema = settleOperationSchema.extend({ by: z.string(), at: timeSchema });
export type Settlement = z.infer<typeof settlementSchema>;

export const operationSchema = z.object({
  id: idSchema,
  serviceId: idSchema,
  workspaceId: idSchema,
  kind: operationKindSchema,
  state: operationStateSchema,
  label: z.string().describe("The word on the screen: Queued, Building, Success, Failed …"),
  error: failureSchema.nullable(),
  createdAt: timeSchema,
  sentAt: timeSchema.nullable(),
  startedAt: timeSchema.nullable(),
  endedAt: timeSchema.nullable(),
  createdBy: z.object({ kind: z.enum(["user", "api_key"]), name: z.string() }).nullable(),
  step: z.string().nullable(),
  lineCount: z.number().int(),
  timings: timingsSchema.nullable(),
  cancelRequestedAt: timeSchema.nullable(),
  settlement: settlementSchema.nullable().describe("A person's word on an outcome that is unknown"),
  revision: z.number().int(),
});

export const operationLogLineSchema = z.object({
  n: z.number().int().describe("Index in the log, from 0"),
  at: timeSchema,
  level: logLevelSchema,
  text: z.string(),
});
export const logRemovalSchema = z.object({ at: timeSchema, reason: z.string() });
export const operationLogSchema = z.object({
  lines: z.array(operationLogLineSchema),
  next: z.number().int().describe("Pass as `after` to read on"),
  complete: z.boolean().describe("The operation has ended and there is no line after these; see `removed`"),
  removed: logRemovalSchema
    .nullable()
    .describe("Set when the log went because of its age: one line that says so is all that is left"),
});

/** One line of a container's log, the data of an SSE event whose id is the cursor to resume from. */
export const containerLogLineSchema = z.object({
  at: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
});

export const engineSchema = z.object({
  id: engineIdSchema,
  label: z.string(),
  goodFor: z.string(),
  defaultVersion: z.string(),
  port: z.number().int(),
  versions: z.array(z.object({ version: z.string(), image: z.string(), standIn: z.boolean() })),
  reservedNames: z.array(z.string()),
});

/** A hint on the event stream: this thing has changed, fetch it if you show it. */
export const eventSchema = z.object({
  type: z.enum([
    "server",
    "application",
    "environment",
    "service",
    "operation",
    "operation_log",
    "enrolment_token",
    "member",
  ]),
  id: z.string(),
  revision: z.number().int(),
  /** Ids of what it lives in, so that a list can be refreshed too. */
  serviceId: idSchema.optional(),
  environmentId: idSchema.optional(),
  applicationId: idSchema.optional(),
});
export type Event = z.infer<typeof eventSchema>;

export const pageSchema = <T extends z.ZodType>(item: T) => z.object({ items: z.array(item) });

export type Me = z.infer<typeof meSchema>;
export type Member = z.infer<typeof memberSchema>;
export type Server = z.infer<typeof serverSchema>;
export type Application = z.infer<typeof applicationSchema>;
export type Environment = z.infer<typeof environmentSchema>;
export type Service = z.infer<typeof serviceSchema>;
export type Operation = z.infer<typeof operationSchema>;
export type LogRemoval = z.infer<typeof logRemovalSchema>;
export type OperationLogLine = z.infer<typeof operationLogLineSchema>;
export type EngineInfo = z.infer<typeof engineSchema>;
