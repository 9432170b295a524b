/** Watches Docker: its events at once, a complete look every few seconds, and reports what changed. */
import type { Readable } from "node:stream";
import { messageOf, type Observation, type StateReport } from "@dflow/protocol";
import type { Clock, Log } from "../deps.ts";
import type { ContainerEvent, Docker, FoundContainer, ListedContainer } from "../docker/docker.ts";
import type { Journal } from "../journal/journal.ts";
import { agentLabel, generationOf, isJob, LABEL, serviceOf } from "../services/naming.ts";
import { within } from "../waiting.ts";
import { observationOf, unknownObservation } from "./observation.ts";

export type StateEntry = StateReport["services"][number];

export interface ObserverEvents {
  /** After a look that saw something new. */
  changed(services: StateEntry[]): void;
  /** After every complete look: the newest container of each service. */
  seen(containers: ReadonlyMap<string, FoundContainer>): void;
  /** Docker answers: for the first time, or again. */
  dockerAnswers(): void;
}

export interface Observer {
  start(): void;
  stop(): void;
  /** Resolves when the first look is over, whether Docker answered or not. */
  readonly firstLook: Promise<void>;
  /** Resolves after a look that began after this call, or when that is not to be had in a second. */
  lookNow(): Promise<void>;
  /** Every service this agent knows, as last seen. */
  report(): StateEntry[];
  health(): { observedAgeMs: number | null; dockerOk: boolean };
}

export interface ObserverDeps {
  clock: Clock;
  docker: Docker;
  journal: Pick<Journal, "services" | "volumes">;
  log: Log;
}

const DEBOUNCE_MS = 100;
const EVENTS_RETRY_MS = 2_000;
const LOOK_NOW_MS = 1_000;
/** Every question has its own deadline; this is for all of them together, and for a client that forgets one. */
const LOOK_MAX_MS = 60_000;

interface Seen {
  generation: number;
  observation: Observation;
}

export function createObserver(
  deps: ObserverDeps,
  options: { agentId: string; observeMs: number },
  events: ObserverEvents,
): Observer {
  const { clock, docker, journal, log } = deps;
  const { agentId, observeMs } = options;
  const known = new Map<string, { listed: string; found: FoundContainer }>();
  let last = new Map<string, Seen>();
  let lookedAtMs: number | undefined;
  let dockerOk: boolean | undefined;
  /** Docker ended the stream of events, as it does when it ends itself; no look need have noticed. */
  let wasAway = false;
  let looking = false;
  let lookAgain = false;
  /** Of the look that begins next. */
  const askers: (() => void)[] = [];
  let stopped = false;
  let nextAtMs: number | undefined;
  let cancelNext = () => {};
  let cancelRetry = () => {};
  let eventStream: Readable | undefined;
  let firstLookOver = () => {};
  const firstLook = new Promise<void>((resolve) => {
    firstLookOver = resolve;
  });

  /** The earliest request counts, so that a storm of events cannot put a look off for ever. */
  const schedule = (delayMs: number) => {
    const atMs = clock.monotonicMs() + delayMs;
    if (stopped || (nextAtMs !== undefined && nextAtMs <= atMs)) return;
    cancelNext();
    nextAtMs = atMs;
    cancelNext = clock.after(delayMs, () => void look());
  };

  const look = async () => {
    cancelNext();
    nextAtMs = undefined;
    if (looking) {
      lookAgain = true;
      return;
    }
    looking = true;
    lookAgain = false;
    const asked = askers.splice(0);
    const beganMs = clock.monotonicMs();
    try {
      const { containers, volumes, openNetworks } = await within(clock, LOOK_MAX_MS, "look at Docker", seeAll);
      if (stopped) return;
      // A thing seen during the look may have changed since it began, so the look is as old as its beginning.
      lookedAtMs = beganMs;
      const returned = dockerOk !== true;
      const appeared = returned || wasAway;
      dockerOk = true;
      wasAway = false;
      adopt(observeServices(containers, volumes, openNetworks));
      events.seen(containers);
      if (appeared) {
        log.info({}, "Docker answers");
        // Where only the stream has ended, the next one is on its way: opened here it could end and open without a pause.
        if (returned) void watchEvents();
        events.dockerAnswers();
      }
    } catch (error) {
      if (stopped) return;
      if (dockerOk !== false) log.warn({ reason: messageOf(error) }, "Docker does not answer");
      dockerOk = false;
      known.clear();
      adopt(unknownServices(`Docker does not answer: ${messageOf(error)}`));
    } finally {
      looking = false;
      firstLookOver();
      for (const resolve of asked) resolve();
      if (askers.length > 0) schedule(0);
      schedule(lookAgain ? DEBOUNCE_MS : observeMs);
    }
  };

  const seeAll = async (signal: AbortSignal) => {
    const [listed, volumes, networks] = await Promise.all([
      docker.listContainers(agentLabel(agentId), signal),
      docker.listVolumes(agentLabel(agentId), signal),
      docker.listNetworks(signal),
    ]);
    // A job works for a service and is not it.
    const own = listed.filter((one) => !isJob(one));
    const found = await Promise.all(own.map(inspectWhenChanged));
    const ids = new Set(own.map(({ id }) => id));
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    const containers = new Map<string, FoundContainer>();
    for (const container of found) {
      const serviceId = container === undefined ? undefined : serviceOf(container.labels);
      if (container === undefined || serviceId === undefined) continue;
      const other = containers.get(serviceId);
      if (other === undefined || generationOf(other.labels) < generationOf(container.labels)) {
        containers.set(serviceId, container);
      }
    }
    const openNetworks = new Set(networks.filter(({ internal }) => !internal).map(({ id }) => id));
    return { containers, volumes, openNetworks };
  };

  /** Inspecting every container at every look would be most of the agent's work; the list shows whether it changed. */
  const inspectWhenChanged = async (container: ListedContainer) => {
    const listed = `${container.state} ${container.health}`;
    const before = known.get(container.id);
    if (before?.listed === listed) return before.found;
    const found = await docker.findContainer(container.id);
    if (found !== undefined) known.set(container.id, { listed: `${found.state} ${found.health}`, found });
    return found;
  };

  const unknownServices = (evidence: string) => {
    const records = journal.services.all().filter(({ deleted }) => !deleted);
    const generations = new Map(records.map(({ serviceId, generation }) => [serviceId, generation]));
    for (const [serviceId, { generation }] of last) generations.set(serviceId, generation);
    const observation = unknownObservation(evidence);
    return new Map([...generations].map(([serviceId, generation]) => [serviceId, { generation, observation }]));
  };

  const observeServices = (
    containers: ReadonlyMap<string, FoundContainer>,
    volumes: { name: string; labels: Record<string, string> }[],
    openNetworks: ReadonlySet<string>,
  ) => {
    const present = new Map<string, string[]>();
    for (const { name, labels } of volumes) {
      const id = serviceOf(labels);
      if (id !== undefined) present.set(id, [...(present.get(id) ?? []), name]);
    }
    const next = new Map<string, Seen>();
    const records = new Map(journal.services.all().map((record) => [record.serviceId, record]));
    for (const id of new Set([...records.keys(), ...containers.keys(), ...present.keys()])) {
      const record = records.get(id);
      const container = containers.get(id);
      const names = present.get(id) ?? [];
      // Not a service any more, even where its data was kept.
      if (record?.deleted === true && container === undefined) continue;
      const holdsData = names.some((name) => {
        const volume = journal.volumes.get(name);
        return volume === undefined || volume.ready !== undefined;
      });
      next.set(id, {
        generation: container === undefined ? (record?.generation ?? 0) : generationOf(container.labels),
        observation: observationOf({
          container,
          volumePresent: names.length > 0,
          shouldExist: record?.everDeployed === true || holdsData,
          openNetworks,
        }),
      });
    }
    return next;
  };

  const adopt = (next: Map<string, Seen>) => {
    const gone = [...last].filter(([id]) => !next.has(id));
    const entries = [...next]
      .filter(([id, seen]) => JSON.stringify(seen) !== JSON.stringify(last.get(id)))
      .map(([serviceId, seen]) => entryOf(serviceId, seen));
    const goneEntries = gone.map(([serviceId, { generation }]) =>
      entryOf(serviceId, {
        generation,
        observation: { state: "not_deployed", evidence: "deleted from this server", volume: "unknown" },
      }),
    );
    last = next;
    if (entries.length + goneEntries.length > 0) events.changed([...entries, ...goneEntries]);
  };

  const entryOf = (serviceId: string, { generation, observation }: Seen): StateEntry => ({
    serviceId,
    generation,
    observation,
    ageMs: lookedAtMs === undefined ? 0 : clock.monotonicMs() - lookedAtMs,
  });

  const onEvent = ({ type, id, labels }: ContainerEvent) => {
    if (type === "container" && labels[LABEL.agent] !== agentId) return;
    // A container that joins or leaves a network is named by the network's event only.
    const about = labels.container ?? id;
    if (type !== "container" && !known.has(about) && !/^dflow-/.test(labels.name ?? id)) return;
    known.delete(about);
    if (looking) lookAgain = true;
    else schedule(DEBOUNCE_MS);
  };

  const watchEvents = async () => {
    cancelRetry();
    // Let go of first: its end must not be taken for the end of the one that is opened now.
    const before = eventStream;
    eventStream = undefined;
    before?.destroy();
    try {
      const stream = await docker.openEvents(onEvent);
      if (stopped || eventStream !== undefined) return void stream.destroy();
      eventStream = stream;
      stream.on("error", () => undefined);
      stream.on("close", () => {
        if (eventStream !== stream) return;
        wasAway = true;
        watchEventsLater();
      });
      // What happened while nobody watched.
      known.clear();
      schedule(0);
    } catch (error) {
      // The next look says whether Docker answers, and says it once.
      log.debug({ reason: messageOf(error) }, "Docker's events cannot be watched");
      watchEventsLater();
    }
  };

  const watchEventsLater = () => {
    eventStream = undefined;
    if (stopped) return;
    cancelRetry();
    schedule(0);
    cancelRetry = clock.after(EVENTS_RETRY_MS, () => {
      if (dockerOk === true) void watchEvents();
    });
  };

  return {
    firstLook,
    start: () => void look(),
    stop() {
      stopped = true;
      cancelNext();
      cancelRetry();
      const stream = eventStream;
      eventStream = undefined;
      stream?.destroy();
    },
    lookNow: () =>
      new Promise((resolve) => {
        const cancel = clock.after(LOOK_NOW_MS, resolve);
        askers.push(() => {
          cancel();
          resolve();
        });
        if (!looking) schedule(0);
      }),
    report: () => [...last].map(([serviceId, seen]) => entryOf(serviceId, seen)),
    health: () => ({
      observedAgeMs: lookedAtMs === undefined ? null : clock.monotonicMs() - lookedAtMs,
      dockerOk: dockerOk === true,
    }),
  };
}
