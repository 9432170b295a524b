/** Docker's verbs over the engine's socket: the only importer of dockerode. */
import type { Readable } from "node:stream";
import { AppError } from "@dflow/protocol";
import Dockerode from "dockerode";
import type { Clock } from "../deps.ts";
import { createDemultiplexer } from "../logs/demultiplex.ts";
import { within } from "../waiting.ts";
import { createBody } from "./create-body.ts";
import type { ContainerState, Docker, Labels, ListedContainer } from "./docker.ts";
import { dockerFailure, pullFailure, statusOf } from "./failures.ts";
import { foundContainer, healthOfStatus, progressOf } from "./found-container.ts";
import { jobBody } from "./job-body.ts";
import { readJsonLines } from "./json-lines.ts";
import { joinBody, networkBody } from "./network-body.ts";

const READ_MS = 20_000;
const WRITE_MS = 60_000;
/** Starting, stopping and removing wait for runc and the disk, which can be slow on a busy server. */
const HEAVY_MS = 180_000;
/** Output of a command that is kept; the probes answer in one line. */
const OUTPUT_LIMIT_BYTES = 64 * 1024;

export type BodyKind = "container" | "job" | "network" | "join";

export interface DockerodeOptions {
  socketPath: string;
  clock: Clock;
  /** Sees the final JSON of all that is made or joined before Docker does; throws what must not be. */
  inspectBody(body: object, kind: BodyKind): void;
}

export function createDockerode({ socketPath, clock, inspectBody }: DockerodeOptions): Docker {
  // Without these two, DOCKER_HOST of our environment would win over the configured socket.
  const docker = new Dockerode({ socketPath, host: undefined, protocol: "http" });

  /** Every call has a deadline, ends on abort, and fails in our codes. */
  const ask = async <T>(
    what: string,
    limitMs: number,
    signal: AbortSignal | undefined,
    work: (abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    try {
      return await within(clock, limitMs, what, work, signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (error instanceof AppError && error.code === "timed_out") {
        throw new AppError("docker_unavailable", error.message, {
          hint: "The Docker engine hangs or is overloaded. Look at its log on the server.",
          cause: error,
        });
      }
      throw dockerFailure(what, error);
    }
  };

  return {
    async version(signal) {
      const answer = await ask("ask Docker for its version", READ_MS, signal, () => docker.version());
      return { version: answer.Version, apiVersion: answer.ApiVersion };
    },

    async findImage(reference, signal) {
      const found = await ask(`inspect image ${reference}`, READ_MS, signal, () =>
        orAbsent(docker.getImage(reference).inspect()),
      );
      if (found === undefined) return undefined;
      const digest = found.RepoDigests?.[0];
      return { id: found.Id, ...(digest === undefined ? {} : { digest }) };
    },

    async pullImage(reference, onEvent, signal) {
      const what = `pull image ${reference}`;
      let stream: Readable | undefined;
      const onAbort = () => stream?.destroy(signal.reason);
      try {
        // An image without tag or digest would be every tag of it.
        const exact = /[:@][^/]*$/.test(reference) ? reference : `${reference}:latest`;
        stream = await within(clock, HEAVY_MS, what, (ended) => unlessLate(docker.pull(exact), ended), signal);
        signal.addEventListener("abort", onAbort, { once: true });
        await readJsonLines(stream, (line) => {
          if (typeof line.error === "string") throw new Error(line.error);
          onEvent({
            status: String(line.status ?? ""),
            ...(typeof line.id === "string" ? { layer: line.id } : {}),
            ...progressOf(line.progressDetail),
          });
        });
      } catch (error) {
        stream?.destroy();
        if (signal.aborted) throw signal.reason;
        throw pullFailure(reference, error);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },

    async imagesInUse(signal) {
      const found = await ask("list containers", READ_MS, signal, (abortSignal) =>
        docker.listContainers({ all: true, abortSignal }),
      );
      return new Set(found.map(({ ImageID }) => ImageID));
    },

    removeImage: (reference, signal) =>
      ask(`remove image ${reference}`, HEAVY_MS, signal, async () => {
        try {
          // Its parents, where it has any here, were somebody else's before.
          await docker.getImage(reference).remove({ force: false, noprune: true });
          return "removed" as const;
        } catch (error) {
          if (statusOf(error) === 404) return "absent" as const;
          if (statusOf(error) === 409) return "in_use" as const;
          throw error;
        }
      }),

    async listNetworks(signal) {
      const found = await ask("list networks", READ_MS, signal, (abortSignal) => docker.listNetworks({ abortSignal }));
      return found.map((network) => ({
        id: network.Id,
        name: network.Name,
        labels: network.Labels ?? {},
        subnets: (network.IPAM?.Config ?? []).flatMap(({ Subnet }) => (Subnet === undefined ? [] : [Subnet])),
        internal: network.Internal === true,
      }));
    },

    async createNetwork(request, signal) {
      const what = `create network ${request.name} (${request.subnet})`;
      const body = networkBody(request);
      inspectBody(body, "network");
      try {
        const network = await ask(what, WRITE_MS, signal, (abortSignal) =>
          docker.createNetwork({ ...body, abortSignal }),
        );
        return network.id;
      } catch (error) {
        if (error instanceof AppError && /overlaps|already in use|conflicts with/i.test(error.message)) {
          throw new AppError("network_exhausted", error.message, { cause: error });
        }
        throw error;
      }
    },

    async joinNetwork(networkName, containerId, signal) {
      const body = joinBody(networkName, containerId);
      inspectBody(body, "join");
      await ask(`join network ${networkName}`, WRITE_MS, signal, () =>
        docker.getNetwork(body.Network).connect({ Container: body.Container }),
      );
    },

    removeNetwork: (id, signal) =>
      ask(`remove network ${id}`, WRITE_MS, signal, () => wasThere(docker.getNetwork(id).remove())),

    async listVolumes(label, signal) {
      const filters = JSON.stringify({ label: [label] });
      const { Volumes } = await ask("list volumes", READ_MS, signal, (abortSignal) =>
        docker.listVolumes({ filters, abortSignal }),
      );
      return (Volumes ?? []).map((volume) => ({ name: volume.Name, labels: volume.Labels ?? {} }));
    },

    async findVolume(name, signal) {
      const found = await ask(`inspect volume ${name}`, READ_MS, signal, () =>
        orAbsent(docker.getVolume(name).inspect()),
      );
      return found === undefined ? undefined : { name: found.Name, labels: found.Labels ?? {} };
    },

    async createVolume(name, labels, signal) {
      await ask(`create volume ${name}`, WRITE_MS, signal, (abortSignal) =>
        docker.createVolume({ Name: name, Labels: labels, abortSignal }),
      );
    },

    removeVolume: (name, signal) =>
      ask(`remove volume ${name}`, HEAVY_MS, signal, (abortSignal) =>
        wasThere(docker.getVolume(name).remove({ abortSignal })),
      ),

    async listContainers(label, signal) {
      const filters = JSON.stringify({ label: [label] });
      const found = await ask("list containers", READ_MS, signal, (abortSignal) =>
        docker.listContainers({ all: true, filters, abortSignal }),
      );
      return found.map(
        (container): ListedContainer => ({
          id: container.Id,
          name: (container.Names[0] ?? "").replace(/^\//, ""),
          labels: container.Labels ?? {},
          state: container.State as ContainerState,
          health: healthOfStatus(container.Status),
        }),
      );
    },

    async findContainer(id, signal) {
      const found = await ask(`inspect container ${id}`, READ_MS, signal, (abortSignal) =>
        orAbsent(docker.getContainer(id).inspect({ abortSignal })),
      );
      return found === undefined ? undefined : foundContainer(found);
    },

    async createContainer(spec, signal) {
      const body = createBody(spec);
      inspectBody(body, "container");
      const created = await ask(`create container ${spec.name}`, WRITE_MS, signal, (abortSignal) =>
        docker.createContainer({ ...body, abortSignal }),
      );
      return created.id;
    },

    async createJob(spec, signal) {
      const body = jobBody(spec);
      inspectBody(body, "job");
      const created = await ask(`create container ${spec.name}`, WRITE_MS, signal, (abortSignal) =>
        docker.createContainer({ ...body, abortSignal }),
      );
      return created.id;
    },

    async startContainer(id, signal) {
      await ask(`start container ${id}`, HEAVY_MS, signal, (abortSignal) =>
        already(docker.getContainer(id).start({ abortSignal })),
      );
    },

    async stopContainer(id, graceMs, signal) {
      const t = Math.ceil(graceMs / 1_000);
      await ask(`stop container ${id}`, graceMs + HEAVY_MS, signal, (abortSignal) =>
        orAbsent(already(docker.getContainer(id).stop({ t, abortSignal }))),
      );
    },

    removeContainer: (id, signal) =>
      ask(`remove container ${id}`, HEAVY_MS, signal, (abortSignal) =>
        wasThere(docker.getContainer(id).remove({ force: true, v: true, abortSignal })),
      ),

    async setRestartPolicy(id, policy, signal) {
      await ask(`set restart policy of ${id}`, WRITE_MS, signal, () =>
        docker.getContainer(id).update({ RestartPolicy: { Name: policy } }),
      );
    },

    runInside: (id, command, user, signal) =>
      ask(`run ${command[0]} in ${id}`, READ_MS, signal, async (abortSignal) => {
        const exec = await whileRunning(
          docker.getContainer(id).exec({
            Cmd: command,
            User: user,
            AttachStdout: true,
            AttachStderr: true,
            abortSignal,
          }),
        );
        if (exec === undefined) return undefined;
        const stream = await whileRunning(exec.start({ Detach: false, Tty: false, abortSignal }));
        if (stream === undefined) return undefined;
        const output = await collect(stream);
        const { ExitCode } = await exec.inspect({ abortSignal });
        return { exitCode: ExitCode ?? -1, ...output };
      }),

    openLogs: (id, request, signal) =>
      ask(`read the log of ${id}`, READ_MS, signal, (ended) =>
        orAbsent(
          // dockerode's own verb reads all of a log that is not followed into memory, and twice.
          openStream(docker, `/containers/${id}/logs?`, {
            follow: request.follow,
            stdout: true,
            stderr: true,
            timestamps: request.timestamps,
            tail: request.tail ?? "all",
            ...(request.since === undefined ? {} : { since: request.since }),
          }),
        ).then((stream) => {
          if (ended.aborted) stream?.destroy();
          return stream;
        }),
      ),

    openEvents: (onEvent, signal) =>
      ask("watch Docker's events", READ_MS, signal, async (ended) => {
        const filters = JSON.stringify({
          type: ["container", "volume", "network"],
          // Without this list every health check of every container would be three events.
          event: [
            ...["create", "start", "die", "oom", "destroy", "health_status", "pause", "unpause", "update", "rename"],
            ...["connect", "disconnect"],
          ],
        });
        const stream = await unlessLate(docker.getEvents({ filters }), ended);
        readJsonLines(stream, (event) => {
          const actor = event.Actor as { ID?: string; Attributes?: Labels } | undefined;
          onEvent({
            type: event.Type as "container" | "volume" | "network",
            action: String(event.Action ?? ""),
            id: actor?.ID ?? "",
            labels: actor?.Attributes ?? {},
          });
        }).catch((error) => stream.destroy(error));
        return stream;
      }),
  };
}

async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

async function wasThere(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}

/** 304: already started, already stopped. */
async function already(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (statusOf(error) !== 304) throw error;
  }
}

/** 409: the container is not running; 404: it is gone. */
async function whileRunning<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const status = statusOf(error);
    if (status === 409 || status === 404) return undefined;
    throw error;
  }
}

/** A stream that arrives after its deadline has no owner any more. */
async function unlessLate(opening: Promise<NodeJS.ReadableStream>, ended: AbortSignal): Promise<Readable> {
  const stream = (await opening) as Readable;
  if (ended.aborted) stream.destroy();
  return stream;
}

function openStream(docker: Dockerode, path: string, options: object): Promise<Readable> {
  return new Promise((resolve, reject) => {
    docker.modem.dial({ path, method: "GET", isStream: true, statusCodes: { 200: true }, options }, (error, stream) => {
      if (error) reject(error);
      else resolve(stream as Readable);
    });
  });
}

async function collect(stream: Readable): Promise<{ stdout: string; stderr: string }> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let bytes = 0;
  const demultiplex = createDemultiplexer((piece) => {
    bytes += piece.bytes.length;
    if (bytes <= OUTPUT_LIMIT_BYTES) parts[piece.stderr ? "stderr" : "stdout"].push(piece.bytes);
  });
  for await (const chunk of stream) demultiplex(chunk as Buffer);
  return { stdout: Buffer.concat(parts.stdout).toString("utf8"), stderr: Buffer.concat(parts.stderr).toString("utf8") };
}
