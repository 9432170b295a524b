/** One executor a kind of step. Each is idempotent: what is there already is said and kept. */
import type { ServiceSpec } from "@dflow/protocol";
import { AppError } from "@dflow/protocol";
import type { Clock, Files } from "../deps.ts";
import type { ContainerSpec, Docker } from "../docker/docker.ts";
import type { Engine, Probed } from "../engines/engine.ts";
import type { Journal } from "../journal/journal.ts";
import { stampNow } from "../journal/stamp.ts";
import { describeMs, within } from "../waiting.ts";
import { type Blueprint, serviceFolder, serviceFolders } from "./container-spec.ts";
import type { Environments } from "./environments.ts";
import type { Found } from "./look.ts";
import { type Ownership, serviceLabels } from "./naming.ts";
import type { OperationLog } from "./operation-log.ts";
import type { Step, StepMap, StepType } from "./plan.ts";
import { createPullProgress } from "./pull-progress.ts";
import { stopForeign } from "./stop-foreign.ts";
import { waitReady } from "./wait-ready.ts";

export interface StepDeps {
  clock: Clock;
  docker: Docker;
  files: Files;
  journal: Journal;
  environments: Environments;
  servicesDir: string;
  readyTimeoutMs: number;
  pullTimeoutMs: number;
}

/** What a database operation is made from; stop and delete need none of it. */
export interface Making {
  spec: ServiceSpec;
  engine: Engine;
  blueprint: Blueprint;
}

/** One operation on its way through its steps. */
export interface Course {
  owner: Ownership;
  making: Making | undefined;
  stopGraceMs: number;
  found: Found;
  log: OperationLog;
  signal: AbortSignal;
  /** Container output was copied into the log, so a failure need not fetch it again. */
  outputSeen: boolean;
  /** What earlier steps found out for later ones. */
  imageId?: string;
  address?: string;
  /** Name of the network with a way out. */
  outgoing?: string;
  container?: { id: string; name: string };
  startedAtWallMs?: number;
  probed?: Probed;
  pullMs: number;
  engineMs: number;
}

type Executor<K extends StepType> = (deps: StepDeps, course: Course, step: StepMap[K]) => Promise<void>;

const EXECUTORS: { [K in StepType]: Executor<K> } = {
  async say(_deps, { log }, { text }) {
    log.add("info", text);
  },

  async ensure_network({ environments }, course) {
    const network = await environments.join(course.owner, course.found, course.signal);
    course.address = network.address;
    const what = `${network.created ? "created" : "there already"}, ${network.subnet}`;
    if (network.open === undefined) {
      course.log.add("info", `Network ${network.name}: ${what}, without a way out`);
      return;
    }
    course.log.add(
      "warn",
      `Network ${network.name}: ${what}. An earlier version made it, and it lets traffic out. It is in use (${network.open}): stop every service of this environment, then restart each; the first restart makes the network anew.`,
    );
  },

  async ensure_outgoing({ environments }, course) {
    const { name, subnet, created } = await environments.outgoing.join(course.owner, course.signal);
    course.outgoing = name;
    course.log.add("info", `Network ${name}: ${created ? "created" : "there already"}, ${subnet}, with a way out`);
  },

  async join_outgoing({ docker }, { container, outgoing, log }) {
    if (container === undefined || outgoing === undefined) {
      throw new Error("join_outgoing before create_container and ensure_outgoing");
    }
    // Without the signal: Docker would go on with it behind the back of whoever cleans up.
    await docker.joinNetwork(outgoing, container.id);
    log.add("info", `Container ${container.name}: may open connections to the outside, through ${outgoing}`);
  },

  async leave_outgoing({ environments }, { owner, log, signal }, { environmentId }) {
    for (const { name, what } of await environments.outgoing.leave(environmentId, owner.serviceId, signal)) {
      log.add("info", `Network ${name}: ${what}`);
    }
  },

  async ensure_image({ clock, docker, journal, pullTimeoutMs }, course) {
    const { spec } = made(course);
    const { log } = course;
    const known = course.found.image;
    const standIn = spec.standIn ? ", local stand-in" : "";
    if (known !== undefined) {
      course.imageId = known.id;
      journal.images.markUsed(spec.image);
      log.add("info", `Image ${spec.image}: there already${standIn} (${known.digest ?? known.id})`);
      return;
    }
    log.add("info", `Image ${spec.image}: not on this server, pulling it`);
    const beganMs = clock.monotonicMs();
    const say = createPullProgress((line) => log.add("output", line));
    try {
      await within(
        clock,
        pullTimeoutMs,
        `pull image ${spec.image}`,
        (signal) => docker.pullImage(spec.image, say, signal),
        course.signal,
      );
    } finally {
      course.pullMs += clock.monotonicMs() - beganMs;
    }
    const pulled = await docker.findImage(spec.image, course.signal);
    if (pulled === undefined) throw new AppError("image_not_found", `${spec.image} is not there after its pull`);
    course.imageId = pulled.id;
    // After the pull: of one that was killed in between nobody knows whose it is, so it stays.
    journal.images.put({ reference: spec.image, imageId: pulled.id, pulledAt: stampNow(clock) });
    log.add(
      "info",
      `Image ${spec.image}: pulled in ${describeMs(course.pullMs)}${standIn} (${pulled.digest ?? pulled.id})`,
    );
  },

  async remove_container(deps, course, { container, graceful, why }) {
    if (graceful) await stop(deps, course, container);
    await deps.docker.removeContainer(container.id, course.signal);
    course.log.add("info", `Container ${container.name}: removed (${why})`);
  },

  async wipe_volume({ docker, journal }, { log, signal }, { name }) {
    await docker.removeVolume(name, signal);
    journal.volumes.remove(name);
    log.add("warn", `Volume ${name}: wiped, because its first start never finished`);
  },

  async ensure_volume({ docker, journal }, { owner, log, signal }, { name }) {
    // The record first: a volume without one is taken for somebody's data and never wiped.
    journal.volumes.put({ name, serviceId: owner.serviceId, createdBy: owner.operationId });
    // Without the signal: Docker would go on making it behind the back of whoever cleans up.
    await docker.createVolume(name, serviceLabels(owner));
    signal.throwIfAborted();
    log.add("info", `Volume ${name}: created`);
  },

  async create_container({ docker }, course) {
    const { blueprint } = made(course);
    if (course.imageId === undefined || course.address === undefined) {
      throw new Error("create_container before ensure_image and ensure_network");
    }
    const spec: ContainerSpec = {
      ...blueprint,
      imageId: course.imageId,
      network: { ...blueprint.network, address: course.address },
    };
    // Without the signal, as above.
    course.container = { id: await docker.createContainer(spec), name: spec.name };
    course.log.add("info", `Container ${spec.name}: created, address ${course.address}`);
  },

  async start_container({ clock, docker }, course, { container = course.container }) {
    if (container === undefined) throw new Error("start_container without a container");
    const { log, signal } = course;
    // Docker must not bring it back while it is being judged.
    if (container !== course.container) await docker.setRestartPolicy(container.id, "no", signal);
    course.container = container;
    const beganMs = clock.monotonicMs();
    course.startedAtWallMs = clock.wallMs();
    try {
      await docker.startContainer(container.id, signal);
    } finally {
      course.engineMs += clock.monotonicMs() - beganMs;
    }
    log.add("info", `Container ${container.name}: started`);
  },

  async wait_ready({ clock, docker, readyTimeoutMs }, course, { container = course.container }) {
    if (container === undefined) throw new Error("wait_ready without a container");
    const { engine, spec } = made(course);
    const { log, signal } = course;
    course.container = container;
    log.add("info", `Waiting until ${engine.daemon} answers`);
    course.outputSeen = true;
    const beganMs = clock.monotonicMs();
    try {
      course.probed = await waitReady(
        { clock, docker },
        {
          container,
          engine,
          serviceName: spec.name,
          timeoutMs: readyTimeoutMs,
          since: ((course.startedAtWallMs ?? clock.wallMs()) / 1_000).toFixed(3),
          signal,
          onOutput: (line) => log.add("output", line),
        },
      );
    } finally {
      course.engineMs += clock.monotonicMs() - beganMs;
    }
    log.add("info", `Ready: ${engine.daemon} answered ${describeMs(clock.monotonicMs() - beganMs)} after the start`);
  },

  async record_ready({ clock, files, journal, servicesDir }, course, { volume }) {
    const { engine, spec } = made(course);
    const probed = probedOf(course);
    const record = journal.volumes.get(volume);
    journal.volumes.put({
      name: volume,
      serviceId: course.owner.serviceId,
      createdBy: record?.createdBy ?? course.owner.operationId,
      ready: { at: stampNow(clock), identity: probed.identity, major: engine.majorOf(spec.version) },
    });
    files.giveTo(serviceFolders(servicesDir, spec.serviceId).tls, probed.owner.uid, probed.owner.gid);
    course.log.add("info", `Identity of this database: ${probed.identity}`);
  },

  async check_identity(deps, course, { volume, expected }) {
    const { engine, spec } = made(course);
    const { identity } = probedOf(course);
    if (expected === undefined) {
      deps.journal.volumes.put({
        name: volume,
        serviceId: course.owner.serviceId,
        createdBy: course.owner.operationId,
        ready: { at: stampNow(deps.clock), identity, major: engine.majorOf(spec.version) },
      });
      course.log.add("warn", `This agent had no record of the database; from now on it is known as ${identity}`);
      return;
    }
    if (identity === expected) {
      course.log.add("info", `Identity checked: it is the same database (${identity})`);
      return;
    }
    const { container, stopGraceMs, log } = course;
    const stopped =
      container === undefined || (await stopForeign(deps, container, stopGraceMs, (text) => log.add("error", text)));
    throw new AppError("identity_mismatch", `${spec.name} came up as another database (${identity}, not ${expected})`, {
      hint: stopped
        ? "It was stopped, so that nothing is written to it. Its volume may have been replaced; look at it on the server."
        : "It could not be stopped: stop it on the server. Its volume may have been replaced.",
    });
  },

  async keep_running({ docker }, { container, signal }) {
    if (container !== undefined) await docker.setRestartPolicy(container.id, "unless-stopped", signal);
  },

  async stop_container(deps, course, { container }) {
    await stop(deps, course, container);
  },

  async stay_stopped({ docker }, { signal }, { container }) {
    // Docker brings back at its next start what ended by itself, unless it is told not to.
    await docker.setRestartPolicy(container.id, "no", signal);
  },

  async remove_volume({ docker, journal }, { log, signal }, { name }) {
    const existed = await docker.removeVolume(name, signal);
    journal.volumes.remove(name);
    log.add(
      "info",
      existed ? `Data volume ${name}: removed, its data is gone` : `Data volume ${name}: was gone already`,
    );
  },

  async remove_secrets({ files, servicesDir }, { owner, log }) {
    files.remove(serviceFolder(servicesDir, owner.serviceId));
    log.add("info", "Secrets of the service: removed from this server");
  },

  async release_network({ environments }, course, { environmentId }) {
    for (const { name, what } of await environments.leave(environmentId, course.owner.serviceId, course.signal)) {
      course.log.add("info", `Network ${name}: ${what}`);
    }
  },
};

/** Runs one step. A kind of step without an executor does not compile. */
export function executeStep<K extends StepType>(deps: StepDeps, course: Course, step: Step<K>): Promise<void> {
  const execute = EXECUTORS[step.type] as Executor<K>;
  return execute(deps, course, step);
}

async function stop(
  { clock, docker }: StepDeps,
  course: Course,
  container: { id: string; name: string },
): Promise<void> {
  const { log, signal, stopGraceMs } = course;
  const beganMs = clock.monotonicMs();
  log.add("info", `Container ${container.name}: stopping, with up to ${describeMs(stopGraceMs)} to write its data`);
  try {
    await docker.stopContainer(container.id, stopGraceMs, signal);
  } finally {
    course.engineMs += clock.monotonicMs() - beganMs;
  }
  log.add("info", `Container ${container.name}: stopped`);
}

function made({ making }: Course): Making {
  if (making === undefined) throw new Error("this step needs a service spec");
  return making;
}

function probedOf({ probed }: Course): Probed {
  if (probed === undefined) throw new Error("this step comes after wait_ready");
  return probed;
}
