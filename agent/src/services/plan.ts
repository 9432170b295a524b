/** From what is wanted and what was found to typed steps, or to a refusal. Pure: it asks nobody and changes nothing. */
import { AppError, type ConvergentKind } from "@dflow/protocol";
import type { FoundContainer, FoundNetwork } from "../docker/docker.ts";
import type { ServiceRecord, VolumeRecord } from "../journal/journal.ts";
import type { Found } from "./look.ts";
import { generationOf, LABEL } from "./naming.ts";

interface ContainerRef {
  id: string;
  name: string;
}

/** One entry a kind of step: what its executor needs beside the operation itself. */
export interface StepMap {
  ensure_network: object;
  /** The environment's way out. */
  ensure_outgoing: object;
  /** Of the container created before, which has not started yet. */
  join_outgoing: object;
  /** For a service that has a way out no more. */
  leave_outgoing: { environmentId: string };
  ensure_image: object;
  remove_container: { container: ContainerRef; graceful: boolean; why: string };
  wipe_volume: { name: string };
  ensure_volume: { name: string };
  create_container: object;
  /** Of the one created before, unless it names another. */
  start_container: { container?: ContainerRef };
  stop_container: { container: ContainerRef };
  /** One that does not run. */
  stay_stopped: { container: ContainerRef };
  wait_ready: { container?: ContainerRef };
  /** First success of a new volume: from here on it holds data. */
  record_ready: { volume: string };
  /** Of a volume that holds data; `expected` is absent when the journal has no record of it. */
  check_identity: { volume: string; expected?: string };
  keep_running: object;
  remove_volume: { name: string };
  remove_secrets: object;
  release_network: { environmentId: string };
  say: { text: string };
}
export type StepType = keyof StepMap;
export type Step<K extends StepType = StepType> = { [T in K]: { type: T } & StepMap[T] }[K];

/** What the screen says while a step runs, after "Running: ". */
export const STEP_WORDS: Readonly<Record<StepType, string>> = {
  ensure_network: "preparing the network",
  ensure_outgoing: "preparing the network for outgoing traffic",
  join_outgoing: "switching outgoing traffic on",
  leave_outgoing: "leaving the network for outgoing traffic",
  ensure_image: "preparing the image",
  remove_container: "removing a container",
  wipe_volume: "wiping a half-made volume",
  ensure_volume: "preparing the data volume",
  create_container: "creating the container",
  start_container: "starting the container",
  stop_container: "stopping the database",
  stay_stopped: "keeping it stopped",
  wait_ready: "waiting until the database answers",
  record_ready: "recording which database this is",
  check_identity: "checking that it is the same database",
  keep_running: "finishing",
  remove_volume: "removing the data",
  remove_secrets: "removing the secrets",
  release_network: "leaving the network",
  say: "looking at Docker",
};

export interface Wanted {
  kind: ConvergentKind;
  operationId: string;
  serviceId: string;
  generation: number;
  serviceName?: string;
  /** The blueprint's, for deploy and restart. */
  specHash?: string;
  volume?: string;
  environmentId?: string;
  /** The service is to have a way out of its environment. */
  outgoing?: boolean;
  deleteData?: boolean;
  /** Restart only, after the agent itself was restarted: when the container had started before this operation. */
  startedBefore?: string;
}

export interface Known {
  service?: ServiceRecord;
  /** The journal counts the service among those that need the outgoing network. */
  outgoing?: boolean;
  /** By name, of the volumes that were found and of the wanted one. */
  volumes: ReadonlyMap<string, VolumeRecord>;
}

export function plan(wanted: Wanted, found: Found, known: Known): Step[] {
  refuseStale(wanted, found);
  return [...removingJobs(found), ...planOf(wanted, found, known)];
}

/** The journal knows this too, where it was not lost. */
function refuseStale({ generation }: Wanted, { containers }: Found): void {
  const newest = Math.max(0, ...containers.map(({ labels }) => generationOf(labels)));
  if (generation >= newest) return;
  throw new AppError(
    "stale_generation",
    `this command is of generation ${generation}, and a container of generation ${newest} is there`,
  );
}

/** A service has one operation at a time, so the one that made them is over. */
function removingJobs({ jobs }: Found): Step[] {
  return jobs.map((job) => ({
    type: "remove_container",
    container: refOf(job),
    graceful: false,
    why: "left behind by an operation that is over",
  }));
}

function planOf(wanted: Wanted, found: Found, known: Known): Step[] {
  switch (wanted.kind) {
    case "deploy":
      return planDeploy(wanted, found, known);
    case "restart":
      return planRestart(wanted, found, known);
    case "stop":
      return planStop(found);
    case "delete":
      return planDelete(wanted, found);
  }
}

function planDeploy(wanted: Wanted, found: Found, known: Known): Step[] {
  const { service, volumes } = known;
  const volume = volumeOf(wanted);
  const name = wanted.serviceName ?? wanted.serviceId;
  const running = found.containers.find(
    (container) => isRunning(container) && isOf(wanted, container) && isOfOperation(wanted, container),
  );
  const usable = running !== undefined && whyAnew(wanted, found, running) === undefined ? refOf(running) : undefined;
  for (const one of found.volumes) {
    const record = volumes.get(one.name);
    if (record === undefined) {
      // Made by this very deploy, whose record went with a journal: it has run since its first start.
      if (usable !== undefined && one.name === volume && isOfOperation(wanted, one)) {
        return [
          { type: "wait_ready", container: usable },
          { type: "check_identity", volume },
          { type: "keep_running" },
        ];
      }
      throw new AppError(
        "already_deployed",
        `volume ${one.name} exists, and this agent has no record of what it holds`,
        {
          hint: "It was left alone. If it holds this service's data, use Restart; if not, remove it on the server.",
        },
      );
    }
    const isOwn = record.createdBy === wanted.operationId;
    // Of a deploy that failed at its very end: nobody was given this database yet, and it is whole.
    const isUnused = service?.everDeployed === false && one.name === volume;
    if (record.ready !== undefined && !isOwn && !isUnused) throw holdsData(name);
  }
  const present = found.volumes.some((one) => one.name === volume);
  const ready = volumes.get(volume)?.ready;
  // A run that was interrupted after the mark was written finishes.
  if (present && ready !== undefined) return planStart(wanted, found, known, ready.identity, { restart: false });
  // A container of a deploy that never became ready holds nothing, also after an earlier one that succeeded.
  const unfinished = new Set([...volumes.values()].map((record) => record.createdBy));
  const isUnfinished = ({ labels }: FoundContainer) => unfinished.has(labels[LABEL.operation] ?? "");
  if (
    service?.everDeployed === true &&
    found.containers.some((container) => !isOfOperation(wanted, container) && !isUnfinished(container))
  ) {
    throw holdsData(name);
  }
  if (usable !== undefined && present) {
    return [{ type: "wait_ready", container: usable }, { type: "record_ready", volume }, { type: "keep_running" }];
  }
  const removed = found.containers.map(
    (container): Step => ({
      type: "remove_container",
      container: refOf(container),
      graceful: false,
      why: "left behind by a deploy that did not finish",
    }),
  );
  return [
    ...aroundRemoval(wanted, found, removed),
    ...leaving(wanted, found, known),
    // Its init may have died half-way; such a database starts and looks whole, without user or password.
    ...(present ? [{ type: "wipe_volume", name: volume } as const] : []),
    { type: "ensure_volume", name: volume },
    ...creating(wanted),
    { type: "wait_ready" },
    { type: "record_ready", volume },
    { type: "keep_running" },
  ];
}

/** What has to be there, and what has to go, before a container is created. */
function aroundRemoval({ outgoing }: Wanted, { network }: Found, removed: Step[]): Step[] {
  const networks: Step[] = [{ type: "ensure_network" }, ...(outgoing ? [{ type: "ensure_outgoing" } as const] : [])];
  // A network of an earlier version is made anew only when nothing runs in it; else what works is removed last.
  return network?.internal === false
    ? [{ type: "ensure_image" }, ...removed, ...networks]
    : [...networks, { type: "ensure_image" }, ...removed];
}

function creating({ outgoing }: Wanted): Step[] {
  return [
    { type: "create_container" },
    ...(outgoing ? [{ type: "join_outgoing" } as const] : []),
    { type: "start_container" },
  ];
}

/** After its old container has gone; again when an earlier run was interrupted there. */
function leaving({ outgoing, environmentId }: Wanted, found: Found, known: Known): Step[] {
  const had = known.outgoing === true || found.containers.some((container) => isIn(found.outgoing, container));
  return had && !outgoing && environmentId !== undefined ? [{ type: "leave_outgoing", environmentId }] : [];
}

function holdsData(name: string): AppError {
  return new AppError("already_deployed", `${name} is deployed and holds data`, {
    hint: "Use Restart. A deploy makes a new, empty database and is refused while there is data.",
  });
}

function planRestart(wanted: Wanted, found: Found, known: Known): Step[] {
  const volume = volumeOf(wanted);
  const record = known.volumes.get(volume);
  if (!found.volumes.some(({ name }) => name === volume)) {
    throw new AppError("volume_missing", `data volume ${volume} is gone from the server`, {
      hint: "Nothing was started, because the database would come up empty. Bring the volume back on the server, or deploy anew.",
    });
  }
  if (record !== undefined && record.ready === undefined) {
    throw new AppError("not_deployed", `the first deploy of ${wanted.serviceName ?? wanted.serviceId} never finished`, {
      hint: "Deploy it again. Its data folder may be half made and is not started.",
    });
  }
  return planStart(wanted, found, known, record?.ready?.identity, { restart: true });
}

/** To a running container that was made from the wanted spec, over a volume that holds data. */
function planStart(
  wanted: Wanted,
  found: Found,
  known: Known,
  expected: string | undefined,
  { restart }: { restart: boolean },
): Step[] {
  const volume = volumeOf(wanted);
  const [current, ...older] = found.containers;
  const proof = (container?: ContainerRef): Step[] => [
    { type: "wait_ready", ...(container === undefined ? {} : { container }) },
    { type: "check_identity", volume, ...(expected === undefined ? {} : { expected }) },
    { type: "keep_running" },
  ];
  const leftovers = older.map(
    (container): Step => ({
      type: "remove_container",
      container: refOf(container),
      graceful: true,
      why: "an older generation",
    }),
  );
  const why = current === undefined ? undefined : whyAnew(wanted, found, current);
  if (current === undefined || why !== undefined) {
    const replaced: Step[] =
      current === undefined || why === undefined
        ? [{ type: "say", text: "There is no container any more; it is made anew over its volume." }]
        : [{ type: "remove_container", container: refOf(current), graceful: true, why }];
    return [
      ...aroundRemoval(wanted, found, [...leftovers, ...replaced]),
      ...leaving(wanted, found, known),
      ...creating(wanted),
      ...proof(),
    ];
  }
  leftovers.push(...leaving(wanted, found, known));
  const container = refOf(current);
  const restarted = wanted.startedBefore !== undefined && current.startedAt !== wanted.startedBefore;
  if (isRunning(current) && (!restart || restarted || isOfOperation(wanted, current))) {
    return [...leftovers, ...proof(container)];
  }
  return [
    ...leftovers,
    ...(isRunning(current) ? [{ type: "stop_container", container } as const] : []),
    { type: "start_container", container },
    ...proof(container),
  ];
}

/** Why this container cannot just be started, if so. */
function whyAnew(wanted: Wanted, found: Found, container: FoundContainer): string | undefined {
  if (!isOf(wanted, container)) return "its settings changed";
  if (!isIn(found.network, container)) return "its network is gone";
  if (found.network?.internal === false) return "its network has a way out";
  if (isIn(found.outgoing, container) === (wanted.outgoing === true)) return undefined;
  return wanted.outgoing ? "its network for outgoing traffic is gone" : "it is in a network with a way out";
}

function planStop({ containers }: Found): Step[] {
  if (containers.length === 0) return [{ type: "say", text: "There is no container, so nothing runs." }];
  return containers.flatMap((container): Step[] =>
    isRunning(container)
      ? [{ type: "stop_container", container: refOf(container) }]
      : [
          { type: "say", text: `Container ${container.name} is stopped already.` },
          { type: "stay_stopped", container: refOf(container) },
        ],
  );
}

function planDelete({ deleteData, environmentId }: Wanted, { containers, volumes }: Found): Step[] {
  return [
    ...(containers.length === 0 ? [{ type: "say", text: "There is no container." } as const] : []),
    ...containers.map(
      (container): Step => ({ type: "remove_container", container: refOf(container), graceful: true, why: "deleted" }),
    ),
    ...(deleteData
      ? [
          ...volumes.map(({ name }): Step => ({ type: "remove_volume", name })),
          ...(volumes.length === 0 ? [{ type: "say", text: "There is no data volume." } as const] : []),
          { type: "remove_secrets" } as const,
        ]
      : volumes.map(({ name }): Step => ({ type: "say", text: `Data volume ${name} was kept.` }))),
    ...(environmentId === undefined ? [] : [{ type: "release_network", environmentId } as const]),
  ];
}

function volumeOf({ volume }: Wanted): string {
  if (volume === undefined) throw new AppError("invalid_input", "the command names no data volume");
  return volume;
}

const refOf = ({ id, name }: FoundContainer): ContainerRef => ({ id, name });
const isIn = (network: FoundNetwork | undefined, { networks }: FoundContainer) =>
  network !== undefined && networks.some(({ id }) => id === network.id);
const isRunning = ({ state }: FoundContainer) => state === "running" || state === "restarting" || state === "paused";
const isOf = ({ specHash }: Wanted, { labels }: FoundContainer) => labels[LABEL.spec] === specHash;
const isOfOperation = ({ operationId }: Wanted, { labels }: Pick<FoundContainer, "labels">) =>
  labels[LABEL.operation] === operationId;
