/** What has to be true before a job container is made, and what the database has to be asked for. Makes nothing. */
import { AppError, type OnceKind, type ServiceSpec } from "@dflow/protocol";
import type { JobSpec } from "../docker/docker.ts";
import { serviceFolders } from "./container-spec.ts";
import { jobSpec } from "./job-spec.ts";
import { lookAtService } from "./look.ts";
import { networkName, type Ownership } from "./naming.ts";
import type { OperationLog } from "./operation-log.ts";
import type { OperationDeps } from "./run-operation.ts";

export interface JobRequest {
  kind: OnceKind;
  operationId: string;
  serviceId: string;
  generation: number;
}

/** Safe to repeat. Throws what a person can do something about. */
export async function prepareJob(
  deps: OperationDeps,
  { kind, operationId, serviceId, generation }: JobRequest,
  log: OperationLog,
  signal: AbortSignal,
): Promise<JobSpec> {
  const { agentId, docker, engines, journal, servicesDir } = deps;
  const spec = journal.services.get(serviceId)?.spec;
  if (spec === undefined) throw new AppError("not_deployed", "this agent has no record of the service");
  const { environmentId, workspaceId, volumeId, name } = spec;
  const found = await lookAtService(docker, { agentId, serviceId, generation, environmentId, volumeId }, signal);
  for (const job of found.jobs) {
    await docker.removeContainer(job.id, signal);
    log.add("info", `Container ${job.name}: removed (left behind by an operation that is over)`);
  }
  const [container] = found.containers;
  if (container?.state !== "running") {
    const state = container === undefined ? "there is no container" : `its container is ${container.state}`;
    throw new AppError("not_running", `${name} does not run: ${state}`, { hint: "Restart starts it." });
  }
  if (found.network?.internal !== true) {
    const what = found.network === undefined ? "is gone" : "lets traffic out";
    throw new AppError("policy_refused", `network ${networkName(environmentId)} ${what}`, {
      hint: "Stop every service of this environment, then restart each: the first restart makes the network anew.",
    });
  }
  const engine = engines[spec.engine];
  const { command, user } = engine.probe(spec);
  const outcome = await docker.runInside(container.id, command, user, signal);
  const probed = outcome && engine.readProbe(outcome);
  if (probed === undefined) throw new AppError("not_ready", `${name} runs, and ${engine.daemon} does not answer`);
  const owner: Ownership = { agentId, workspaceId, environmentId, serviceId, generation, operationId };
  const folders = serviceFolders(servicesDir, serviceId);
  const ground = { imageId: container.imageId, user: readerOfSecrets(deps, spec, probed.owner) };
  return jobSpec(kind, spec, engine, folders, owner, ground);
}

/**
 * The secrets go to the user that the database runs as, where the agent may give them away (it is root); else they stay the
 * agent's own. Whose they then are may read them, and as that user the job runs.
 */
function readerOfSecrets(
  { engines, files, servicesDir }: OperationDeps,
  { engine, serviceId, name }: ServiceSpec,
  database: JobSpec["user"],
): JobSpec["user"] {
  const { secrets } = serviceFolders(servicesDir, serviceId);
  const paths = [secrets, ...Object.values(engines[engine].secretFiles).map((file) => `${secrets}/${file}`)];
  if (paths.some((path) => files.ownerOf(path) === undefined)) throw secretsGone(name);
  for (const path of paths) files.giveTo(path, database.uid, database.gid);
  return files.ownerOf(secrets) ?? database;
}

function secretsGone(name: string): AppError {
  return new AppError("check_failed", `the secrets of ${name} are not on this server any more`, {
    hint: "Restart it once: that brings them back.",
  });
}
