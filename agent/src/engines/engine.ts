/** What the agent has to know of a database engine: data and pure functions, one file an engine. */
import type { EngineId } from "@dflow/protocol";
import type { CommandOutcome, ContainerSpec, JobSpec } from "../docker/docker.ts";

/** Where the agent's own folders appear inside every database container. */
export const SECRETS_TARGET = "/run/dflow/secrets";
export const TLS_TARGET = "/run/dflow/tls";

/** The engine's share of a container spec. */
export type EngineContainer = Pick<
  ContainerSpec,
  "env" | "tmpfs" | "shmBytes" | "pidsLimit" | "capabilities" | "health" | "stopSignal" | "stopGraceMs"
> & {
  /** Where the data volume is mounted. */
  dataTarget: string;
};

/** A database that answered: who it is, and as whom it runs. */
export interface Probed {
  /** Made once by the engine when the data directory is created; another one is another database. */
  identity: string;
  owner: { uid: number; gid: number };
}

export interface Engine {
  id: EngineId;
  /** The name of the process that the container becomes when init is over. */
  daemon: string;
  /** Secrets by their name on the wire → file in the secrets folder. All are required. */
  secretFiles: Readonly<Record<string, string>>;
  /** Throws `unknown_version` for a version that has no number in front. */
  majorOf(version: string): number;
  container(service: { name: string; version: string }): EngineContainer;
  /** Run inside until it says ready. Aimed past the init phase: the temporary server must not count. */
  probe(service: { name: string }): { command: string[]; user: string };
  /** `undefined` while the database is not ready. */
  readProbe(outcome: CommandOutcome): Probed | undefined;
  /**
   * Reads the whole database over its environment's network and keeps nothing of it: run by a user without rights in a
   * job container that can write to /dev/shm and nowhere else. Exit code 0 means that all of it could be read.
   */
  check(service: { name: string; version: string }): Pick<JobSpec, "command" | "covered">;
}
