/** One run: what is planned happens, then all is healed, and within a minute everything has to be true. */
import { AppError, type OperationKind } from "@dflow/protocol";
import { cancelOperation } from "../../control-plane/src/operations/service.ts";
import { startAction } from "../../control-plane/src/services/actions.ts";
import { createEngine } from "./engine.ts";
import { judgeEnd } from "./judge.ts";
import { Killed, type Life } from "./life.ts";
import { createNetwork, FAIR } from "./network.ts";
import { type ControlPlane, newMachineTime, type Stage, startAgent, startControlPlane } from "./processes.ts";
import { LONGEST_MS, type Planned, scheduleOf, TROUBLE_MS } from "./schedule.ts";
import { EPOCH_MS } from "./seeded-random.ts";
import type { Template } from "./template.ts";
import { createWorld } from "./world.ts";

export interface SeedRun {
  seed: number;
  violations: readonly string[];
  trace: readonly string[];
}

/** After the last trouble: a half-open socket has to be noticed, and a process to come back. */
const BACK_ONLINE_MS = 100_000;
/** From the welcome on. */
const TRUE_WITHIN_MS = 60_000;
/** Where the place that was meant to be the last one is not passed, the process dies all the same. */
const PLACE_PATIENCE_MS = 5_000;
const ACTOR = { kind: "user", id: "simulated", name: "Simulated", address: "127.0.0.1" } as const;

export async function runSeed(template: Template, seed: number): Promise<SeedRun> {
  const world = createWorld(seed);
  const folder = template.copy();
  const engine = createEngine(world, template.enrolment.agentId, `${folder.agentDir}/services`);
  const network = createNetwork(world);
  const stage: Stage = { world, network, engine, template };
  const times = { agent: newMachineTime(), "control plane": newMachineTime() };
  const alive: { agent?: Life; controlPlane?: ControlPlane } = {};
  const readers: { close(): void }[] = [];
  let over = false;

  const onRejection = (error: unknown) => {
    if (!(error instanceof Killed)) world.wrong(`nobody waited for: ${error instanceof Error ? error.stack : error}`);
  };
  process.on("unhandledRejection", onRejection);

  const bootAgent = () => {
    const life = startAgent(stage, times.agent, folder.agentDir);
    alive.agent = life;
    // A kill in its very first steps: whoever watches over it starts it again.
    if (!life.isAlive()) world.after(1_000, bootAgent);
  };
  const bootControlPlane = async (): Promise<void> => {
    const started = await startControlPlane(stage, times["control plane"], folder.database).catch((error: unknown) => {
      if (!(error instanceof Killed)) world.wrong(`the control plane does not start: ${String(error)}`);
      return undefined;
    });
    if (started === undefined) world.after(1_000, () => void bootControlPlane());
    else alive.controlPlane = started;
  };
  /** Once a life: whatever else is to kill it, it is started again by the first. */
  const doomed = new WeakSet<Life>();
  const restarts = (life: Life | undefined, downMs: number, boot: () => void) => {
    if (life?.isAlive() !== true || doomed.has(life)) return false;
    doomed.add(life);
    life.onDeath(() => void world.after(downMs, boot));
    return true;
  };
  const endControlPlane = (): void => {
    const ended = alive.controlPlane;
    delete alive.controlPlane;
    network.listener = undefined;
    void ended?.db.destroy().catch(onRejection);
  };

  const act = async (kind: OperationKind | "cancel" | "read log", nth: number): Promise<void> => {
    const controlPlane = alive.controlPlane;
    const serviceId = template.serviceIds[nth] ?? "";
    if (controlPlane === undefined) return;
    const { rooms, db } = controlPlane;
    try {
      if (kind === "read log") {
        readers.push(rooms.agents.openLog(template.enrolment.agentId, LOG(serviceId), SILENT));
      } else if (kind === "cancel") {
        const open = await db
          .selectFrom("operation")
          .select("id")
          .where("service_id", "=", serviceId)
          .where("ended_at", "is", null)
          .executeTakeFirst();
        if (open !== undefined) await cancelOperation(rooms, open.id, ACTOR);
      } else {
        const service = await db.selectFrom("service").select("name").where("id", "=", serviceId).executeTakeFirst();
        const { id } = await startAction(rooms, { serviceId, kind, role: "admin", actor: ACTOR, name: service?.name });
        world.note(`user: ${kind} ${serviceId} is ${id}`);
      }
    } catch (error) {
      if (!(error instanceof AppError) && !(error instanceof Killed)) throw error;
      world.note(`user: ${kind} ${serviceId} refused: ${error.message}`);
    }
  };

  const happen = (planned: Planned): void => {
    world.note(`> ${JSON.stringify(planned)}`);
    switch (planned.do) {
      case "kill agent": {
        const life = alive.agent;
        if (!restarts(life, planned.downMs, bootAgent)) return;
        life?.dieAtPlace(planned.afterPlaces);
        world.after(PLACE_PATIENCE_MS, () => life?.kill("at no place"));
        return;
      }
      case "kill control plane": {
        const life = alive.controlPlane?.life;
        if (!restarts(life, planned.downMs, () => void bootControlPlane())) return;
        life?.onDeath(endControlPlane);
        life?.dieAtPlace(planned.afterPlaces);
        world.after(PLACE_PATIENCE_MS, () => life?.kill("at no place"));
        return;
      }
      case "reboot":
        if (!restarts(alive.agent, planned.downMs + 1_000, bootAgent)) return;
        times.agent.boots += 1;
        times.agent.bootedAtMs = world.nowMs();
        alive.agent?.kill("reboot");
        engine.reboot(planned.downMs);
        return;
      case "cut":
        network.cut(planned.heard);
        return;
      case "black hole":
        network.weather = { ...network.weather, blackHole: true };
        world.after(planned.forMs, network.heal);
        return;
      case "weather": {
        const { slowMs, lost, repeated, forMs } = planned;
        network.weather = { ...FAIR, delayMs: [1, slowMs], lost, repeated };
        world.after(forMs, network.heal);
        return;
      }
      case "set clock":
        times[planned.of].wallMs += planned.byMs;
        return;
      case "Docker away":
        engine.away(planned.forMs, planned.hangs);
        return;
      case "container ends":
        engine.endOne();
        return;
      case "job removed":
        engine.removeJob();
        return;
      case "stop reading":
        for (const reader of readers) reader.close();
        return;
      default:
        void act(planned.do, planned.service);
    }
  };

  try {
    await bootControlPlane();
    bootAgent();
    for (const planned of scheduleOf(seed, template.serviceIds.length)) {
      world.after(planned.atMs, () => {
        if (!over) happen(planned);
      });
    }
    await world.runUntil(TROUBLE_MS + world.random.between(0, LONGEST_MS));
    over = true;
    network.heal();
    engine.heal();
    const isOnline = () => alive.controlPlane?.agents.link(template.enrolment.agentId).state === "online";
    const isBack = await world.runUntilSo(world.nowMs() + BACK_ONLINE_MS, isOnline);
    if (world.violations().length === 0 && !isBack) world.wrong("the link did not come back");
    await world.runUntil(world.nowMs() + TRUE_WITHIN_MS);
    if (world.violations().length === 0 && alive.controlPlane !== undefined) {
      // By a clock that was set forward something has waited long enough; an agent asks its own only across boots.
      const clockWasSet = Object.values(times).some(({ wallMs }) => wallMs > EPOCH_MS);
      await judgeEnd(stage, alive.controlPlane, clockWasSet);
    }
    return { seed, violations: world.violations(), trace: world.trace() };
  } finally {
    over = true;
    alive.agent?.kill("the end");
    alive.controlPlane?.life.kill("the end");
    await alive.controlPlane?.db.destroy().catch(onRejection);
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

const LOG = (serviceId: string) => ({ serviceId, follow: true, tail: null });
const SILENT = { onLine: () => undefined, onGap: () => undefined, onEnd: () => undefined };
