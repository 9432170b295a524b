/**
 * Where the four witnesses of a service contradict each other: the API, the control plane's file, the agent's journal and
 * Docker. Pure: facts in, sentences out; nothing said means that all agree.
 */
import type { OperationKind, OperationState, ServiceState } from "@dflow/protocol";

export interface OperationFacts {
  id: string;
  kind: OperationKind;
  /** The row in the control plane's file. */
  plane: {
    state: OperationState;
    generation: number;
    ended: boolean;
    started: boolean;
    sent: boolean;
    errorCode?: string;
  };
  /** Absent when the API says that there is none. `numbers` are those of its log's lines, in the order they came. */
  api:
    | {
        state: OperationState;
        ended: boolean;
        /** Milliseconds from start to end, as its two dates say. */
        lastedMs: number;
        lineCount: number;
        numbers: number[];
        complete: boolean;
      }
    | undefined;
  /** Absent when the journal never had it, or has let go of it. */
  journal: { outcome: string | undefined; lineCount: number; acknowledged: boolean } | undefined;
  /** Its log says that something could not be removed. */
  saysLeftover: boolean;
  /** With `delete`: the data goes too. */
  deletesData: boolean;
}

export interface ContainerFacts {
  id: string;
  name: string;
  serviceId: string;
  environmentId: string;
  generation: number;
  operationId: string;
  state: string;
  health: string;
  restartPolicy: string;
  startedAt: string;
  address: string | undefined;
}

export interface ServiceFacts {
  id: string;
  name: string;
  environmentId: string;
  /** Absent when the API says that there is none. */
  api:
    | {
        state: ServiceState;
        desired: string;
        evidence: string;
        volume: string;
        containerId: string | undefined;
        openOperation: string | undefined;
      }
    | undefined;
  plane: { desired: string; generation: number; everDeployed: boolean; deleted: boolean; inOutbox: number };
  journal:
    | { desired: string; generation: number; everDeployed: boolean; deleted: boolean; address: string | undefined }
    | undefined;
  /** Those that were asked about, oldest first. */
  operations: OperationFacts[];
  /** All that the control plane ever had of it. */
  makers: { id: string; kind: string; generation: number; state: string }[];
  /** Operations in the journal that the control plane never gave. */
  foreign: string[];
  containers: ContainerFacts[];
  /** Docker's, with what the journal knows of each. */
  volumes: { name: string; journal: "ready" | "unfinished" | "unrecorded" }[];
}

export interface Facts {
  /** What kept a witness from answering, and rows that it holds damaged. */
  silent: string[];
  services: ServiceFacts[];
  /** The environments' networks in Docker, and how many living services of it have a container or a volume. */
  networks: { name: string; services: number }[];
  /** Names of job containers in Docker. At rest there is none. */
  jobs: string[];
  /** Objects in Docker of services that the control plane does not have. */
  strays: string[];
}

export interface Allowed {
  /** Operations that may have ended as unknown. */
  unknown?: readonly string[];
  /**
   * The agent's disk was full: an acknowledgement that could not be written down comes again with the next session, and
   * until then the journal keeps a result that the control plane has.
   */
  unacknowledged?: boolean;
}

export interface Disagreement {
  serviceId: string | undefined;
  sentence: string;
}

export function compare(facts: Facts, allowed: Allowed = {}): Disagreement[] {
  const general = [
    ...facts.silent,
    ...facts.strays.map((name) => `Docker has ${name}, and the control plane has no such service`),
    ...facts.jobs.map((name) => `Docker has job container ${name}, and nothing goes on any more`),
    ...facts.networks
      .filter(({ services }) => services === 0)
      .map(({ name }) => `Docker has network ${name}, and no service is left in it`),
  ];
  const ofServices = facts.services.flatMap((service) =>
    [
      ...service.operations.flatMap((operation) => ofOperation(operation, allowed)),
      ...ofState(service),
      ...ofContainers(service),
      ...ofVolumes(service),
      ...ofWishes(service),
    ].map((sentence) => ({ serviceId: service.id, sentence: `${service.name} (${service.id}): ${sentence}` })),
  );
  return [...general.map((sentence) => ({ serviceId: undefined, sentence })), ...ofServices];
}

function ofOperation(operation: OperationFacts, allowed: Allowed): string[] {
  const { id, kind, plane, api, journal } = operation;
  const said: string[] = [];
  const say = (sentence: string) => said.push(`${kind} ${id}: ${sentence}`);
  if (!plane.ended || ["queued", "sent", "running"].includes(plane.state)) {
    say(`the control plane says ${plane.state}, and nothing goes on any more`);
    return said;
  }
  if (plane.state === "unknown" && !(allowed.unknown ?? []).includes(id)) say("it ended as unknown");
  if (journal === undefined) {
    // A command that was refused, or never sent, is in no journal; one that did anything is. The deletion of what was
    // never sent to any server is done without one.
    const withoutServer = kind === "delete" && plane.state === "succeeded" && !plane.sent;
    if (!withoutServer && (plane.started || plane.state === "succeeded"))
      say(`the control plane says ${plane.state}, the journal has no such operation`);
  } else {
    if (journal.outcome !== plane.state) {
      say(`the control plane says ${plane.state}, the journal says ${journal.outcome ?? "that it is not over"}`);
    }
    if (!journal.acknowledged && allowed.unacknowledged !== true)
      say("the control plane has the result, the journal lacks its acknowledgement");
  }
  if (api === undefined) return said;
  if (api.state !== plane.state || api.ended !== plane.ended) {
    say(`the API says ${api.state}, the control plane's file says ${plane.state}`);
  }
  if (api.lastedMs < 0) say(`the API says that it ended ${-api.lastedMs} ms before it began`);
  if (!api.numbers.every((number, index) => number === index)) {
    say(`the API numbers the log's lines ${ranges(api.numbers)}, not from 0 without gap or repeat`);
  }
  if (!api.complete) say("the API says that its log is not complete");
  if (api.lineCount !== api.numbers.length) {
    say(`the API counts ${api.lineCount} log lines and gives ${api.numbers.length}`);
  }
  if (journal !== undefined && journal.lineCount !== api.numbers.length) {
    say(`the API gives ${api.numbers.length} log lines, the journal counted ${journal.lineCount}`);
  }
  return said;
}

const ENDED = ["exited", "created", "dead"];

/** What Docker has to show for each word of the API; undefined when it does. */
function contradiction(state: ServiceState, [container]: ContainerFacts[], volumes: number): string | undefined {
  const shown =
    container === undefined ? "no container" : `a container that is ${container.state} (${container.health})`;
  const runs = container?.state === "running";
  const fits: Record<ServiceState, boolean> = {
    running: runs && container.health !== "unhealthy",
    unhealthy: (runs && container.health === "unhealthy") || container?.state === "paused",
    stopped: container !== undefined && ENDED.includes(container.state),
    exited: container !== undefined && [...ENDED, "restarting"].includes(container.state),
    missing: container === undefined,
    not_deployed: container === undefined && volumes === 0,
    // At rest, with every witness there, nothing is under way and nothing is unknown.
    deploying: false,
    restarting: false,
    stopping: false,
    deleting: false,
    unknown: false,
    reconnecting: false,
    unreachable: false,
  };
  if (fits[state]) return undefined;
  return `the API says ${state}, Docker has ${shown} and ${volumes === 0 ? "no volume" : `${volumes} volume(s)`}`;
}

function ofState({ api, plane, containers, volumes, operations }: ServiceFacts): string[] {
  if (api === undefined) {
    const said: string[] = [];
    if (!plane.deleted) said.push("the API has no such service, the control plane's file has it");
    if (containers.length > 0)
      said.push(`the API has no such service, Docker has ${containers.map(({ name }) => name)}`);
    const last = operations.at(-1);
    if (volumes.length > 0 && last?.kind === "delete" && last.deletesData) {
      said.push(`its data was deleted, Docker has ${volumes.map(({ name }) => name)}`);
    }
    return said;
  }
  const said: string[] = [];
  if (plane.deleted) said.push("the API shows it, the control plane's file says deleted");
  if (api.openOperation !== undefined) said.push(`the API shows operation ${api.openOperation} as open`);
  const contradicted = contradiction(api.state, containers, volumes.length);
  if (contradicted !== undefined) said.push(`${contradicted} (the API's evidence: ${api.evidence})`);
  if (api.state === "stopped" && api.desired !== "stopped")
    said.push(`the API says stopped, and wanted ${api.desired}`);
  const [container] = containers;
  if (api.containerId !== container?.id) {
    said.push(`the API saw container ${api.containerId ?? "none"}, Docker has ${container?.id ?? "none"}`);
  }
  // Before anything was sent nobody looks; the API then says that it does not know.
  const volume = volumes.length > 0 ? "present" : "absent";
  if (api.volume !== volume && !(api.volume === "unknown" && api.state === "not_deployed" && volumes.length === 0)) {
    said.push(`the API says that its volume is ${api.volume}, Docker says ${volume}`);
  }
  return said;
}

function ofContainers({ api, plane, journal, containers, operations, makers }: ServiceFacts): string[] {
  const said: string[] = [];
  if (containers.length > 1)
    said.push(`Docker has ${containers.length} containers of it: ${containers.map(({ name }) => name).join(", ")}`);
  for (const { name, generation, operationId, state, restartPolicy, address } of containers) {
    const maker = makers.find((one) => one.generation === generation);
    const owns = operations.some(({ id, saysLeftover }) => id === operationId && saysLeftover);
    if (maker === undefined || maker.id !== operationId || !["deploy", "restart"].includes(maker.kind)) {
      said.push(
        `Docker has container ${name} of generation ${generation} by ${operationId}, the control plane has no such deploy or restart`,
      );
    } else if (maker.kind === "deploy" && maker.state !== "succeeded" && !owns) {
      said.push(`Docker has container ${name}, the deploy that made it ended as ${maker.state}`);
    }
    if (generation > plane.generation) said.push(`container ${name} is newer than the service (${plane.generation})`);
    if (api?.state === "running" && state === "running" && restartPolicy !== "unless-stopped") {
      said.push(`it runs and is proven, and Docker would not bring it back (restart policy ${restartPolicy})`);
    }
    if (api?.state === "stopped" && !["no", "unless-stopped"].includes(restartPolicy)) {
      said.push(`it is stopped, and Docker would bring it back (restart policy ${restartPolicy})`);
    }
    if (journal !== undefined && address !== journal.address) {
      said.push(`Docker gives it the address ${address ?? "none"}, the journal ${journal.address ?? "none"}`);
    }
  }
  return said;
}

function ofVolumes({ volumes, operations }: ServiceFacts): string[] {
  const isSaid = operations.some(({ saysLeftover }) => saysLeftover);
  return volumes
    .filter((volume) => volume.journal !== "ready" && !isSaid)
    .map(({ name, journal }) =>
      journal === "unfinished"
        ? `Docker has volume ${name}, which never became ready, and no operation says so`
        : `Docker has volume ${name}, the journal has no record of it`,
    );
}

/** What is wanted, and what was once reached, as both sides remember it. */
function ofWishes({ plane, journal, operations, foreign }: ServiceFacts): string[] {
  const said = foreign.map((id) => `the journal has operation ${id}, the control plane never gave it`);
  if (plane.inOutbox > 0) said.push(`the control plane still has ${plane.inOutbox} command(s) of it to send`);
  if (journal === undefined) {
    if (plane.everDeployed) said.push("the control plane says that it was deployed once, the journal does not know it");
    return said;
  }
  if (journal.generation > plane.generation) {
    said.push(`the journal is at generation ${journal.generation}, the control plane at ${plane.generation}`);
  }
  if (journal.deleted !== plane.deleted) {
    said.push(`the control plane says ${plane.deleted ? "deleted" : "not deleted"}, the journal the opposite`);
  }
  if (plane.deleted) return said;
  if (journal.everDeployed !== plane.everDeployed) {
    said.push(`the control plane says ${plane.everDeployed ? "" : "never "}deployed, the journal the opposite`);
  }
  // One that ended before it began changed no wish: what was wanted before it is wanted again.
  const last = operations.findLast(({ plane }) => plane.started || !plane.ended || plane.state === "unknown");
  // A deploy or delete that came to nothing leaves the agent wanting what it wanted before.
  const isSettled = last?.plane.state === "succeeded" || (last?.kind !== "deploy" && last?.kind !== "delete");
  if (last?.journal !== undefined && isSettled && last.plane.errorCode !== "identity_mismatch") {
    if (journal.desired !== plane.desired) {
      said.push(`the control plane wants it ${plane.desired}, the journal ${journal.desired}`);
    }
  }
  return said;
}

/** "0-4, 6, 6-9": short enough for a sentence, exact enough to see the gap. */
function ranges(numbers: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const number of numbers) {
    const last = parts.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else parts.push([number, number]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
