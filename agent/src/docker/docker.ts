/** The verbs we need of a container engine, in our words. Every implementation passes test/docker.contract.ts. */
import type { Readable } from "node:stream";

export type Labels = Record<string, string>;

export interface EngineVersion {
  version: string;
  apiVersion: string;
}

export interface FoundImage {
  id: string;
  /** The registry's digest of it, where one is known: "postgres@sha256:…". */
  digest?: string;
}

export interface FoundNetwork {
  id: string;
  name: string;
  labels: Labels;
  subnets: string[];
  /** Docker forwards nothing out of it. */
  internal: boolean;
}

/** How the addresses of an environment's network are shared out. */
export interface NetworkParts {
  /** The host's own address in it. */
  gateway: string;
  /** Docker gives containers of others, which ask for no address, one of this range (CIDR), and never a service's. */
  guests: string;
  /** Nobody gets it. */
  deadEnd: string;
}

/**
 * `private`: its members reach each other, the host reaches them, and no route leads out: their default route ends at
 * the dead end. `outgoing`: a way out, and none from one member to another.
 */
export type NetworkRequest = { name: string; subnet: string; labels: Labels } & (
  | { kind: "private"; parts: NetworkParts }
  | { kind: "outgoing" }
);

export interface FoundVolume {
  name: string;
  labels: Labels;
}

export type ContainerState = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";
export type ContainerHealth = "none" | "starting" | "healthy" | "unhealthy";

/** What a list shows: cheap, enough to notice that something changed. */
export interface ListedContainer {
  id: string;
  name: string;
  labels: Labels;
  state: ContainerState;
  health: ContainerHealth;
}

export interface FoundContainer extends ListedContainer {
  imageId: string;
  exitCode: number;
  oomKilled: boolean;
  restartCount: number;
  /** RFC 3339 with nanoseconds; Docker's zero time for a container that was never started. */
  startedAt: string;
  /** Ids of the networks it belongs to, with its fixed address where it has one. */
  networks: { id: string; address?: string }[];
}

/** A container as we ask for it. What is not in this type cannot be asked for. */
export interface ContainerSpec {
  name: string;
  imageId: string;
  labels: Labels;
  /** Never holds a secret: everyone who may inspect reads it. */
  env: Record<string, string>;
  network: { name: string; address: string; alias: string };
  /** Without it, names outside its own networks are not asked for anywhere. */
  outgoing: boolean;
  volumes: { name: string; target: string }[];
  /** Folders of the agent's own directory, read-only. */
  folders: { source: string; target: string }[];
  tmpfs: { target: string; sizeBytes: number }[];
  memoryBytes?: number;
  shmBytes: number;
  pidsLimit: number;
  capabilities: string[];
  health: { command: string[]; intervalMs: number; timeoutMs: number; retries: number; startPeriodMs: number };
  stopSignal: string;
  stopGraceMs: number;
  logMaxSize: string;
  logMaxFiles: number;
}

/**
 * A container that does one piece of work and ends. It has less than a service's: no data, no address of its own, no
 * rights, nothing that it could write to but memory.
 */
export interface JobSpec {
  name: string;
  imageId: string;
  labels: Labels;
  /** Numbers, never root's. */
  user: { uid: number; gid: number };
  /** Never holds a secret. Everyone who may inspect reads it. */
  command: string[];
  networkName: string;
  /** Folders of the agent's own directory, read-only. */
  folders: { source: string; target: string }[];
  /** Volumes that its image declares, covered with memory, so that none is made. */
  covered: string[];
  memoryBytes?: number;
}

export interface PullEvent {
  layer?: string;
  status: string;
  currentBytes?: number;
  totalBytes?: number;
}

export interface CommandOutcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface LogRequest {
  follow: boolean;
  /** Lines of history; null for all. */
  tail: number | null;
  /** Seconds since 1970 with nanoseconds, "1700000000.000000001": lines at or after it. */
  since?: string;
  timestamps: boolean;
}

export interface ContainerEvent {
  type: "container" | "volume" | "network";
  /** start, die, oom, destroy, health_status … */
  action: string;
  id: string;
  labels: Labels;
}

/** Docker's restart policies that we use: none while a database is not proven, ours afterwards. */
export type RestartPolicy = "no" | "unless-stopped";

/**
 * Failures: `docker_unavailable` when the engine does not answer, `disk_full`, else `docker_failed` with its words.
 * Every call ends by itself; an aborted signal ends it at once with the signal's reason.
 */
export interface Docker {
  version(signal?: AbortSignal): Promise<EngineVersion>;

  findImage(reference: string, signal?: AbortSignal): Promise<FoundImage | undefined>;
  /** Codes `image_unauthorized`, `image_not_found`, `image_pull_failed`. Safe to repeat. */
  pullImage(reference: string, onEvent: (event: PullEvent) => void, signal: AbortSignal): Promise<void>;

  /** Ids of the images that containers use, running or not, and anybody's. */
  imagesInUse(signal?: AbortSignal): Promise<Set<string>>;
  /** The name goes, and with an image's last name the image. Never by force. */
  removeImage(reference: string, signal?: AbortSignal): Promise<"removed" | "absent" | "in_use">;

  listNetworks(signal?: AbortSignal): Promise<FoundNetwork[]>;
  /** Returns the id. `network_exhausted` when the subnet is taken. Docker allows two of one name: look first. */
  createNetwork(request: NetworkRequest, signal?: AbortSignal): Promise<string>;
  /** One more network for a container that was not started yet. */
  joinNetwork(networkName: string, containerId: string, signal?: AbortSignal): Promise<void>;
  /** False when it was not there. Docker refuses while a running container is in it. */
  removeNetwork(id: string, signal?: AbortSignal): Promise<boolean>;

  listVolumes(label: string, signal?: AbortSignal): Promise<FoundVolume[]>;
  findVolume(name: string, signal?: AbortSignal): Promise<FoundVolume | undefined>;
  /** An existing volume of that name is left as it is: look first. */
  createVolume(name: string, labels: Labels, signal?: AbortSignal): Promise<void>;
  /** False when it was not there. */
  removeVolume(name: string, signal?: AbortSignal): Promise<boolean>;

  /** Running or not. `label` is "key" or "key=value". */
  listContainers(label: string, signal?: AbortSignal): Promise<ListedContainer[]>;
  /** By id or name. */
  findContainer(id: string, signal?: AbortSignal): Promise<FoundContainer | undefined>;
  /** Returns the id. The container does not start again by itself until `setRestartPolicy` says so. */
  createContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<string>;
  /** Returns the id. It never starts again by itself. Fails when there is one of that name. */
  createJob(spec: JobSpec, signal?: AbortSignal): Promise<string>;
  /** A running container is left as it is. */
  startContainer(id: string, signal?: AbortSignal): Promise<void>;
  /** Returns when it has stopped, after `graceMs` by force. A stopped or absent container is left as it is. */
  stopContainer(id: string, graceMs: number, signal?: AbortSignal): Promise<void>;
  /** By force, with its anonymous volumes. False when it was not there. */
  removeContainer(id: string, signal?: AbortSignal): Promise<boolean>;
  setRestartPolicy(id: string, policy: RestartPolicy, signal?: AbortSignal): Promise<void>;
  /** Runs a command inside. `undefined` when the container does not run. */
  runInside(id: string, command: string[], user: string, signal?: AbortSignal): Promise<CommandOutcome | undefined>;

  /** Docker's multiplexed stream (logs/demultiplex.ts). The caller destroys it. `undefined` without such a container. */
  openLogs(id: string, request: LogRequest, signal?: AbortSignal): Promise<Readable | undefined>;
  /** Calls back for events of containers, volumes and networks until the returned stream ends. The caller destroys it. */
  openEvents(onEvent: (event: ContainerEvent) => void, signal?: AbortSignal): Promise<Readable>;
}
