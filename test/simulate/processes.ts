/** The two processes of a run, as often as they are started: the code is the product's, the world around it is not. */
import { pino } from "pino";
import { createAgent } from "../../agent/src/agent.ts";
import { loadSettings } from "../../agent/src/config.ts";
import type { Clock, Files } from "../../agent/src/deps.ts";
import { createFiles } from "../../agent/src/platform.ts";
import { type AgentsSide, createAgents } from "../../control-plane/src/agents/create-agents.ts";
import { FACTS } from "../../control-plane/src/agents/testing/fake-agent.ts";
import { createAccess } from "../../control-plane/src/auth/access.ts";
import { createDatabase, type Db } from "../../control-plane/src/db/database.ts";
import type { RoomDeps } from "../../control-plane/src/deps.ts";
import { createEventHub } from "../../control-plane/src/events/hub.ts";
import { createStreamLimit } from "../../control-plane/src/http/stream-limit.ts";
import type { Engine } from "./engine.ts";
import { createLife, Killed, type Life } from "./life.ts";
import type { Network } from "./network.ts";
import { EPOCH_MS, seededRandom } from "./seeded-random.ts";
import type { Template } from "./template.ts";
import type { World } from "./world.ts";

/** A machine's own idea of time: its wall clock may be set, its boots are counted. */
export interface MachineTime {
  wallMs: number;
  bootedAtMs: number;
  boots: number;
}

export const newMachineTime = (): MachineTime => ({ wallMs: EPOCH_MS, bootedAtMs: -60_000, boots: 1 });

export interface Stage {
  world: World;
  network: Network;
  engine: Engine;
  template: Template;
}

export interface ControlPlane {
  life: Life;
  rooms: RoomDeps;
  agents: AgentsSide;
  db: Db;
}

/** What a disk takes to have what was written; meanwhile the control plane goes on, or dies. */
const SYNC_MS = 2;

/** What a process needs of the network. */
export type StageOf<N extends keyof Network> = Omit<Stage, "network"> & { network: Pick<Network, N> };

export async function startControlPlane(
  stage: Omit<StageOf<"listener">, "engine">,
  time: MachineTime,
  database: string,
): Promise<ControlPlane> {
  const { world, template, network } = stage;
  const life = createLife(world, "control plane");
  const db = createDatabase(database, life.crashPoint, {
    sync: () => new Promise((done) => void life.after(SYNC_MS, done)),
    close: async () => undefined,
  });
  const { config, seals, signer, sessionSecret } = template;
  const deps = {
    ...{ config, seals, signer, sessionSecret, db },
    clock: { now: () => Math.round(time.wallMs + world.nowMs()), monotonicMs: () => world.nowMs() },
    timers: {
      after: life.after,
      every: (intervalMs: number, task: () => void) => {
        let cancel = () => {};
        const next = () => {
          cancel = life.after(intervalMs, () => {
            next();
            task();
          });
        };
        next();
        return () => cancel();
      },
    },
    random: seededRandom(world),
    hub: createEventHub("simulated"),
    log: pino({ level: "debug" }, { write: (line) => noteLog(world, life, JSON.parse(line)) }),
  };
  const agents = createAgents(deps);
  const rooms = {
    ...deps,
    agents,
    access: createAccess(deps),
    streams: createStreamLimit(),
    stopping: new AbortController().signal,
  };
  await agents.start();
  if (life.isAlive()) {
    network.listener = {
      life,
      accept: (wire) => agents.accept(wire, { hosts: [new URL(config.publicUrl).host], address: "127.0.0.1" }),
    };
  }
  return { life, rooms, agents, db };
}

export function startAgent(
  { world, template, network, engine }: StageOf<"dialFor">,
  time: MachineTime,
  dataDir: string,
): Life {
  const life = createLife(world, "agent");
  const { boots, bootedAtMs } = time;
  const clock: Clock = {
    wallMs: () => Math.round(time.wallMs + world.nowMs()),
    monotonicMs: () => Math.round(world.nowMs() - bootedAtMs),
    bootId: () => `boot-${boots}`,
    after: life.after,
  };
  const real = createFiles();
  // Neither routes nor owners are those of the machine that this runs on.
  const owners = new Map<string, { uid: number; gid: number }>();
  const files: Files = {
    ...real,
    readText: (path: string) => (path === "/proc/net/route" ? "" : real.readText(path)),
    giveTo: (path, uid, gid) => void owners.set(path, { uid, gid }),
    ownerOf: (path) => (real.ownerOf(path) === undefined ? undefined : (owners.get(path) ?? { uid: 0, gid: 0 })),
  };
  const random = seededRandom(world);
  const log = (level: string) => (fields: object, message: string) =>
    noteLog(world, life, { level, msg: message, ...fields });
  const config = { dataDir, settings: loadSettings(files, dataDir), enrolment: template.enrolment };
  const { dockerVersion: _version, dockerApiVersion: _api, agentVersion, ...facts } = FACTS;
  life.run("its start", () =>
    createAgent(config, {
      ...{ clock, random, files, key: template.key, agentVersion, crashPoint: life.crashPoint },
      docker: engine.for(life),
      dial: network.dialFor(life),
      host: { facts: () => facts, rssBytes: () => 1 },
      log: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
      process: { pid: 1, identityOf: () => `boot-${boots}` },
      die: () => {
        life.kill("its journal is damaged");
        throw new Killed("its journal is damaged");
      },
    }).start(),
  );
  return life;
}

/** What a process could only write into its log, as a bug of its own, would be seen by nobody. The dead write nothing. */
function noteLog(world: World, { name, isAlive }: Life, line: Record<string, unknown>): void {
  if (!isAlive()) return;
  const { msg, level: _level, time: _time, ...fields } = line;
  const text = `${name}: ${String(msg)} ${JSON.stringify(fields, stackless)}`;
  world.note(text);
  if (String(msg).includes("by a bug")) world.wrong(text);
}

const stackless = (_key: string, value: unknown) => (value instanceof Error ? value.message : value);
