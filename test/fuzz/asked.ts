/** Which work was asked for rightly in a run against the agent, and whether Docker was asked for no other. */
import type { ServiceSpec } from "@dflow/protocol";
import { LABEL } from "../../agent/src/services/naming.ts";
import type { Engine } from "../simulate/engine.ts";
import type { World } from "../simulate/world.ts";
import type { Random } from "../support/random.ts";
import type { Frame } from "../transcripts/lines.ts";
import { someId } from "./fuzz-run.ts";

interface Taken {
  kind: string;
  operationId: string;
  serviceId: string;
  generation: number;
  deleteData?: boolean;
  spec?: ServiceSpec;
}

export function createAsked(world: World, engine: Engine) {
  const commands: Taken[] = [];
  const generations = new Map<string, number>();
  const ready = new Set<string>();
  const { fake } = engine;
  const FOREIGN = "somebody-elses-database";

  return {
    /** Notes which volumes hold a database by now. */
    watch() {
      for (const { name, identity } of fake.volumes.values()) if (identity !== undefined) ready.add(name);
    },
    take(type: string, data: unknown) {
      if (type !== "command") return;
      const command = data as Taken;
      commands.push(command);
      const { serviceId, generation } = command;
      generations.set(serviceId, Math.max(generations.get(serviceId) ?? 0, generation));
    },
    /** With ids and generations that mean something now. */
    live(frame: Frame, random: Random): Frame {
      const data = structuredClone(frame.data) as Record<string, unknown>;
      const known = commands.at(-random.between(1, 8))?.operationId;
      if (frame.type !== "command") {
        if ("operationId" in data && known !== undefined && random.next() < 0.8) data.operationId = known;
        return { ...frame, data };
      }
      const serviceId = String(data.serviceId);
      if (random.next() < 0.9) data.operationId = random.next() < 0.1 && known !== undefined ? known : someId(random);
      if (random.next() < 0.9) data.generation = (generations.get(serviceId) ?? 0) + random.between(0, 2);
      return { ...frame, data };
    },
    addForeign() {
      const id = "f".repeat(64);
      fake.containers.set(id, {
        ...{ id, name: FOREIGN, labels: {}, state: "running", health: "none", imageId: "sha256:foreign" },
        ...{ exitCode: 0, oomKilled: false, restartCount: 0, startedAt: "2026-11-23T00:00:00.000000000Z" },
        ...{
          networks: [],
          spec: { volumes: [{ name: FOREIGN }] } as never,
          policy: "unless-stopped",
          probes: 0,
          lines: [],
        },
        starts: 1,
      });
      fake.volumes.set(FOREIGN, { name: FOREIGN, labels: {}, identity: "foreign", halfMade: false });
    },
    judge() {
      const foreign = fake.containers.get("f".repeat(64));
      if (foreign?.state !== "running" || foreign.starts !== 1) world.wrong("somebody else's container was touched");
      if (!fake.volumes.has(FOREIGN)) world.wrong("somebody else's volume was removed");
      const made = new Set(commands.map(({ operationId }) => operationId));
      for (const { labels, name } of fake.containers.values()) {
        if (name !== FOREIGN && !made.has(labels[LABEL.operation] ?? "")) world.wrong(`nobody asked for ${name}`);
      }
      const subjects = new Set(commands.flatMap(({ serviceId, spec }) => [serviceId, spec?.serviceId]));
      const named = (subject: string) => [...subjects].some((id) => id !== undefined && subject.includes(id));
      for (const { verb, subject } of fake.calls) {
        if (verb === "createContainer" && !named(subject)) world.wrong(`nobody asked for ${verb} of ${subject}`);
        if ((verb === "removeVolume" || verb === "createVolume") && !volumes().has(subject)) {
          world.wrong(`nobody asked for ${verb} of ${subject}`);
        }
      }
      // Data goes only with a delete that says so, or with the failure of the deploy that made it.
      const deleted = new Set(
        commands.filter(({ deleteData }) => deleteData === true).map(({ serviceId }) => serviceId),
      );
      for (const { serviceId, spec } of commands) {
        const volume = spec === undefined ? undefined : `dflow-vol-${spec.volumeId}`;
        if (volume === undefined || deleted.has(serviceId) || !ready.has(volume)) continue;
        if (!fake.volumes.has(volume)) world.wrong(`the data of ${serviceId} is gone, and nobody asked for that`);
      }
    },
  };

  function volumes(): Set<string> {
    return new Set(commands.flatMap(({ spec }) => (spec === undefined ? [] : [`dflow-vol-${spec.volumeId}`])));
  }
}
