/**
 * The JSON frames of the link, version `dflow.1`. Each frame is `{type, seq, session, data}`:
 * - `seq` counts the frames of one direction on one socket from 1. A repeated number is dropped; a gap ends the socket,
 *   and everything durable is sent again after the reconnect because it is keyed by operation id.
 * - `session` is the fencing number that `welcome` gives (0 before it); a frame of another session is refused.
 * - `generation` (inside data) grows with each accepted action on a service; an agent refuses to go back.
 */
import { z } from "zod";
import { failureSchema } from "../errors.ts";
import { idSchema } from "../ids.ts";
import { secretsSchema, serviceSpecSchema } from "../spec.ts";
import { observationSchema } from "../states.ts";
import { agentFactsSchema } from "./enrol.ts";

export const SUBPROTOCOL = "dflow.1";
export const AGENT_SOCKET_PATH = "/agent/v1";

/** Limits of the link, in bytes and milliseconds. */
export const LINK_LIMITS = {
  preAuthFrameBytes: 8 * 1024,
  preAuthMs: 10_000,
  frameBytes: 1024 * 1024,
  jsonBytes: 256 * 1024,
  logPayloadBytes: 64 * 1024,
  logCreditBytes: 256 * 1024,
  logStreamsPerAgent: 64,
} as const;

const nonceSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes, base64url");
const msSchema = z.number().int().nonnegative();
/** How long ago something was, in milliseconds. A century at most: older is nonsense that no date could hold. */
const ageMsSchema = msSchema.max(100 * 366 * 24 * 3_600_000);

/**
 * The join counter: 0 at enrolment, one more with each connection. Both sides keep it, so an agent that offers an old one
 * is a copy of another, or a machine that was set back. Far below where integers lose their last digit.
 */
const epochSchema = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48);

/** How many lines of a log, or which one: far below where integers lose their last digit, as one counts on from it. */
const lineCountSchema = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48);

// Handshake. Signed payloads are JWS (EdDSA) of the schemas below.

export const challengeSchema = z.object({
  connectionId: idSchema,
  nonce: nonceSchema,
  controlPlaneId: z.string().max(64).describe("RFC 7638 thumbprint of the control plane's key"),
});

/** Signed by the agent's key. `url` and `controlPlaneId` inside the signature stop a relay through another host. */
export const authPayloadSchema = z.object({
  controlPlaneId: z.string().max(64),
  url: z.string().max(2048),
  agentId: idSchema,
  connectionId: idSchema,
  nonce: nonceSchema,
  agentNonce: nonceSchema,
  /** The last epoch that this agent has on disk for its key. */
  epoch: epochSchema,
  facts: agentFactsSchema,
});
export type AuthPayload = z.infer<typeof authPayloadSchema>;

/** Signed by the control plane's key. */
export const welcomePayloadSchema = z.object({
  connectionId: idSchema,
  agentNonce: nonceSchema,
  agentId: idSchema,
  session: z.number().int().positive(),
  /** The next epoch: on the agent's disk before it says `ready`. */
  epoch: epochSchema,
  heartbeatMs: msSchema,
  /** Either side ends the socket after this long without any frame. */
  deadlineMs: msSchema,
});
export type WelcomePayload = z.infer<typeof welcomePayloadSchema>;

/** The agent has the welcome's epoch on disk. Before this frame it sends nothing else, and the session begins with it. */
export const readySchema = z.object({ epoch: epochSchema });

const signedSchema = z.object({ jws: z.string().max(8 * 1024) });

// Commands.

const commandBase = {
  operationId: idSchema,
  serviceId: idSchema,
  generation: z.number().int().positive(),
  /** Remaining time within which work has to start; the agent turns it into its own monotonic clock. */
  startWithinMs: msSchema,
  /** Run time after which the agent ends the work as failed. */
  runMs: msSchema,
};

export const commandSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("deploy"), ...commandBase, spec: serviceSpecSchema, secrets: secretsSchema }),
  z.object({ kind: z.literal("restart"), ...commandBase, spec: serviceSpecSchema, secrets: secretsSchema }),
  z.object({ kind: z.literal("stop"), ...commandBase }),
  z.object({ kind: z.literal("delete"), ...commandBase, deleteData: z.boolean() }),
  z.object({
    kind: z.literal("check"),
    ...commandBase,
    /** The agent has acknowledged it before: one that has no record of it must not take it for new (class `once`). */
    acknowledged: z.boolean().optional(),
  }),
]);
export type Command = z.infer<typeof commandSchema>;

export const ackSchema = z.object({
  operationId: idSchema,
  outcome: z.enum(["accepted", "duplicate", "rejected"]),
  /** With `rejected`. */
  failure: failureSchema.optional(),
});
export type Ack = z.infer<typeof ackSchema>;

/** `info` our own words, `output` what the container or the registry said, `warn` and `error` what a reader looks for. */
export const logLevelSchema = z.enum(["info", "output", "warn", "error"]);
export type LogLevel = z.infer<typeof logLevelSchema>;

export const LOG_LINE_MAX = 4096;
export const logLineSchema = z.object({
  ageMs: ageMsSchema,
  level: logLevelSchema,
  text: z.string().max(LOG_LINE_MAX),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** Lines of an operation's log from index `from` (the first line is 0), kept by the agent until `progress_ack`. */
export const progressSchema = z.object({
  operationId: idSchema,
  from: lineCountSchema,
  lines: z.array(logLineSchema).max(200),
  step: z.string().max(100).optional(),
});
export type Progress = z.infer<typeof progressSchema>;

/** Where the run's time went, in milliseconds: our own share, pulling, and waiting for the engine. */
export const timingsSchema = z.object({ totalMs: msSchema, pullMs: msSchema, engineMs: msSchema, ownMs: msSchema });
export type Timings = z.infer<typeof timingsSchema>;

export const resultSchema = z.object({
  operationId: idSchema,
  state: z.enum(["succeeded", "failed", "cancelled", "expired", "unknown"]),
  failure: failureSchema.optional(),
  /** How many log lines the operation has in all, so that a missing one is noticed. */
  lineCount: lineCountSchema,
  startedAgeMs: ageMsSchema.optional(),
  endedAgeMs: ageMsSchema,
  timings: timingsSchema.optional(),
});
export type Result = z.infer<typeof resultSchema>;

export const stateSchema = z.object({
  /** True: the list is every service this agent knows; one it leaves out is not on this server. */
  full: z.boolean(),
  services: z
    .array(
      z.object({
        serviceId: idSchema,
        generation: z.number().int().nonnegative(),
        observation: observationSchema,
        ageMs: ageMsSchema,
      }),
    )
    .max(2000),
});
export type StateReport = z.infer<typeof stateSchema>;

/** Sent from the work: `observedAgeMs` is the age of the last complete look at Docker, which confirms every reported state. */
export const heartbeatSchema = z.object({
  observedAgeMs: ageMsSchema.nullable(),
  dockerOk: z.boolean(),
  running: z.array(z.object({ operationId: idSchema, step: z.string().max(100) })).max(500),
  streams: z.number().int().nonnegative(),
  rssBytes: z.number().int().nonnegative(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

// Log streams. Data travels in binary frames (log-data.ts).

const streamIdSchema = z.number().int().min(1).max(0xffff_ffff);
export const logOpenSchema = z.object({
  streamId: streamIdSchema,
  serviceId: idSchema,
  follow: z.boolean(),
  /** Lines of history; null for all. */
  tail: z.number().int().min(0).max(100_000).nullable(),
  /** RFC 3339 with nanoseconds: only lines at or after it. */
  since: z.string().max(40).optional(),
  creditBytes: z.number().int().positive(),
});
export type LogOpen = z.infer<typeof logOpenSchema>;
export const logCreditSchema = z.object({ streamId: streamIdSchema, bytes: z.number().int().positive() });
/** Either side. From the agent: `ended` (container gone or not followed) or a failure. */
export const logCloseSchema = z.object({
  streamId: streamIdSchema,
  reason: z.enum(["viewer_left", "ended", "failed"]),
  failure: failureSchema.optional(),
});
export type LogClose = z.infer<typeof logCloseSchema>;

const counters = { seq: z.number().int().positive(), session: z.number().int().nonnegative() };
const frame = <const T extends string, S extends z.ZodType>(type: T, data: S) =>
  z.object({ type: z.literal(type), ...counters, data });

/** The longest wait that a control plane may ask an agent for, in milliseconds. */
export const RECONNECT_IN_MAX_MS = 10 * 60_000;

/**
 * The control plane goes down for a planned restart. This agent's own moment to come back, in milliseconds from now, so
 * that not all come at once; it overrides the agent's backoff. Work goes on meanwhile.
 */
export const drainSchema = z.object({ reconnectInMs: msSchema.max(RECONNECT_IN_MAX_MS) });

const operationOnly = z.object({ operationId: idSchema });
const empty = z.object({});
const remoteErrorSchema = z.object({ code: z.string().max(64), message: z.string().max(1000) });

/** Control plane → agent. */
export const toAgentSchema = z.discriminatedUnion("type", [
  frame("challenge", challengeSchema),
  frame("welcome", signedSchema),
  frame("command", commandSchema),
  frame("cancel", operationOnly),
  frame("progress_ack", z.object({ operationId: idSchema, next: z.number().int().nonnegative() })),
  frame("result_ack", operationOnly),
  frame("log_open", logOpenSchema),
  frame("log_credit", logCreditSchema),
  frame("log_close", logCloseSchema),
  frame("heartbeat_ack", empty),
  frame("drain", drainSchema),
  frame("error", remoteErrorSchema),
]);
export type ToAgent = z.infer<typeof toAgentSchema>;

/** Agent → control plane. */
export const toControlPlaneSchema = z.discriminatedUnion("type", [
  frame("auth", signedSchema),
  frame("ready", readySchema),
  frame("ack", ackSchema),
  frame("progress", progressSchema),
  frame("result", resultSchema),
  frame("state", stateSchema),
  frame("heartbeat", heartbeatSchema),
  frame("log_close", logCloseSchema),
  frame("error", remoteErrorSchema),
]);
export type ToControlPlane = z.infer<typeof toControlPlaneSchema>;

/** A frame without its counters, as rooms hand it to the link. */
export type Outgoing<F extends { type: string; data: unknown }> = F extends { type: infer T; data: infer D }
  ? { type: T; data: D }
  : never;
export type OutgoingToAgent = Outgoing<ToAgent>;
export type OutgoingToControlPlane = Outgoing<ToControlPlane>;
