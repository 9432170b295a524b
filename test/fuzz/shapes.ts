/**
 * What each frame of `dflow.1` may hold, written down a second time from the protocol's description and without its code,
 * so that the two can contradict each other.
 */

/** Whether a value that JSON gave has this shape. */
export type Shape = (value: unknown) => boolean;

const text =
  (max: number, min = 0): Shape =>
  (value) =>
    typeof value === "string" && value.length >= min && value.length <= max;
const match =
  (pattern: RegExp): Shape =>
  (value) =>
    typeof value === "string" && pattern.test(value);
const whole =
  (min: number, max = Number.MAX_SAFE_INTEGER): Shape =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
const either =
  (...values: unknown[]): Shape =>
  (value) =>
    values.includes(value);
const nullable =
  (shape: Shape): Shape =>
  (value) =>
    value === null || shape(value);
const list =
  (max: number, item: Shape): Shape =>
  (value) =>
    Array.isArray(value) && value.length <= max && value.every(item);
const yesOrNo = either(true, false);

interface Optional {
  optional: Shape;
}
const maybe = (shape: Shape): Optional => ({ optional: shape });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Fields that nobody knows are let pass: a newer version may say more. */
const fields =
  (known: Record<string, Shape | Optional>): Shape =>
  (value) =>
    isObject(value) &&
    Object.entries(known).every(([name, shape]) => {
      if (!Object.hasOwn(value, name)) return typeof shape !== "function";
      return typeof shape === "function" ? shape(value[name]) : shape.optional(value[name]);
    });
/** `__proto__` is no name of anything: it is let go of, as a field that nobody knows. */
const mapOf =
  (key: RegExp, item: Shape): Shape =>
  (value) =>
    isObject(value) &&
    Object.entries(value).every(([name, one]) => name === "__proto__" || (key.test(name) && item(one)));

const CENTURY_MS = 100 * 366 * 24 * 60 * 60 * 1_000;
const id = match(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
const ms = whole(0);
const ageMs = whole(0, CENTURY_MS);
const bytes32 = match(/^[A-Za-z0-9_-]{43}$/);
const streamId = whole(1, 4_294_967_295);

/** Of those codes that a side may name; one that nobody knows is a mistake. */
const CODES = `invalid_input malformed_json body_too_large unauthenticated forbidden bad_origin not_found rate_limited
  name_taken name_reserved not_empty confirmation_mismatch operation_open already_deployed not_deployed data_missing
  server_unreachable server_quarantined already_stopped not_running not_cancellable not_settleable not_open unknown_engine
  unknown_version token_invalid token_expired token_used invitation_invalid policy_refused stale_generation image_not_found
  image_unauthorized image_pull_failed docker_unavailable docker_failed container_exited out_of_memory not_ready
  identity_mismatch volume_missing check_failed network_exhausted disk_full cancelled expired timed_out outcome_unknown
  service_busy unsupported log_unavailable internal`.split(/\s+/);
const failure = fields({ code: either(...CODES), message: text(4_000), hint: maybe(text(2_000)) });

const signed = fields({ jws: text(8_192) });
const operation = fields({ operationId: id });
const remoteError = fields({ code: text(64), message: text(1_000) });
const logClose = fields({ streamId, reason: either("viewer_left", "ended", "failed"), failure: maybe(failure) });

const commandBase = { operationId: id, serviceId: id, generation: whole(1), startWithinMs: ms, runMs: ms };
const spec = fields({
  ...{ serviceId: id, workspaceId: id, environmentId: id, volumeId: id },
  name: match(/^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$/),
  type: either("database"),
  engine: either("postgres"),
  version: text(32, 1),
  image: text(255, 1),
  standIn: yesOrNo,
  memoryBytes: maybe(whole(16 * 1_048_576)),
  outgoing: maybe(yesOrNo),
});
const secrets = mapOf(/^[a-z][a-z0-9_]{0,31}$/, text(1_024, 1));
const KINDS: Record<string, Shape> = {
  deploy: fields({ ...commandBase, spec, secrets }),
  restart: fields({ ...commandBase, spec, secrets }),
  stop: fields(commandBase),
  delete: fields({ ...commandBase, deleteData: yesOrNo }),
  check: fields({ ...commandBase, acknowledged: maybe(yesOrNo) }),
};
const command: Shape = (value) => {
  if (!isObject(value) || typeof value.kind !== "string" || !Object.hasOwn(KINDS, value.kind)) return false;
  return KINDS[value.kind]?.(value) === true;
};

export const TO_AGENT: Readonly<Record<string, Shape>> = {
  challenge: fields({ connectionId: id, nonce: bytes32, controlPlaneId: text(64) }),
  welcome: signed,
  command,
  cancel: operation,
  progress_ack: fields({ operationId: id, next: whole(0) }),
  result_ack: operation,
  log_open: fields({
    ...{ streamId, serviceId: id, follow: yesOrNo, tail: nullable(whole(0, 100_000)) },
    since: maybe(text(40)),
    creditBytes: whole(1),
  }),
  log_credit: fields({ streamId, bytes: whole(1) }),
  log_close: logClose,
  heartbeat_ack: fields({}),
  drain: fields({ reconnectInMs: whole(0, 10 * 60_000) }),
  error: remoteError,
};

const logLine = fields({ ageMs, level: either("info", "output", "warn", "error"), text: text(4_096) });
const observation = fields({
  state: either("not_deployed", "running", "unhealthy", "exited", "missing", "unknown"),
  evidence: text(500),
  volume: either("present", "absent", "unknown"),
  containerId: maybe(text(64)),
  exitCode: maybe(whole(Number.MIN_SAFE_INTEGER)),
  oomKilled: maybe(yesOrNo),
  restartCount: maybe(whole(0)),
  startedAt: maybe(text(40)),
  imageId: maybe(text(100)),
  outgoing: maybe(yesOrNo),
});

export const TO_CONTROL_PLANE: Readonly<Record<string, Shape>> = {
  auth: signed,
  ready: fields({ epoch: whole(0, 2 ** 48) }),
  ack: fields({ operationId: id, outcome: either("accepted", "duplicate", "rejected"), failure: maybe(failure) }),
  progress: fields({ operationId: id, from: whole(0, 2 ** 48), lines: list(200, logLine), step: maybe(text(100)) }),
  result: fields({
    operationId: id,
    state: either("succeeded", "failed", "cancelled", "expired", "unknown"),
    failure: maybe(failure),
    lineCount: whole(0, 2 ** 48),
    startedAgeMs: maybe(ageMs),
    endedAgeMs: ageMs,
    timings: maybe(fields({ totalMs: ms, pullMs: ms, engineMs: ms, ownMs: ms })),
  }),
  state: fields({
    full: yesOrNo,
    services: list(2_000, fields({ serviceId: id, generation: whole(0), observation, ageMs })),
  }),
  heartbeat: fields({
    observedAgeMs: nullable(ageMs),
    dockerOk: yesOrNo,
    running: list(500, fields({ operationId: id, step: text(100) })),
    streams: whole(0),
    rssBytes: whole(0),
  }),
  log_close: logClose,
  error: remoteError,
};

export interface Envelope {
  type: string;
  seq: number;
  session: number;
  data: unknown;
}

/** The frame's envelope, or `undefined` when the value is none. */
export function envelopeOf(value: unknown): Envelope | undefined {
  const isOne = fields({ type: text(64), seq: whole(1), session: whole(0), data: () => true })(value);
  return isOne ? (value as Envelope) : undefined;
}

export { id as isId };
