/** Wires the rooms of the agent: link, journal, runner, observer, log streams. */
import { type AgentFacts, type CrashPoint, isAppError, messageOf } from "@dflow/protocol";
import { type Config, dataPaths } from "./config.ts";
import { dockerWithCrashPoints, filesWithCrashPoints } from "./crash-points.ts";
import type { Clock, Files, Host, Log, Random } from "./deps.ts";
import type { Docker } from "./docker/docker.ts";
import { ENGINE_FILES } from "./engines/all.ts";
import { createImageSweep } from "./images/sweep.ts";
import { createJournal } from "./journal/journal.ts";
import { createConnection } from "./link/connection.ts";
import { createDelivery } from "./link/delivery.ts";
import { createDispatch } from "./link/dispatch.ts";
import { createEpochs } from "./link/epochs.ts";
import { createHandshake } from "./link/handshake.ts";
import { type ThisProcess, writeLinkState } from "./link/link-state.ts";
import type { AgentKey } from "./link/signing.ts";
import type { Dial } from "./link/socket.ts";
import { createLogStreams } from "./logs/log-streams.ts";
import { createObserver } from "./observe/observer.ts";
import { createEnvironments } from "./services/environments.ts";
import { createOnceIntents } from "./services/once-intents.ts";
import { rebuildServices } from "./services/rebuild.ts";
import { reconcile } from "./services/reconcile.ts";
import { sweepJobs } from "./services/run-job.ts";
import type { OperationDeps } from "./services/run-operation.ts";
import { createRunner } from "./services/runner.ts";
import { describeMs, within } from "./waiting.ts";

export interface AgentDeps {
  clock: Clock;
  random: Random;
  files: Files;
  host: Host;
  log: Log;
  docker: Docker;
  dial: Dial;
  key: AgentKey;
  agentVersion: string;
  process: ThisProcess;
  /** Ends this process at once, as a kill does; whoever watches over it starts it again. */
  die(): void;
  /** Only under a test that kills this process (crash-points.ts). */
  crashPoint?: CrashPoint | undefined;
}

export interface Agent {
  start(): void;
  /** Databases keep running; operations go on at the next start. */
  stop(): Promise<void>;
}

const FACTS_WAIT_MS = 150;
const STOP_MS = 10_000;
const COMPACT_EVERY_MS = 86_400_000;
const DOCKER_PATIENCE_MS = 30_000;

export function createAgent(config: Config, deps: AgentDeps): Agent {
  const { clock, random, host, log, docker, dial, key, agentVersion, crashPoint } = deps;
  const files = crashPoint === undefined ? deps.files : filesWithCrashPoints(deps.files, crashPoint);
  const { settings, enrolment, dataDir } = config;
  const { agentId } = enrolment;
  const paths = dataPaths(dataDir);
  const journal = createJournal({ clock, files, log, crashPoint, onDamage: deps.die }, paths.journal);
  let cancelCompact = () => {};
  let cancelReconcile = () => {};
  const sweeping = new AbortController();
  let sessions = 0;
  let stopped = false;

  const onceIntents = createOnceIntents(files, paths.onceIntents);
  // What only looks may die at any time; what acts has its places.
  const actingDocker = crashPoint === undefined ? docker : dockerWithCrashPoints(docker, clock, crashPoint);
  const operationDeps: OperationDeps = {
    clock,
    docker: actingDocker,
    files,
    journal,
    log,
    agentId,
    onceIntents,
    engines: ENGINE_FILES,
    environments: createEnvironments({
      docker: actingDocker,
      files,
      journal,
      agentId,
      networkRange: settings.networkRange,
    }),
    servicesDir: paths.services,
    readyTimeoutMs: settings.readyTimeoutMs,
    pullTimeoutMs: settings.pullTimeoutMs,
    ...(settings.stopGraceMs === undefined ? {} : { stopGraceMs: settings.stopGraceMs }),
  };

  const runner = createRunner(
    operationDeps,
    { concurrency: settings.concurrency, dockerPatienceMs: DOCKER_PATIENCE_MS },
    {
      linesStored: (id) => delivery.linesStored(id),
      // The state that came of it first: a stopped database must not be shown as running for a moment.
      finished: (id) =>
        void observer.lookNow().then(() => {
          if (!stopped) delivery.finished(id);
        }),
    },
  );

  const observer = createObserver(
    { clock, docker, journal, log },
    { agentId, observeMs: settings.observeMs },
    {
      changed: (services) => connection.send({ type: "state", data: { full: false, services } }),
      seen: (containers) => {
        rebuildServices({ journal, log }, containers);
        streams.seen(containers);
      },
      dockerAnswers: () => {
        cancelReconcile();
        cancelReconcile = reconcile(operationDeps, runner);
        void sweepJobs(operationDeps, sweeping.signal);
      },
    },
  );

  const streams = createLogStreams({ clock, docker, log }, agentId, {
    send: (frame, signal) => connection.sendBulk(frame, signal),
    closed: (close) => void connection.send({ type: "log_close", data: close }),
  });

  const delivery = createDelivery({
    clock,
    journal,
    send: (frame) => connection.send(frame),
    stepOf: (operationId) => runner.running().find((one) => one.operationId === operationId)?.step,
  });

  const imageSweep = createImageSweep({ clock, docker, journal, log });

  const dispatch = createDispatch({
    receive: { clock, files, journal, log, engines: ENGINE_FILES, agentId, servicesDir: paths.services, onceIntents },
    runner,
    delivery,
    streams,
    log,
    send: (frame) => connection.send(frame),
  });

  const dockerVersion = once(() => docker.version());
  const facts = async (): Promise<AgentFacts> => {
    // The connection waits for this, so Docker has a moment to say its version and no more.
    const version = await within(clock, FACTS_WAIT_MS, "ask Docker for its version", () => dockerVersion()).catch(
      (error) => {
        log.debug({ reason: messageOf(error) }, "connecting without Docker's version");
        return undefined;
      },
    );
    return {
      ...host.facts(),
      dockerVersion: version?.version ?? null,
      dockerApiVersion: version?.apiVersion ?? null,
      agentVersion,
    };
  };

  const noteLink = (online: boolean) => {
    try {
      writeLinkState(files, paths.link, deps.process, online, clock.wallMs());
    } catch (error) {
      // A full disk does not end the link; it must not leave an old word standing either.
      files.remove(paths.link);
      log.warn({ reason: messageOf(error) }, "the link's state could not be written");
    }
  };

  const onReady = async () => {
    noteLink(true);
    const session = ++sessions;
    // A full state from before the first look would say of every service that it is not here.
    await observer.firstLook;
    if (session !== sessions) return;
    connection.send({ type: "state", data: { full: true, services: observer.report() } });
    delivery.begin();
  };

  const epochs = createEpochs({ files, log, path: paths.epoch, kid: key.kid, expendable: paths.link });
  const connection = createConnection(
    {
      ...{ clock, random, log, dial, stableMs: settings.linkStableMs },
      handshake: createHandshake({ key, random, enrolment, epochs, facts }),
    },
    {
      ready: () => void onReady(),
      frame: (frame) => dispatch.frame(frame),
      unsupported: (frame) => dispatch.unsupported(frame),
      lost: () => {
        noteLink(false);
        streams.closeAll();
      },
      heartbeat: () => ({
        type: "heartbeat",
        data: { ...observer.health(), running: runner.running(), streams: streams.count(), rssBytes: host.rssBytes() },
      }),
    },
  );

  const compact = () => {
    try {
      journal.compact();
      onceIntents.sweep();
    } catch (error) {
      // A server whose disk is full needs its agent most.
      if (!isAppError(error) || error.code !== "disk_full") throw error;
      log.warn({ err: error }, "the journal cannot be compacted now");
    }
    cancelCompact = clock.after(COMPACT_EVERY_MS, compact);
  };

  return {
    start() {
      log.info({ agentId, server: enrolment.serverName, dataDir }, "agent starts");
      noteLink(false);
      compact();
      void dockerVersion().catch((error) => log.debug({ reason: messageOf(error) }, "Docker's version is not known"));
      observer.start();
      runner.resume();
      imageSweep.start();
      connection.start();
    },
    async stop() {
      stopped = true;
      cancelCompact();
      cancelReconcile();
      sweeping.abort(new Error("the agent stops"));
      imageSweep.stop();
      connection.stop();
      streams.closeAll();
      observer.stop();
      await within(clock, STOP_MS, "end the operations", () => runner.stop()).catch((error) =>
        log.warn({ reason: messageOf(error) }, `operations did not end within ${describeMs(STOP_MS)}`),
      );
      journal.close();
      log.info({}, "agent stopped; databases keep running");
    },
  };
}

/** The first success is kept; a failure is asked again. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask().catch((error) => {
      answer = undefined;
      throw error;
    });
    return answer;
  };
}
