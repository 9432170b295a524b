/** What has to hold after a journal was damaged: nothing that ran was touched, every operation has ended, states are true. */
import { isTerminal } from "@dflow/protocol";
import { isJob, LABEL } from "../../agent/src/services/naming.ts";
import { judgeEnd } from "../simulate/judge.ts";
import type { ControlPlane, Stage } from "../simulate/processes.ts";

/** What nobody had asked to change when the agent was started again. */
export interface Sight {
  containers: { id: string; name: string; startedAt: string }[];
}

/** Containers that run, but those of services with an operation that may still act on them. */
export async function sightOf({ engine }: Stage, { db }: ControlPlane): Promise<Sight> {
  const operations = await db.selectFrom("operation").select(["service_id", "kind", "state"]).execute();
  const acting = operations.filter(({ kind, state }) => kind !== "check" && !isTerminal(state));
  const containers = [...engine.fake.containers.values()].filter((container) => {
    if (isJob(container) || container.state !== "running") return false;
    const open = acting.filter(({ service_id }) => service_id === container.labels[LABEL.service]);
    // A deploy that has proven its database has nothing more to do to it.
    return open.every(({ kind }) => kind === "deploy" && container.policy === "unless-stopped");
  });
  return { containers: containers.map(({ id, name, startedAt }) => ({ id, name, startedAt })) };
}

export async function judgeRound(stage: Stage, controlPlane: ControlPlane, { containers }: Sight): Promise<void> {
  const { world, engine, template } = stage;
  if (controlPlane.agents.link(template.enrolment.agentId).state !== "online") world.wrong("the agent is not online");
  for (const { id, name, startedAt } of containers) {
    const now = engine.fake.containers.get(id);
    if (now?.state !== "running") world.wrong(`${name} ran and is ${now?.state ?? "gone"}`);
    else if (now.startedAt !== startedAt) world.wrong(`${name} was started again`);
  }
  await judgeEnd(
    { ...stage, world: { ...world, wrong: (what) => allowed(stage, what) || world.wrong(what) } },
    controlPlane,
    true,
  );
}

/**
 * Of an operation whose record is damaged nobody knows the end. A job container that does not run goes with the service's
 * next operation: one whose record is lost, or that Docker made for an agent which had died while it asked.
 */
function allowed({ engine }: Stage, what: string): boolean {
  if (/can be looked at, and ended as unknown$/.test(what)) return true;
  const [, left] = /^job container (\S+) was left behind$/.exec(what) ?? [];
  return (
    left !== undefined &&
    [...engine.fake.containers.values()].some((one) => one.name === left && one.state !== "running")
  );
}
