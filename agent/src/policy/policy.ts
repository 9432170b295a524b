/**
 * What the control plane can never ask, whatever it sends. Default deny: each field of the JSON that goes to Docker
 * needs a rule here that lets its value through, so a field that nobody thought of is refused. Nothing on the wire
 * changes these rules.
 */
import { AppError } from "@dflow/protocol";

export interface PolicyScope {
  agentId: string;
  /** Absolute; the only folder that containers may mount from, read-only. */
  servicesDir: string;
}

type Rule = (value: unknown) => boolean;
type Rules = Record<string, Rule>;

const ID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const CONTAINER_NAME = new RegExp(`^dflow-${ID}-\\d+$`);
const NETWORK_NAME = new RegExp(`^dflow-env-${ID}$`);
const VOLUME_NAME = new RegExp(`^dflow-vol-${ID}$`);
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];
/** Inside the container; nothing of the system itself may be covered. */
const MOUNT_TARGET = /^\/(var\/lib|data|run\/dflow)\/[a-z0-9/_-]+$/;

const text: Rule = (value) => typeof value === "string";
const positive: Rule = (value) => Number.isSafeInteger(value) && (value as number) > 0;
const oneOf =
  (...allowed: unknown[]): Rule =>
  (value) =>
    allowed.includes(value);
const matches =
  (pattern: RegExp): Rule =>
  (value) =>
    typeof value === "string" && pattern.test(value);
const listOf =
  (rule: Rule): Rule =>
  (value) =>
    Array.isArray(value) && value.every(rule);
const only =
  (rules: Rules): Rule =>
  (value) =>
    refusedField(value, rules) === undefined;
const mapOf =
  (key: Rule, entry: Rule): Rule =>
  (value) =>
    isRecord(value) && Object.entries(value).every(([name, one]) => key(name) && entry(one));

function bodyRules({ agentId, servicesDir }: PolicyScope): { body: Rules; host: Rules } {
  const ownFolder: Rule = (value) =>
    typeof value === "string" && new RegExp(`^${ID}/(secrets|tls)$`).test(relativeTo(servicesDir, value));
  const volume = only({ Type: oneOf("volume"), Source: matches(VOLUME_NAME), Target: matches(MOUNT_TARGET) });
  const folder = only({
    Type: oneOf("bind"),
    Source: ownFolder,
    Target: matches(MOUNT_TARGET),
    ReadOnly: oneOf(true),
  });
  return {
    body: {
      name: matches(CONTAINER_NAME),
      Image: matches(/^sha256:[0-9a-f]{64}$/),
      Env: listOf(matches(/^[A-Z][A-Z0-9_]*=/)),
      Labels: (value) =>
        isRecord(value) && value["sh.dflow.agent"] === agentId && mapOf(matches(/^sh\.dflow\.[a-z]+$/), text)(value),
      StopSignal: matches(/^SIG[A-Z]+$/),
      StopTimeout: positive,
      Healthcheck: only({
        Test: (value) => listOf(text)(value) && (value as string[])[0] === "CMD",
        Interval: positive,
        Timeout: positive,
        Retries: positive,
        StartPeriod: positive,
      }),
      HostConfig: isRecord,
      NetworkingConfig: only({
        EndpointsConfig: mapOf(
          matches(NETWORK_NAME),
          only({
            Aliases: listOf(matches(/^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$/)),
            IPAMConfig: only({ IPv4Address: matches(/^\d+\.\d+\.\d+\.\d+$/) }),
          }),
        ),
      }),
    },
    host: {
      NetworkMode: matches(NETWORK_NAME),
      RestartPolicy: only({ Name: oneOf("no") }),
      LogConfig: only({ Type: oneOf("local"), Config: mapOf(oneOf("max-size", "max-file"), text) }),
      Mounts: listOf((value) => volume(value) || folder(value)),
      Tmpfs: mapOf(matches(MOUNT_TARGET), matches(/^size=\d+,mode=0700$/)),
      ShmSize: positive,
      PidsLimit: positive,
      CapDrop: (value) => listOf(oneOf("ALL"))(value) && (value as string[]).length === 1,
      CapAdd: listOf(oneOf(...CAPABILITIES)),
      SecurityOpt: (value) => listOf(oneOf("no-new-privileges"))(value) && (value as string[]).length === 1,
      Memory: positive,
      MemorySwap: positive,
    },
  };
}

/** Fields whose absence would loosen a container. */
const REQUIRED_OF_HOST = ["NetworkMode", "CapDrop", "SecurityOpt", "PidsLimit", "LogConfig"];

/** Throws `policy_refused` unless every field of the body of a container's creation is one that we let through. */
export function checkCreateBody(body: object, scope: PolicyScope): void {
  const rules = bodyRules(scope);
  const host = "HostConfig" in body ? body.HostConfig : undefined;
  const field =
    refusedField(body, rules.body) ??
    refusedField(host, rules.host, "HostConfig.") ??
    (["Labels", "Image"].find((name) => !(name in body)) ||
      REQUIRED_OF_HOST.find((name) => !isRecord(host) || !(name in host)));
  if (field !== undefined) throw refused(`a container with this ${field} is not allowed on this server`);
}

/** Throws `policy_refused` when an object under one of our names does not carry our agent's label. */
export function checkOwned(kind: string, name: string, labels: Record<string, string>, agentId: string): void {
  const owner = labels["sh.dflow.agent"];
  if (owner === agentId) return;
  throw refused(
    owner === undefined
      ? `${kind} ${name} exists already and was not made by dFlow`
      : `${kind} ${name} belongs to another dFlow agent (${owner})`,
    "It was left alone. Rename or remove it on the server, then try again.",
  );
}

function refused(message: string, hint?: string): AppError {
  return new AppError("policy_refused", message, hint === undefined ? {} : { hint });
}

/** The first field without a rule or against its rule. */
function refusedField(value: unknown, rules: Rules, prefix = ""): string | undefined {
  if (!isRecord(value)) return prefix === "" ? "body" : prefix.slice(0, -1);
  const name = Object.keys(value).find((key) => !Object.hasOwn(rules, key) || rules[key]?.(value[key]) !== true);
  return name === undefined ? undefined : `${prefix}${name}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function relativeTo(folder: string, path: string): string {
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : "";
}
