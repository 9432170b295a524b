/**
 * What the control plane can never ask, whatever it sends. Default deny: each field of the JSON that goes to Docker
 * needs a rule here that lets its value through, so a field that nobody thought of is refused. Nothing on the wire
 * changes these rules.
 */
import { AppError } from "@dflow/protocol";
import type { BodyKind } from "../docker/dockerode.ts";
import {
  exactly,
  isRecord,
  listOf,
  listOfOne,
  mapOf,
  matches,
  oneOf,
  only,
  positive,
  type Rule,
  type Rules,
  refusedField,
  text,
  unlikeField,
} from "./rules.ts";

export interface PolicyScope {
  agentId: string;
  /** Absolute; the only folder that containers may mount from, read-only. */
  servicesDir: string;
}

const ID = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const CONTAINER_NAME = new RegExp(`^dflow-${ID}-\\d+$`);
const JOB_NAME = new RegExp(`^dflow-job-${ID}$`);
const IMAGE_ID = /^sha256:[0-9a-f]{64}$/;
const NETWORK_NAME = new RegExp(`^dflow-env-${ID}$`);
const OUTGOING_NETWORK_NAME = new RegExp(`^dflow-out-${ID}$`);
const VOLUME_NAME = new RegExp(`^dflow-vol-${ID}$`);
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];
/** Inside the container; nothing of the system itself may be covered. */
const MOUNT_TARGET = /^\/(var\/lib|data|run\/dflow)\/[a-z0-9/_-]+$/;

const ADDRESS = /^\d+\.\d+\.\d+\.\d+$/;
const SUBNET = /^\d+\.\d+\.\d+\.\d+\/26$/;
const GUESTS = /^\d+\.\d+\.\d+\.\d+\/28$/;

const ownLabels =
  (agentId: string): Rule =>
  (value) =>
    isRecord(value) && value["sh.dflow.agent"] === agentId && mapOf(matches(/^sh\.dflow\.[a-z]+$/), text)(value);

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
      Image: matches(IMAGE_ID),
      Env: listOf(matches(/^[A-Z][A-Z0-9_]*=/)),
      Labels: ownLabels(agentId),
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
            IPAMConfig: only({ IPv4Address: matches(ADDRESS) }),
          }),
        ),
      }),
    },
    host: {
      NetworkMode: matches(NETWORK_NAME),
      // A resolver of anybody's choice would be a way out by itself.
      Dns: listOfOne(oneOf("127.0.0.1")),
      RestartPolicy: only({ Name: oneOf("no") }),
      LogConfig: only({ Type: oneOf("local"), Config: mapOf(oneOf("max-size", "max-file"), text) }),
      Mounts: listOf((value) => volume(value) || folder(value)),
      Tmpfs: mapOf(matches(MOUNT_TARGET), matches(/^size=\d+,mode=0700$/)),
      ShmSize: positive,
      PidsLimit: positive,
      Ulimits: listOfOne(exactly(NO_CORE_DUMPS)),
      CapDrop: listOfOne(oneOf("ALL")),
      CapAdd: listOf(oneOf(...CAPABILITIES)),
      SecurityOpt: listOfOne(oneOf("no-new-privileges")),
      Memory: positive,
      MemorySwap: positive,
    },
  };
}

/** A job has less than a service: no volume, no address, no rights, and nothing to write to but memory. */
function jobRules(scope: PolicyScope, body: object): { body: Rules; host: Rules } {
  const { servicesDir, agentId } = scope;
  const operationId = "Labels" in body && isRecord(body.Labels) ? body.Labels["sh.dflow.operation"] : undefined;
  const { Memory, MemorySwap } = bodyRules(scope).host;
  const secrets: Rule = (value) =>
    typeof value === "string" && new RegExp(`^${ID}/secrets$`).test(relativeTo(servicesDir, value));
  const folder = exactly({
    Type: oneOf("bind"),
    Source: secrets,
    Target: oneOf("/run/dflow/secrets"),
    ReadOnly: oneOf(true),
  });
  return {
    body: {
      name: (value) => matches(JOB_NAME)(value) && value === `dflow-job-${operationId}`,
      Image: matches(IMAGE_ID),
      User: matches(/^[1-9]\d*:[1-9]\d*$/),
      Entrypoint: listOfOne(matches(/^[a-z][a-z0-9_-]*$/)),
      Cmd: listOf(text),
      Labels: ownLabels(agentId),
      Healthcheck: exactly({ Test: listOfOne(oneOf("NONE")) }),
      HostConfig: isRecord,
    },
    host: {
      NetworkMode: matches(NETWORK_NAME),
      Dns: listOfOne(oneOf("127.0.0.1")),
      RestartPolicy: exactly({ Name: oneOf("no") }),
      LogConfig: exactly({ Type: oneOf("local"), Config: mapOf(oneOf("max-size", "max-file"), text) }),
      Mounts: listOfOne(folder),
      Tmpfs: mapOf(matches(MOUNT_TARGET), matches(/^size=\d+,mode=0700$/)),
      ReadonlyRootfs: oneOf(true),
      ShmSize: positive,
      PidsLimit: positive,
      Ulimits: listOfOne(exactly(NO_CORE_DUMPS)),
      CapDrop: listOfOne(oneOf("ALL")),
      SecurityOpt: listOfOne(oneOf("no-new-privileges")),
      ...(Memory === undefined || MemorySwap === undefined ? {} : { Memory, MemorySwap }),
    },
  };
}

const OPTIONAL_OF_JOB = ["Memory", "MemorySwap"];

/** The same for a job's container, of which nothing but its memory's limit may be left out. */
export function checkJobBody(body: object, scope: PolicyScope): void {
  const rules = jobRules(scope, body);
  const host = "HostConfig" in body && isRecord(body.HostConfig) ? body.HostConfig : {};
  const limits = OPTIONAL_OF_JOB.filter((name) => !(name in host));
  const wanted = Object.fromEntries(Object.entries(rules.host).filter(([name]) => !limits.includes(name)));
  const field = unlikeField(body, rules.body) ?? unlikeField(host, wanted);
  if (field !== undefined) throw refused(`a job container with this ${field} is not allowed on this server`);
}

const NO_CORE_DUMPS: Rules = { Name: oneOf("core"), Soft: oneOf(0), Hard: oneOf(0) };

/** Fields whose absence would loosen a container. */
const REQUIRED_OF_HOST = ["NetworkMode", "CapDrop", "SecurityOpt", "PidsLimit", "Ulimits", "LogConfig"];

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

/** An environment's network is internal and its default route leads nowhere; an outgoing one keeps its members apart. */
function networkRules(agentId: string, isOutgoing: boolean): Rules {
  const range: Rules = isOutgoing
    ? { Subnet: matches(SUBNET) }
    : {
        Subnet: matches(SUBNET),
        Gateway: matches(ADDRESS),
        IPRange: matches(GUESTS),
        AuxiliaryAddresses: exactly({ DefaultGatewayIPv4: matches(ADDRESS) }),
      };
  return {
    Name: matches(isOutgoing ? OUTGOING_NETWORK_NAME : NETWORK_NAME),
    Driver: oneOf("bridge"),
    CheckDuplicate: oneOf(true),
    Labels: ownLabels(agentId),
    EnableIPv6: oneOf(false),
    Internal: oneOf(!isOutgoing),
    IPAM: exactly({
      Driver: oneOf("default"),
      Config: listOfOne(exactly(range)),
    }),
    Options: exactly(isOutgoing ? { "com.docker.network.bridge.enable_icc": oneOf("false") } : {}),
  };
}

/** Only into an outgoing network: an environment's is given when a container is created. */
const JOIN_RULES: Rules = { Network: matches(OUTGOING_NETWORK_NAME), Container: matches(/^[0-9a-f]{64}$/) };

/** Throws `policy_refused` unless every field is there and is one that we let through. */
export function checkNetworkBody(body: object, { agentId }: PolicyScope): void {
  const isOutgoing = "Name" in body && matches(OUTGOING_NETWORK_NAME)(body.Name);
  const field = unlikeField(body, networkRules(agentId, isOutgoing));
  if (field !== undefined) throw refused(`a network with this ${field} is not allowed on this server`);
}

/** The same for a container that is to join one more network. */
export function checkJoinBody(body: object): void {
  const field = unlikeField(body, JOIN_RULES);
  if (field !== undefined) throw refused(`joining this ${field} is not allowed on this server`);
}

export function checkBody(kind: BodyKind, body: object, scope: PolicyScope): void {
  if (kind === "container") checkCreateBody(body, scope);
  else if (kind === "job") checkJobBody(body, scope);
  else if (kind === "network") checkNetworkBody(body, scope);
  else checkJoinBody(body);
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

function relativeTo(folder: string, path: string): string {
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : "";
}
