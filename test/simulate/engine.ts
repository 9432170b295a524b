/**
 * The fake Docker engine behind a socket: it takes its time, is away now and then, carries out what it was asked even
 * when the asker has died meanwhile, and a judge who knows nothing of the agent's policy looks at each request.
 */
import { Readable } from "node:stream";
import { AppError } from "@dflow/protocol";
import type { ContainerEvent, ContainerSpec, Docker, JobSpec } from "../../agent/src/docker/docker.ts";
import { isJob, LABEL } from "../../agent/src/services/naming.ts";
import { createFakeDocker, type FakeDocker } from "../../agent/test/fake-docker.ts";
import type { Life } from "./life.ts";
import type { World } from "./world.ts";

export interface Engine {
  fake: FakeDocker;
  /** The engine as one run of the agent sees it. */
  for(life: Life): Docker;
  /** Ends all containers as a reboot does, and starts again those with a restart policy once `downMs` are over. */
  reboot(downMs: number): void;
  /** Does not answer for so long; with `hangs` it takes requests and is silent. */
  away(ms: number, hangs: boolean): void;
  /** Ends the program of some container that runs. */
  endOne(): void;
  /** Removes a job container, as a person would who tidies up. */
  removeJob(): void;
  /** Generations of a service for which a container was created. */
  created(serviceId: string): ReadonlySet<number>;
  heal(): void;
}

export const IMAGE = "dflow-sim/postgres:18";
const LATENCY_MS: [number, number] = [1, 60];
/** Now and then a request takes as long as on a busy disk. */
const SLOW_MS: [number, number] = [500, 4_000];
const SLOW_PER_THOUSAND = 15;
const JOB_MS: [number, number] = [50, 8_000];

export function createEngine(world: World, agentId: string, servicesDir: string): Engine {
  const fake = createFakeDocker();
  fake.addImage(IMAGE, { probesUntilReady: world.random.between(0, 4), says: ["starting", "ready for connections"] });
  // A job runs until the world's time ends it.
  fake.state.job = { says: ["read to its end"], code: undefined };
  const generations = new Map<string, Set<number>>();
  const begun = new Map<string, number>();
  let silentUntilMs = 0;

  const latency = (): number => {
    const slow = world.random.next() * 1_000 < SLOW_PER_THOUSAND;
    return world.random.between(...(slow ? SLOW_MS : LATENCY_MS)) + Math.max(0, silentUntilMs - world.nowMs());
  };

  const judgeCreation = (spec: ContainerSpec): void => {
    const faults = [
      spec.labels[LABEL.agent] !== agentId && "a container without its agent's label",
      spec.volumes.some(({ name }) => !name.startsWith("dflow-vol-")) && "a volume that is not ours",
      spec.folders.some(({ source }) => !source.startsWith(`${servicesDir}/`) || source.includes("..")) &&
        "a folder of the host",
      !spec.network.name.startsWith("dflow-env-") && "a network that is not ours",
      Object.values(spec.env).some((value) => value.includes("secret of")) && "a secret in its environment",
      spec.capabilities.some((name) => !ALLOWED_CAPABILITIES.includes(name)) && "a capability too many",
    ];
    for (const fault of faults) if (fault !== false) world.wrong(`the agent asked for ${fault}`);
    const serviceId = spec.labels[LABEL.service] ?? "";
    generations.set(serviceId, (generations.get(serviceId) ?? new Set()).add(Number(spec.labels[LABEL.generation])));
  };
  const judgeJob = ({ labels, networkName, folders, user }: JobSpec): void => {
    const operationId = labels[LABEL.operation] ?? "";
    if (begun.has(operationId)) world.wrong(`the job of ${operationId} was made twice`);
    begun.set(operationId, 0);
    const faults = [
      labels[LABEL.agent] !== agentId && "a job without its agent's label",
      user.uid === 0 && "a job as root",
      folders.some(({ source }) => !source.startsWith(`${servicesDir}/`) || source.includes("..")) &&
        "a folder of the host for a job",
      !networkName.startsWith("dflow-env-") && "a job in a network that is not ours",
    ];
    for (const fault of faults) if (fault !== false) world.wrong(`the agent asked for ${fault}`);
  };
  /** What has begun, since it was looked at last: a job does so once, however often it is asked to. */
  const watchJobs = (): void => {
    for (const container of fake.containers.values()) {
      const operationId = container.labels[LABEL.operation] ?? "";
      if (!isJob(container) || container.starts === begun.get(operationId)) continue;
      begun.set(operationId, container.starts);
      if (container.starts > 1) world.wrong(`the job of ${operationId} began ${container.starts} times`);
      world.after(world.random.between(...JOB_MS), () => {
        if (container.state === "running") fake.end(container.id, 0);
      });
    }
  };
  const judge = (verb: keyof Docker, args: unknown[]): void => {
    if (verb === "createContainer") judgeCreation(args[0] as ContainerSpec);
    if (verb === "createJob") judgeJob(args[0] as JobSpec);
    if (verb !== "removeContainer" && verb !== "stopContainer") return;
    const container = fake.containers.get(String(args[0]));
    if (container !== undefined && container.labels[LABEL.agent] !== agentId) world.wrong(`${verb} of a foreign one`);
  };

  const request = (life: Life, verb: keyof Docker, args: unknown[]): Promise<unknown> => {
    const signal = args.find((arg) => arg instanceof AbortSignal);
    const rest = args.map((arg) => (arg === signal ? undefined : arg));
    return new Promise((resolve, reject) => {
      const settle = (task: () => void) => life.run("Docker's answer", task);
      const onAbort = () => settle(() => reject(signal?.reason));
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
      // The engine's own work: it does not know whether who asked is still there.
      world.after(latency(), () => {
        judge(verb, rest);
        const call = fake.docker[verb] as (...given: unknown[]) => Promise<unknown>;
        call.apply(fake.docker, watched(life, verb, rest)).then(
          (answer) => {
            watchJobs();
            world.after(latency(), () => {
              settle(() => resolve(answer));
              // The connection of who went away meanwhile is closed, and with it what it carried.
              if (answer instanceof Readable && (!life.isAlive() || signal?.aborted === true)) answer.destroy();
            });
          },
          (error) => world.after(1, () => settle(() => reject(error))),
        );
      });
    });
  };

  /** What the engine tells whoever listens: a process that is gone hears nothing. */
  const watched = (life: Life, verb: keyof Docker, args: unknown[]): unknown[] => {
    if (verb !== "openEvents") return args;
    const [onEvent, ...rest] = args as [(event: ContainerEvent) => void];
    return [(event: ContainerEvent) => world.after(1, () => life.run("an event", () => onEvent(event))), ...rest];
  };

  const engine: Engine = {
    fake,
    for(life) {
      life.onDeath(() => {
        for (const stream of fake.openStreams) stream.destroy();
      });
      return new Proxy(fake.docker, {
        get:
          (_target, verb: keyof Docker) =>
          (...args: unknown[]) =>
            request(life, verb, args),
      });
    },
    away(ms, hangs) {
      world.note(hangs ? `Docker is silent for ${ms} ms` : `Docker is away for ${ms} ms`);
      if (hangs) {
        silentUntilMs = Math.max(silentUntilMs, world.nowMs() + ms);
        return;
      }
      fake.state.down = true;
      for (const stream of fake.openStreams) stream.destroy();
      world.after(ms, () => {
        fake.state.down = false;
      });
    },
    reboot(downMs) {
      const ran = [...fake.containers.values()].filter(({ state }) => state === "running");
      for (const { id } of ran) fake.end(id, 137);
      engine.away(downMs, false);
      world.after(downMs + 1, () => {
        for (const { id, policy } of ran) {
          if (policy !== "no" && fake.containers.has(id)) void fake.docker.startContainer(id).catch(onlyDown);
        }
      });
    },
    endOne() {
      const running = [...fake.containers.values()].filter(({ state }) => state === "running");
      const one = running[world.random.between(0, Math.max(0, running.length - 1))];
      if (one !== undefined) fake.end(one.id, 1);
    },
    removeJob() {
      const job = [...fake.containers.values()].find(isJob);
      if (job !== undefined) fake.containers.delete(job.id);
    },
    created: (serviceId) => generations.get(serviceId) ?? new Set(),
    heal() {
      silentUntilMs = 0;
      fake.state.down = false;
    },
  };
  return engine;
}

/** What an official database image needs to give itself up to its user; the kernel's own list is far longer. */
const ALLOWED_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];

function onlyDown(error: unknown): void {
  if (!(error instanceof AppError)) throw error;
}
