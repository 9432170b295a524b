/** What has to hold once all is calm: what the control plane says is what the engine shows, and nothing is open. */
import { isTerminal } from "@dflow/protocol";
import { sql } from "kysely";
import { isJob, LABEL } from "../../agent/src/services/naming.ts";
import type { ControlPlane, Stage } from "./processes.ts";

export async function judgeEnd(
  { world, engine, network, template }: Stage,
  { db }: ControlPlane,
  clockWasSet: boolean,
) {
  const wrong = world.wrong;
  const { rows: told } = await sql<{ what: string }>`SELECT what FROM witness`.execute(db);
  for (const { what } of told) wrong(`an operation's end changed: ${what}`);
  if (network.open() > 1) wrong(`${network.open()} sockets are open`);
  const waiting = await db.selectFrom("outbox").selectAll().execute();
  if (waiting.length > 0) wrong(`the outbox still holds ${JSON.stringify(waiting)}`);

  for (const serviceId of template.serviceIds) {
    const service = await db.selectFrom("service").selectAll().where("id", "=", serviceId).executeTakeFirstOrThrow();
    const operations = await db
      .selectFrom("operation")
      .selectAll()
      .where("service_id", "=", serviceId)
      .orderBy("generation")
      .execute();
    for (const { id, kind, state, generation, step, error } of operations) {
      if (!isTerminal(state)) wrong(`${kind} ${id} is still ${state} (${step})`);
      // Nobody sends what is older than what was sent, and no code of ours may fail.
      if (error !== null && /"(stale_generation|internal)"/.test(error)) wrong(`${kind} ${id} failed: ${error}`);
      if (state === "unknown" && kind !== "check") wrong(`${kind} ${id} can be looked at, and ended as unknown`);
      if (state === "expired" && !clockWasSet) wrong(`${kind} ${id} expired long before its time`);
      if (state === "expired" && engine.created(serviceId).has(generation)) wrong(`${kind} ${id} expired and was done`);
    }
    const all = [...engine.fake.containers.values()].filter(({ labels }) => labels[LABEL.service] === serviceId);
    for (const { name } of all.filter(isJob)) wrong(`job container ${name} was left behind`);
    const containers = all.filter((one) => !isJob(one));
    if (containers.length > 1) wrong(`${containers.length} containers of ${service.name}`);
    const [container] = containers;
    const shown = container === undefined ? "none" : container.state;
    const observed = service.deleted_at === null ? service.observed_state : "none";
    if (!agrees(observed, shown)) wrong(`${service.name} is said to be ${observed}, Docker shows ${shown}`);
    const newest = operations.findLast(({ kind }) => kind !== "check");
    if (newest?.state === "succeeded" && !isDone(newest.kind, shown) && container?.exitCode !== 1) {
      wrong(`${newest.kind} of ${service.name} succeeded, Docker shows ${shown}`);
    }
    await judgeLogs(wrong, db, operations);
  }
  // The events' stream and the one before it, if Docker is about to end it.
  if (engine.fake.openStreams.size > 1) wrong(`${engine.fake.openStreams.size} streams of Docker are open`);
}

function agrees(observed: string | null, shown: string): boolean {
  switch (shown) {
    case "none":
      return observed === null || ["none", "not_deployed", "missing"].includes(observed);
    case "running":
      return observed === "running" || observed === "unhealthy";
    default:
      return observed === "exited";
  }
}

function isDone(kind: string, shown: string): boolean {
  if (kind === "deploy" || kind === "restart") return shown === "running";
  return kind === "stop" ? shown !== "running" : shown === "none";
}

/** Each ended operation's log is whole: as many lines as were announced, numbered without a hole. */
async function judgeLogs(
  wrong: (what: string) => void,
  db: ControlPlane["db"],
  operations: { id: string; kind: string; state: string; lines_total: number | null; line_count: number }[],
): Promise<void> {
  for (const { id, kind, state, lines_total, line_count } of operations) {
    const lines = await db
      .selectFrom("operation_log")
      .select("n")
      .where("operation_id", "=", id)
      .orderBy("n")
      .execute();
    if (lines.some(({ n }, index) => n !== index)) wrong(`the log of ${kind} ${id} has a hole`);
    if (lines.length !== line_count) wrong(`the log of ${kind} ${id} has ${lines.length} lines of ${line_count}`);
    if (isTerminal(state as never) && lines_total !== null && lines_total !== line_count) {
      wrong(`the log of ${kind} ${id} waits for ${lines_total} lines and has ${line_count}`);
    }
  }
}
