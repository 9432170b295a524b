/** A Docker engine with a memory: objects stay until they are removed, databases keep their identity in their volume. */
import { Readable } from "node:stream";
import { AppError } from "@dflow/protocol";
import type {
  CommandOutcome,
  ContainerEvent,
  ContainerSpec,
  Docker,
  FoundContainer,
  FoundNetwork,
  Labels,
  LogRequest,
  PullEvent,
  RestartPolicy,
} from "../src/docker/docker.ts";

/** How the program in an image behaves once it is started. */
export interface Program {
  /** Probes that it leaves unanswered. */
  probesUntilReady: number;
  exits?: { code: number; oomKilled?: boolean };
  says: string[];
}

export interface FakeContainer extends FoundContainer {
  spec: ContainerSpec;
  policy: RestartPolicy;
  probes: number;
  lines: { stderr: boolean; text: string }[];
  starts: number;
}

export interface FakeVolume {
  name: string;
  labels: Labels;
  /** Set by the first start that became ready: the database in it. */
  identity?: string;
  /** A start that never became ready has written half a database. */
  halfMade: boolean;
}

type Verb = keyof Docker;
const MAKING: readonly Verb[] = ["createNetwork", "createVolume", "createContainer", "createJob"];

/** The caller of an aborted request hears so at once; what the engine does is another matter. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

export function createFakeDocker() {
  const images = new Map<string, { id: string; program: Program }>();
  const registry = new Map<string, Program>();
  const networks = new Map<string, FoundNetwork>();
  const volumes = new Map<string, FakeVolume>();
  const containers = new Map<string, FakeContainer>();
  const calls: { verb: Verb; subject: string }[] = [];
  const hooks = new Map<Verb, (subject: string) => Promise<void> | void>();
  const watchers = new Set<(event: ContainerEvent) => void>();
  const openStreams = new Set<Readable>();
  const state = {
    down: false,
    pullError: undefined as AppError | undefined,
    clockMs: Date.UTC(2026, 10, 23),
    /** Making takes a while, and is not ended by a caller that goes away meanwhile. */
    slowToMake: false,
    /** What a job container says and how it ends; without a code it runs until it is ended. */
    job: { says: [] as string[], code: 0 as number | undefined },
  };
  let nextId = 1;

  const newId = () => String(nextId++).padStart(64, "0");
  const now = () => {
    state.clockMs += 1;
    return new Date(state.clockMs).toISOString().replace("Z", "000000Z");
  };

  const enter = async (verb: Verb, subject: string, signal?: AbortSignal) => {
    signal?.throwIfAborted();
    calls.push({ verb, subject });
    if (state.down) throw new AppError("docker_unavailable", `${verb}: Docker does not answer`);
    await hooks.get(verb)?.(subject);
    signal?.throwIfAborted();
    if (state.slowToMake && MAKING.includes(verb)) {
      for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  };

  const find = (id: string) => containers.get(id) ?? [...containers.values()].find((one) => one.name === id);
  const publish = (container: FakeContainer, action: string) => {
    for (const watcher of watchers) {
      watcher({ type: "container", action, id: container.id, labels: container.labels });
    }
  };
  const matches = (labels: Labels, filter: string) => {
    const [key = "", value] = filter.split("=");
    return value === undefined ? key in labels : labels[key] === value;
  };
  const volumeOf = (container: FakeContainer) => volumes.get(container.spec.volumes[0]?.name ?? "");
  const snapshot = ({
    spec: _spec,
    policy: _policy,
    probes: _probes,
    lines: _lines,
    starts: _starts,
    ...found
  }: FakeContainer) => structuredClone(found) as FoundContainer;

  const startJob = (container: FakeContainer) => {
    Object.assign(container, { state: "running", startedAt: now(), starts: container.starts + 1 });
    for (const text of state.job.says) container.lines.push({ stderr: true, text });
    publish(container, "start");
    if (state.job.code !== undefined) endProgram(container, state.job.code);
  };

  const startProgram = (container: FakeContainer) => {
    if ("sh.dflow.job" in container.labels) return startJob(container);
    const program = [...images.values()].find(({ id }) => id === container.imageId)?.program;
    if (program === undefined) throw new AppError("docker_failed", "no such image");
    container.state = "running";
    container.startedAt = now();
    container.starts += 1;
    container.probes = 0;
    container.health = "starting";
    for (const text of program.says) container.lines.push({ stderr: false, text });
    const volume = volumeOf(container);
    if (volume !== undefined && volume.identity === undefined) volume.halfMade = true;
    publish(container, "start");
    if (program.exits !== undefined) endProgram(container, program.exits.code, program.exits.oomKilled);
  };

  const endProgram = (container: FakeContainer, exitCode: number, oomKilled = false) => {
    Object.assign(container, { state: "exited", exitCode, oomKilled, health: "none" });
    publish(container, "die");
  };

  const docker: Docker = {
    async version(signal) {
      await enter("version", "", signal);
      return { version: "28.0.0", apiVersion: "1.48" };
    },
    async findImage(reference, signal) {
      await enter("findImage", reference, signal);
      const image = images.get(reference);
      return image === undefined ? undefined : { id: image.id };
    },
    async pullImage(reference, onEvent: (event: PullEvent) => void, signal) {
      await enter("pullImage", reference, signal);
      if (state.pullError !== undefined) throw state.pullError;
      const program = registry.get(reference);
      if (program === undefined) throw new AppError("image_not_found", `pull image ${reference}: not found`);
      onEvent({ layer: "abc", status: "Pulling fs layer" });
      onEvent({ layer: "abc", status: "Pull complete" });
      images.set(reference, { id: `sha256:${newId()}`, program });
    },
    async imagesInUse(signal) {
      await enter("imagesInUse", "", signal);
      return new Set([...containers.values()].map(({ imageId }) => imageId));
    },
    async removeImage(reference, signal) {
      await enter("removeImage", reference, signal);
      const image = images.get(reference);
      if (image === undefined) return "absent";
      if ([...containers.values()].some(({ imageId }) => imageId === image.id)) return "in_use";
      images.delete(reference);
      return "removed";
    },
    async listNetworks(signal) {
      await enter("listNetworks", "", signal);
      return [...networks.values()].map((network) => structuredClone(network));
    },
    async createNetwork({ name, kind, subnet, labels }, signal) {
      await enter("createNetwork", name, signal);
      if ([...networks.values()].some((one) => one.subnets.includes(subnet))) {
        throw new AppError("network_exhausted", `create network ${name}: Pool overlaps`);
      }
      const id = newId();
      networks.set(id, { id, name, labels, subnets: [subnet], internal: kind === "private" });
      return id;
    },
    async joinNetwork(networkName, containerId, signal) {
      await enter("joinNetwork", networkName, signal);
      const network = [...networks.values()].find(({ name }) => name === networkName);
      const container = find(containerId);
      if (network === undefined || container === undefined) {
        throw new AppError("docker_failed", `join network ${networkName}: not found`);
      }
      container.networks.push({ id: network.id });
      const labels = { name: networkName, container: container.id };
      for (const watcher of watchers) watcher({ type: "network", action: "connect", id: network.id, labels });
    },
    async removeNetwork(id, signal) {
      await enter("removeNetwork", id, signal);
      const isInIt = (container: FakeContainer) => container.networks.some((network) => network.id === id);
      if ([...containers.values()].some((container) => container.state === "running" && isInIt(container))) {
        throw new AppError("docker_failed", `remove network ${id}: network has active endpoints`);
      }
      return networks.delete(id);
    },
    async listVolumes(label, signal) {
      await enter("listVolumes", label, signal);
      return [...volumes.values()]
        .filter(({ labels }) => matches(labels, label))
        .map(({ name, labels }) => ({ name, labels }));
    },
    async findVolume(name, signal) {
      await enter("findVolume", name, signal);
      const volume = volumes.get(name);
      return volume === undefined ? undefined : { name, labels: volume.labels };
    },
    async createVolume(name, labels, signal) {
      await enter("createVolume", name, signal);
      if (!volumes.has(name)) volumes.set(name, { name, labels, halfMade: false });
    },
    async removeVolume(name, signal) {
      await enter("removeVolume", name, signal);
      if ([...containers.values()].some(({ spec }) => spec.volumes.some((volume) => volume.name === name))) {
        throw new AppError("docker_failed", `remove volume ${name}: volume is in use`);
      }
      return volumes.delete(name);
    },
    async listContainers(label, signal) {
      await enter("listContainers", label, signal);
      return [...containers.values()].filter(({ labels }) => matches(labels, label)).map(snapshot);
    },
    async findContainer(id, signal) {
      await enter("findContainer", id, signal);
      const container = find(id);
      return container === undefined ? undefined : snapshot(container);
    },
    async createContainer(spec, signal) {
      await enter("createContainer", spec.name, signal);
      if (find(spec.name) !== undefined)
        throw new AppError("docker_failed", `create container ${spec.name}: name in use`);
      const network = [...networks.values()].find(({ name }) => name === spec.network.name);
      if (network === undefined) throw new AppError("docker_failed", `network ${spec.network.name} not found`);
      const id = newId();
      containers.set(id, {
        id,
        name: spec.name,
        labels: spec.labels,
        state: "created",
        health: "none",
        imageId: spec.imageId,
        exitCode: 0,
        oomKilled: false,
        restartCount: 0,
        startedAt: "0001-01-01T00:00:00Z",
        networks: [{ id: network.id, address: spec.network.address }],
        spec,
        policy: "no",
        probes: 0,
        lines: [],
        starts: 0,
      });
      return id;
    },
    async createJob(spec, signal) {
      await enter("createJob", spec.name, signal);
      if (find(spec.name) !== undefined)
        throw new AppError("docker_failed", `create container ${spec.name}: name in use`);
      const network = [...networks.values()].find(({ name }) => name === spec.networkName);
      if (network === undefined) throw new AppError("docker_failed", `network ${spec.networkName} not found`);
      const id = newId();
      containers.set(id, {
        ...{ id, name: spec.name, labels: spec.labels, imageId: spec.imageId },
        ...{ state: "created", health: "none", exitCode: 0, oomKilled: false, restartCount: 0 },
        startedAt: "0001-01-01T00:00:00Z",
        networks: [{ id: network.id }],
        // What a job has not.
        spec: { volumes: [] } as unknown as ContainerSpec,
        ...{ policy: "no", probes: 0, lines: [], starts: 0 },
      });
      return id;
    },
    async startContainer(id, signal) {
      await enter("startContainer", id, signal);
      const container = find(id);
      if (container === undefined) throw new AppError("docker_failed", `start container ${id}: no such container`);
      if (container.state !== "running") startProgram(container);
    },
    async stopContainer(id, _graceMs, signal) {
      await enter("stopContainer", id, signal);
      const container = find(id);
      if (container?.state === "running") endProgram(container, "sh.dflow.job" in container.labels ? 143 : 0);
    },
    async removeContainer(id, signal) {
      await enter("removeContainer", id, signal);
      const container = find(id);
      if (container === undefined) return false;
      containers.delete(container.id);
      publish(container, "destroy");
      return true;
    },
    async setRestartPolicy(id, policy, signal) {
      await enter("setRestartPolicy", id, signal);
      const container = find(id);
      if (container === undefined) return;
      container.policy = policy;
      publish(container, "update");
    },
    async runInside(id, _command, _user, signal): Promise<CommandOutcome | undefined> {
      await enter("runInside", id, signal);
      const container = find(id);
      if (container === undefined || container.state !== "running") return undefined;
      const program = [...images.values()].find((image) => image.id === container.imageId)?.program;
      const volume = volumeOf(container);
      if (program === undefined || volume === undefined || container.probes++ < program.probesUntilReady) {
        return { exitCode: 11, stdout: "", stderr: "" };
      }
      volume.identity ??= `7${newId().slice(-18)}`;
      volume.halfMade = false;
      container.health = "healthy";
      return { exitCode: 0, stdout: `${volume.identity}\n999 999\n`, stderr: "" };
    },
    async openLogs(id, request: LogRequest, signal) {
      await enter("openLogs", id, signal);
      const container = find(id);
      if (container === undefined) return undefined;
      const lines =
        request.tail === null ? container.lines : container.lines.slice(-request.tail || container.lines.length);
      const stream = Readable.from(lines.map(({ stderr, text }) => logFrame(`${text}\n`, stderr)));
      openStreams.add(stream);
      stream.once("close", () => openStreams.delete(stream));
      return stream;
    },
    async openEvents(onEvent, signal) {
      await enter("openEvents", "", signal);
      const stream = new Readable({ read: () => undefined });
      const watcher = (event: ContainerEvent) => onEvent(event);
      watchers.add(watcher);
      openStreams.add(stream);
      stream.once("close", () => {
        watchers.delete(watcher);
        openStreams.delete(stream);
      });
      return stream;
    },
  };

  const { createNetwork, createVolume, createContainer, createJob } = docker;
  docker.createNetwork = (request, signal) => unlessAborted(createNetwork(request, undefined), signal);
  docker.createVolume = (name, labels, signal) => unlessAborted(createVolume(name, labels, undefined), signal);
  docker.createContainer = (spec, signal) => unlessAborted(createContainer(spec, undefined), signal);
  docker.createJob = (spec, signal) => unlessAborted(createJob(spec, undefined), signal);

  return {
    docker,
    images,
    networks,
    volumes,
    containers,
    calls,
    openStreams,
    state,
    addImage(reference: string, program: Partial<Program> = {}) {
      images.set(reference, {
        id: `sha256:${newId()}`,
        program: { probesUntilReady: 1, says: ["starting"], ...program },
      });
    },
    offer(reference: string, program: Partial<Program> = {}) {
      registry.set(reference, { probesUntilReady: 1, says: ["starting"], ...program });
    },
    /** Before the verb takes effect; a promise that never settles is a process that was killed there. */
    before: (verb: Verb, hook: (subject: string) => Promise<void> | void) => void hooks.set(verb, hook),
    unhook: () => hooks.clear(),
    end: (id: string, exitCode: number) => {
      const container = find(id);
      if (container !== undefined) endProgram(container, exitCode);
    },
    count: (verb: Verb) => calls.filter((call) => call.verb === verb).length,
    only: () => {
      const [container, ...more] = containers.values();
      if (container === undefined || more.length > 0) throw new Error(`${containers.size} containers`);
      return container;
    },
  };
}

export type FakeDocker = ReturnType<typeof createFakeDocker>;

/** A frame of Docker's multiplexed stream. */
export function logFrame(text: string, stderr = false): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stderr ? 2 : 1;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}
