/** Both sides as a transcript needs them: the product's code, each with chance of its own, so that one can be had alone. */
import { rmSync } from "node:fs";
import { dataPaths } from "../../agent/src/config.ts";
import { cancelOperation } from "../../control-plane/src/operations/service.ts";
import { startAction } from "../../control-plane/src/services/actions.ts";
import { createEngine, IMAGE } from "../simulate/engine.ts";
import type { Life } from "../simulate/life.ts";
import type { Network } from "../simulate/network.ts";
import { type ControlPlane, newMachineTime, startAgent, startControlPlane } from "../simulate/processes.ts";
import type { Template } from "../simulate/template.ts";
import type { World } from "../simulate/world.ts";
import { createRandom } from "../support/random.ts";
import type { Step } from "./lines.ts";

const SEEDS = { agent: 1, engine: 2, "control plane": 3 } as const;
const ACTOR = { kind: "user", id: "recorder", name: "Recorder", address: "127.0.0.1" } as const;

const withChance = (world: World, who: keyof typeof SEEDS): World => ({ ...world, random: createRandom(SEEDS[who]) });

/** What a side does when it is told to; steps of the other side are none of its business. */
export interface ToldSide {
  perform(step: Step): Promise<void>;
  end(): Promise<void>;
}

export interface AgentSide extends ToldSide {
  dockerCalls(): readonly { verb: string; subject: string }[];
}

export function createAgentSide(
  world: World,
  template: Template,
  dataDir: string,
  network: Pick<Network, "dialFor">,
): AgentSide {
  const engine = createEngine(withChance(world, "engine"), template.enrolment.agentId, `${dataDir}/services`);
  const stamp = (second: number) => `2026-11-23T00:00:${String(second).padStart(2, "0")}.000000000Z`;
  engine.fake.addImage(IMAGE, {
    probesUntilReady: 2,
    says: [`${stamp(1)} starting`, `${stamp(2)} Bereit für Verbindungen`, `${stamp(2)} ready for connections`],
  });
  const stage = { world: withChance(world, "agent"), template, network, engine };
  const time = newMachineTime();
  const paths = dataPaths(dataDir);
  let life: Life | undefined;
  const end = () => life?.kill("the transcript says so");
  return {
    async perform(step) {
      switch (step.do) {
        case "start agent":
          life = startAgent(stage, time, dataDir);
          return;
        case "kill agent":
          return end();
        case "forget journal":
          for (const tail of ["", "-wal", "-shm"]) rmSync(`${paths.journal}${tail}`, { force: true });
          return;
        case "restore old epoch":
          // There was none.
          rmSync(paths.epoch);
          return;
        case "end container":
          engine.endOne();
      }
    },
    end: async () => end(),
    dockerCalls: () => engine.fake.calls,
  };
}

export interface ControlPlaneSide extends ToldSide, ControlPlane {}

export async function createControlPlaneSide(
  world: World,
  template: Template,
  database: string,
  network: Pick<Network, "listener">,
): Promise<ControlPlaneSide> {
  const stage = { world: withChance(world, "control plane"), template, network };
  const started = await startControlPlane(stage, newMachineTime(), database);
  const { rooms, db } = started;
  const readers: { close(): void }[] = [];
  const serverId = template.enrolment.agentId;
  return {
    ...started,
    async perform(step) {
      if (step.do === "leave log") for (const reader of readers.splice(0)) reader.close();
      if (step.do === "stop control plane") await started.agents.stop();
      if (step.do === "remove server") rooms.agents.disconnect(serverId);
      if (!("service" in step)) return;
      const serviceId = template.serviceIds[step.service] ?? "";
      if (step.do === "read log") {
        readers.push(rooms.agents.openLog(serverId, { serviceId, follow: step.follow, tail: 100 }, SILENT));
      } else if (step.do === "cancel") {
        const open = await db
          .selectFrom("operation")
          .select("id")
          .where("service_id", "=", serviceId)
          .where("ended_at", "is", null)
          .executeTakeFirstOrThrow();
        await cancelOperation(rooms, open.id, ACTOR);
      } else {
        const { name } = await db
          .selectFrom("service")
          .select("name")
          .where("id", "=", serviceId)
          .executeTakeFirstOrThrow();
        await startAction(rooms, { serviceId, kind: step.do, role: "admin", actor: ACTOR, name });
      }
    },
    async end() {
      started.life.kill("the transcript is over");
      await db.destroy();
    },
  };
}

const SILENT = { onLine: () => undefined, onGap: () => undefined, onEnd: () => undefined };
