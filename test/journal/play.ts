/** One round: a server with a history, its agent dies, its journal is damaged, the agent starts again, and all is judged. */
import { cpSync, renameSync } from "node:fs";
import { AppError, type OperationKind } from "@dflow/protocol";
import { startAction } from "../../control-plane/src/services/actions.ts";
import { createEngine } from "../simulate/engine.ts";
import { Killed, type Life } from "../simulate/life.ts";
import { createNetwork } from "../simulate/network.ts";
import { type ControlPlane, newMachineTime, type Stage, startAgent, startControlPlane } from "../simulate/processes.ts";
import type { Template } from "../simulate/template.ts";
import { createWorld } from "../simulate/world.ts";
import { createRandom, type Random } from "../support/random.ts";
import { type Damage, damage, damageOf } from "./damage.ts";
import { judgeRound, sightOf } from "./judge.ts";

export interface Round {
  seed: number;
  violations: readonly string[];
  trace: readonly string[];
}

/** Its services are deployed by then. */
const HISTORY_FROM_MS = 20_000;
const HISTORY_MS = 25_000;
/** To be back, to be asked for what it forgot, and to end it. */
const TRUE_WITHIN_MS = 150_000;
const RESTART_MS = 60_000;
/** A run that ends by damage begins again over a new journal, so one more start has to do. */
const STARTS_MAX = 3;
const ACTOR = { kind: "user", id: "simulated", name: "Simulated", address: "127.0.0.1" } as const;
const WISHED = ["restart", "restart", "stop", "check", "check", "check", "delete"] as const;

export async function playRound(template: Template, seed: number): Promise<Round> {
  const random = createRandom(seed ^ 0x10_c4a1);
  const world = createWorld(seed);
  const folder = template.copy();
  const engine = createEngine(world, template.enrolment.agentId, `${folder.agentDir}/services`);
  const network = createNetwork(world);
  const stage: Stage = { world, network, engine, template };
  const time = newMachineTime();
  const [before, earlier] = [`${folder.agentDir}.before`, `${folder.agentDir}.earlier`];
  let agent: Life | undefined;
  let controlPlane: ControlPlane | undefined;
  let starts = 0;

  const onRejection = (error: unknown) => {
    if (!(error instanceof Killed)) world.wrong(`nobody waited for: ${error instanceof Error ? error.stack : error}`);
  };
  process.on("unhandledRejection", onRejection);

  const act = async (kind: OperationKind, nth: number): Promise<void> => {
    const serviceId = template.serviceIds[nth] ?? "";
    if (controlPlane === undefined) return;
    try {
      const service = await controlPlane.db
        .selectFrom("service")
        .select("name")
        .where("id", "=", serviceId)
        .executeTakeFirst();
      await startAction(controlPlane.rooms, { serviceId, kind, role: "admin", actor: ACTOR, name: service?.name });
      world.note(`user: ${kind} ${nth}`);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      world.note(`user: ${kind} ${nth} refused: ${error.message}`);
    }
  };
  /** Whoever watches over the agent starts it again when it ends. */
  const boot = (): void => {
    starts += 1;
    if (starts > STARTS_MAX) return void world.wrong("the agent ends again and again");
    const life = startAgent(stage, time, folder.agentDir);
    agent = life;
    if (life.isAlive()) life.onDeath(() => void world.after(1_000, boot));
    else world.after(1_000, boot);
  };

  try {
    controlPlane = await startControlPlane(stage, newMachineTime(), folder.database);
    agent = startAgent(stage, time, folder.agentDir);
    template.serviceIds.forEach((_, nth) => {
      world.after(200 + nth * 100, () => void act("deploy", nth));
    });
    planHistory(stage, random, act, () => cpSync(folder.agentDir, earlier, { recursive: true }));
    await world.runUntil(HISTORY_FROM_MS + HISTORY_MS + random.between(0, 6_000));
    if (world.violations().length > 0) return { seed, violations: world.violations(), trace: world.trace() };

    agent.kill("its journal will be damaged");
    // The dead process still has them open: the next one finds copies, as after a reboot.
    renameSync(folder.agentDir, before);
    cpSync(before, folder.agentDir, { recursive: true });
    const planned = damageOf(random);
    const late = random.next() < 0.15 && mayStrikeLate(planned);
    const seen = await sightOf(stage, controlPlane);
    world.note(`> ${late ? "while it runs: " : ""}${JSON.stringify(planned)}`);
    const strike = () => damage(folder.agentDir, earlier, planned);
    if (late) world.after(random.between(100, 5_000), strike);
    else strike();
    network.heal();
    boot();
    await world.runUntil(world.nowMs() + TRUE_WITHIN_MS);
    await judgeRound(stage, controlPlane, seen);
    if (world.violations().length > 0) return { seed, violations: world.violations(), trace: world.trace() };

    // And it works: what is there can be restarted, which brings its record back.
    template.serviceIds.forEach((_, nth) => void act("restart", nth));
    await world.runUntil(world.nowMs() + RESTART_MS);
    await judgeRound(stage, controlPlane, { containers: [] });
    return { seed, violations: world.violations(), trace: world.trace() };
  } finally {
    starts = STARTS_MAX + 1;
    agent?.kill("the end");
    controlPlane?.life.kill("the end");
    await controlPlane?.db.destroy().catch(onRejection);
    process.off("unhandledRejection", onRejection);
    folder.remove();
  }
}

/** A disk spoils no rows; and the kernel kills a process whose index of the log is cut short, which is a kill like any other. */
const mayStrikeLate = (planned: Damage) =>
  planned.do !== "spoil row" &&
  !((planned.do === "truncate" || planned.do === "replace") && planned.file === "journal.db-shm");

/** Some wishes; often the link is gone before all of them are told; the last one may be in the middle at the end. */
function planHistory(
  { world, network, template }: Stage,
  random: Random,
  act: (kind: OperationKind, nth: number) => Promise<void>,
  copy: () => void,
): void {
  const wish = (atMs: number) => {
    const [kind, nth] = [random.pick(WISHED), random.between(0, template.serviceIds.length - 1)];
    world.after(atMs, () => void act(kind, nth));
  };
  for (let n = random.between(1, 6); n > 0; n -= 1) wish(HISTORY_FROM_MS + random.between(0, HISTORY_MS));
  if (random.next() < 0.6) wish(HISTORY_FROM_MS + HISTORY_MS - random.between(0, 500));
  world.after(random.between(3_000, HISTORY_FROM_MS + HISTORY_MS - 1), copy);
  if (random.next() < 0.4) {
    const cutAtMs = random.next() < 0.3 ? random.between(300, 8_000) : HISTORY_FROM_MS + random.between(0, HISTORY_MS);
    world.after(cutAtMs, () => {
      network.weather = { ...network.weather, blackHole: true };
    });
  }
}
