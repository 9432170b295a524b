/** Takes a command in: checks, secrets to their files, a row in the journal, and only then the acknowledgement. */
import {
  type Ack,
  AppError,
  type Command,
  type Failure,
  isAppError,
  isOnce,
  messageOf,
  type OnceKind,
  type Secrets,
  type ServiceSpec,
} from "@dflow/protocol";
import type { Clock, Files, Log } from "../deps.ts";
import { createBody } from "../docker/create-body.ts";
import { jobBody } from "../docker/job-body.ts";
import type { Engine } from "../engines/engine.ts";
import type { Journal, KeptCommand, OperationRecord } from "../journal/journal.ts";
import { stampNow } from "../journal/stamp.ts";
import { checkCreateBody, checkJobBody } from "../policy/policy.ts";
import { blueprint, serviceFolder, serviceFolders } from "./container-spec.ts";
import { jobSpec } from "./job-spec.ts";
import { volumeName } from "./naming.ts";
import type { OnceIntents } from "./once-intents.ts";

export interface ReceiveDeps {
  clock: Clock;
  files: Files;
  journal: Journal;
  log: Log;
  engines: Readonly<Record<ServiceSpec["engine"], Engine>>;
  agentId: string;
  servicesDir: string;
  onceIntents: OnceIntents;
}

export interface Received {
  ack: Ack;
  /** To be run now. */
  accepted?: OperationRecord;
}

/** It becomes part of a path of Docker's API, so no part of it may be empty or of dots only. */
const IMAGE_REFERENCE = /^[a-z0-9](?!.*(?:\/\/|\/\.{1,2}(?:\/|$)))[a-zA-Z0-9._/:@-]*$/;
/** The policy sees a complete body before anything is kept; id and address come later and have rules of their own. */
const SOME_IMAGE_ID = `sha256:${"0".repeat(64)}`;
const SOME_ADDRESS = "10.0.0.2";
const SOME_USER = { uid: 1, gid: 1 };

export function receiveCommand(deps: ReceiveDeps, command: Command): Received {
  const { journal, clock } = deps;
  const { operationId, serviceId, generation } = command;
  if (journal.operations.get(operationId) !== undefined) return { ack: { operationId, outcome: "duplicate" } };
  try {
    // Its record went with a journal: whatever it may have made counts as made.
    const taken = isOnce(command) && (command.acknowledged === true || deps.onceIntents.has(operationId));
    check(deps, command, taken);
    const { kept, secrets } = split(command);
    if (secrets !== undefined) writeSecrets(deps, kept, secrets);
    const receivedAt = stampNow(clock);
    const record: OperationRecord = {
      operationId,
      command: kept,
      receivedAt,
      ...(taken ? { startedAt: receivedAt, intendedAt: receivedAt } : {}),
      acknowledged: false,
    };
    journal.transaction(() => {
      journal.operations.put(record);
      const known = journal.services.get(serviceId);
      const spec = "spec" in kept ? kept.spec : known?.spec;
      journal.services.put({
        serviceId,
        generation,
        desired: known?.desired ?? "absent",
        everDeployed: known?.everDeployed ?? false,
        deleted: false,
        ...(spec === undefined ? {} : { spec, environmentId: spec.environmentId }),
      });
    });
    deps.log.info({ operationId, serviceId, kind: command.kind, generation }, "operation accepted");
    return { ack: { operationId, outcome: "accepted" }, accepted: record };
  } catch (error) {
    const failure = rejection(error);
    if (failure === undefined) throw error;
    deps.log.warn(
      { operationId, serviceId, kind: command.kind, code: failure.code },
      `operation rejected: ${failure.message}`,
    );
    return { ack: { operationId, outcome: "rejected", failure } };
  }
}

function check(deps: ReceiveDeps, command: Command, taken: boolean): void {
  const { journal, agentId, servicesDir, engines } = deps;
  const { serviceId, generation, operationId } = command;
  const known = journal.services.get(serviceId);
  if (known !== undefined && generation <= known.generation) {
    throw new AppError(
      "stale_generation",
      `this command is of generation ${generation}, and generation ${known.generation} was accepted before`,
    );
  }
  if (isOnce(command)) checkJob(deps, command, taken);
  if (command.kind !== "deploy" && command.kind !== "restart") return;
  const { spec, secrets } = command;
  if (spec.serviceId !== serviceId) throw new AppError("invalid_input", "the spec is of another service");
  if (known?.environmentId !== undefined && known.environmentId !== spec.environmentId) {
    throw new AppError("policy_refused", "a service cannot move to another environment");
  }
  if (!IMAGE_REFERENCE.test(spec.image)) throw new AppError("invalid_input", `"${spec.image}" is not an image's name`);
  const volume = journal.volumes.get(volumeName(spec.volumeId));
  if (volume !== undefined && volume.serviceId !== serviceId) {
    throw new AppError("policy_refused", `volume ${volume.name} belongs to another service`);
  }
  const engine = engines[spec.engine];
  const expected = Object.keys(engine.secretFiles).toSorted();
  if (expected.join() !== Object.keys(secrets).toSorted().join()) {
    throw new AppError("invalid_input", `${spec.engine} needs exactly these secrets: ${expected.join(", ")}`);
  }
  const owner = { agentId, serviceId, generation, operationId, ...idsOf(spec) };
  const plain = blueprint(spec, engine, serviceFolders(servicesDir, serviceId), owner);
  checkCreateBody(
    createBody({ ...plain, imageId: SOME_IMAGE_ID, network: { ...plain.network, address: SOME_ADDRESS } }),
    { agentId, servicesDir },
  );
}

function checkJob(deps: ReceiveDeps, command: OnceCommand, taken: boolean): void {
  const { agentId, engines, journal, servicesDir } = deps;
  const { operationId, serviceId, generation } = command;
  const spec = journal.services.get(serviceId)?.spec;
  if (spec === undefined) {
    // Of one that it once took up, the runner says what is left to be known.
    if (taken) return;
    throw new AppError("not_deployed", "this agent has no record of the service", {
      hint: "Restart it once: that brings the record back.",
    });
  }
  const owner = { agentId, serviceId, generation, operationId, ...idsOf(spec) };
  const ground = { imageId: SOME_IMAGE_ID, user: SOME_USER };
  const folders = serviceFolders(servicesDir, serviceId);
  const job = jobSpec(command.kind, spec, engines[spec.engine], folders, owner, ground);
  checkJobBody(jobBody(job), { agentId, servicesDir });
}

type OnceCommand = Extract<Command, { kind: OnceKind }>;

const idsOf = ({ workspaceId, environmentId }: ServiceSpec) => ({ workspaceId, environmentId });

function split(command: Command): { kept: KeptCommand; secrets?: Secrets } {
  if (!("secrets" in command)) return { kept: command };
  const { secrets, ...kept } = command;
  return { kept, secrets };
}

function writeSecrets({ files, servicesDir, engines }: ReceiveDeps, kept: KeptCommand, secrets: Secrets): void {
  if (!("spec" in kept)) return;
  const folders = serviceFolders(servicesDir, kept.serviceId);
  files.makeFolder(serviceFolder(servicesDir, kept.serviceId), 0o700);
  files.makeFolder(folders.secrets, 0o700);
  files.makeFolder(folders.tls, 0o500);
  for (const [name, file] of Object.entries(engines[kept.spec.engine].secretFiles)) {
    files.writeDurably(`${folders.secrets}/${file}`, secrets[name] ?? "", 0o600);
  }
}

function rejection(error: unknown): Failure | undefined {
  if (isAppError(error)) {
    return { code: error.code, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
  if (/ENOSPC|disk is full|EDQUOT/.test(messageOf(error))) {
    return {
      code: "disk_full",
      message: "the agent's own disk is full, so the command could not be written down",
      hint: "Free space in the agent's data folder, then try again.",
    };
  }
  return undefined;
}
